// client_secret.h: the client secret as a network wants it to be shown. Pure.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "authurl/catalog/v1/network.pb.h"
#include "authurl/record/v1/record.pb.h"

namespace authurl {

// Whether it is a private key in PEM, of which client secrets are signed.
bool IsPrivateKey(absl::string_view client_secret);

// What is configured; or, where that is the private key that the network's SignedSecret asks for,
// a JWT that it signs, good for ten minutes. The caller wipes it. FAILED_PRECONDITION
// CLIENT_SECRET_UNUSABLE where the key can't sign.
absl::StatusOr<std::string> ClientSecretToShow(const catalog::v1::Network& network,
                                               const record::v1::SocialNetworkSettings& settings,
                                               absl::string_view client_secret, absl::Time now);

}  // namespace authurl
