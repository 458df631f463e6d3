// return_location.h: where the hosted callback sends a browser on to, and what it tells there.
#pragma once

#include <string>

#include "server/flow/complete_auth.h"

namespace authurl {

// The return URI with, behind what it has in its query: success and account_id, or session, or
// error; flow_id and return_state; username and network_unique_id where the configuration wants
// them and one account was connected. Empty where there is no return URI. Holds the session token.
std::string ReturnLocation(const CompletedAuth& completed);

}  // namespace authurl
