// network_rules.h: the format of the fields that callers send, where it depends on the network.
// Each function adds what is wrong to `violations`, under the name `field`, and says nothing when
// all is well.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "authurl/catalog/v1/network.pb.h"
#include "core/errors.h"
#include "google/protobuf/map.h"
#include "google/protobuf/repeated_ptr_field.h"

namespace authurl {

using ScopeList = google::protobuf::RepeatedPtrField<std::string>;
using StringMap = google::protobuf::Map<std::string, std::string>;

// The grammar of core/uri.h and the network's own rules; where `network` is null, those that every
// network has.
void CheckRedirectUri(absl::string_view field, absl::string_view redirect_uri,
                      const catalog::v1::Network* network, FieldViolations& violations);
// No parameter in its own query that the network adds when the user comes back: the receiver would
// find two, and which of them it believes is anybody's guess. For what is new only: a redirect URI
// that is stored already may be in use.
void CheckOwnQuery(absl::string_view field, absl::string_view redirect_uri,
                   FieldViolations& violations);
// At most 64 scope-tokens (RFC 6749 section 3.3) of at most 256 bytes; none twice; none with the
// network's separator (where `network` is not null).
void CheckScopes(const ScopeList& scopes, const catalog::v1::Network* network,
                 FieldViolations& violations);
// At most 32; no reserved name, unless it is one of the network's configuration_params, and none
// that the catalog entry sends itself; the configuration_params in their format, and those that it
// requires.
void CheckExtraParams(const StringMap& extra_params, const catalog::v1::Network& network,
                      FieldViolations& violations);
// Only variables of the network's endpoint, in their format.
void CheckVariables(const StringMap& variables, const catalog::v1::Network& network,
                    FieldViolations& violations);

}  // namespace authurl
