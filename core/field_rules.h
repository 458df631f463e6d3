// field_rules.h: the format of every field that callers send, in one place. Each function adds what
// is wrong to `violations`, under the name `field`, and says nothing when all is well.
#pragma once

#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "authurl/catalog/v1/network.pb.h"
#include "core/catalog/network_catalog.h"
#include "core/errors.h"
#include "google/protobuf/map.h"
#include "google/protobuf/repeated_ptr_field.h"

namespace authurl {

using ScopeList = google::protobuf::RepeatedPtrField<std::string>;
using StringMap = google::protobuf::Map<std::string, std::string>;

// `^[a-z0-9_]{1,32}$` and in the catalog; an unknown one is answered with the nearest known. Null
// after a violation.
const catalog::v1::Network* CheckNetwork(const NetworkCatalog& catalog, absl::string_view network,
                                         FieldViolations& violations);
// A host, given if and only if the network has instances: a public host name, or any host where the
// catalog allows local instances. No port and no path.
void CheckInstance(const NetworkCatalog& catalog, const catalog::v1::Network& network,
                   std::optional<absl::string_view> instance, FieldViolations& violations);
// One of the network's variants; unset is none of them. Returns the variant as an entry of its own,
// the network itself when unset; null after a violation.
const catalog::v1::Network* CheckVariant(const NetworkCatalog& catalog,
                                         const catalog::v1::Network& network,
                                         std::optional<absl::string_view> variant,
                                         FieldViolations& violations);
// `^[A-Za-z0-9_-]{1,128}$`.
void CheckTenantId(absl::string_view tenant_id, FieldViolations& violations);
// `^[A-Za-z0-9_-]{1,64}$`.
void CheckOrgId(absl::string_view field, absl::string_view org_id, FieldViolations& violations);
// client_key and client_secret: 1 to 4,096 printable ASCII characters (RFC 6749 appendix A.1 and
// A.2) without space around them. Never quotes the value.
void CheckCredential(absl::string_view field, absl::string_view value, FieldViolations& violations);
// The grammar of core/uri.h and the network's own rules; the grammar alone where `network` is null.
void CheckRedirectUri(absl::string_view field, absl::string_view redirect_uri,
                      const catalog::v1::Network* network, FieldViolations& violations);
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
// `min_bytes` to `max_bytes` bytes without control characters.
void CheckText(absl::string_view field, absl::string_view text, size_t min_bytes, size_t max_bytes,
               FieldViolations& violations);

// Whether an authorization request parameter belongs to the protocol, so that no caller may set it.
// Names are compared without regard to case.
bool IsReservedParameter(absl::string_view name);

}  // namespace authurl
