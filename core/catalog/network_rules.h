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
// network has. `is_listed`: it stands in the configuration's allowed_redirect_uris, or may, as far
// as is known yet. An app's own scheme is then taken of any form and at every network.
void CheckRedirectUri(absl::string_view field, absl::string_view redirect_uri, bool is_listed,
                      const catalog::v1::Network* network, FieldViolations& violations);
// No parameter in its own query that the network adds when the user comes back: the receiver would
// find two, and which of them it believes is anybody's guess. Where `network` is null, those that
// every network adds. For what is new only: a redirect URI that is stored already may be in use.
void CheckOwnQuery(absl::string_view field, absl::string_view redirect_uri,
                   const catalog::v1::Network* network, FieldViolations& violations);
// Where authurl's own callback sends a browser on to; networks never see it. The grammar of
// core/uri.h; https, http for the local machine, or any own scheme of an app: organisations name
// return URIs in their configuration, and so vouch for them, as for own schemes among the
// allowed_redirect_uris. Its query has no parameter of those that tell how the flow went.
void CheckReturnUri(absl::string_view field, absl::string_view return_uri,
                    FieldViolations& violations);
// At most 64 scope-tokens (RFC 6749 section 3.3) of at most 256 bytes; none twice; where `network`
// is not null, none that looks like several in one, unless it is one of the network's defaults.
void CheckScopes(const ScopeList& scopes, const catalog::v1::Network* network,
                 FieldViolations& violations);
// At most 32; no reserved name, unless it is one of the network's configuration_params, and none
// that the catalog entry sends itself; the configuration_params in their format, and those that it
// requires.
void CheckExtraParams(const StringMap& extra_params, const catalog::v1::Network& network,
                      FieldViolations& violations);
// What a request chooses for the person who connects: only configuration_params and variables that
// the entry gives to requests, in their format.
void CheckChoices(const StringMap& extra_params, const StringMap& variables,
                  const catalog::v1::Network& network, FieldViolations& violations);
// Whether an app of the network may have no client secret (RFC 6749 section 2.1).
bool TakesPublicClients(const catalog::v1::Network& network);
// A client secret as the network wants it: CheckCredential()'s rules; the private key of which
// secrets are signed, where the network has such, or a JWT that it signed; none, where the network
// takes public clients. Never quotes it.
void CheckClientSecret(absl::string_view client_secret, const StringMap& extra_params,
                       const catalog::v1::Network& network, FieldViolations& violations);
// Only variables of the network's endpoint, in their format.
void CheckVariables(const StringMap& variables, const catalog::v1::Network& network,
                    FieldViolations& violations);

}  // namespace authurl
