// import_rules.h: what a network's entry says of imports: which tokens are of use, who says whose
// they are, and what a request must name. Pure.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "authurl/catalog/v1/network.pb.h"
#include "core/flow/token_response.h"

namespace authurl {

// Whether those who connect choose among accounts, such as their pages.
bool ListsAccounts(const catalog::v1::Network& network);

// Whether a refresh token is what new access tokens are got with.
bool TakesRefreshTokens(const catalog::v1::Network& network);

// Whether the request for a profile must name the person.
bool AsksByPerson(const catalog::v1::Network& network);

// Whether the answer to the profile request says whose token it was sent with, without the answer
// of a token endpoint beside it.
bool ProfileTellsWhose(const catalog::v1::Network& network);
// Whether the answer to a refresh may say so in its place.
bool RefreshTellsWhose(const catalog::v1::Network& network);

// INVALID_PAYLOAD where an account to import lacks what the network needs, or has what it does not
// know: what depends on the variant of the network, which only the configuration says.
absl::Status CheckImportFits(const TokenSet& tokens,
                             const std::vector<std::string>& network_unique_ids,
                             const catalog::v1::Network& network);

// Whether the same again may end otherwise. `network` is null where it is not known.
bool IsRetriableImport(absl::string_view reason, const catalog::v1::Network* network);

}  // namespace authurl
