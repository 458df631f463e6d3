// field_rules.h: the format of the fields that callers send, as far as it is the same for every
// network (for the rest: core/catalog/network_rules.h). Each function adds what is wrong to
// `violations`, under the name `field`, and says nothing when all is well.
#pragma once

#include <cstddef>
#include <string>

#include "absl/strings/string_view.h"
#include "core/errors.h"

namespace authurl {

// `^[A-Za-z0-9_-]{1,128}$`.
void CheckTenantId(absl::string_view tenant_id, FieldViolations& violations);
// That it is the one tenant that the caller may act for (core/tenant_token.h).
void CheckOwnTenantId(absl::string_view tenant_id, absl::string_view own,
                      FieldViolations& violations);
// `^[A-Za-z0-9_-]{1,64}$`.
void CheckOrgId(absl::string_view field, absl::string_view org_id, FieldViolations& violations);
// Whether it can be the id of a network or of a variant: `^[a-z0-9_]{1,32}$`.
bool IsNetworkId(absl::string_view id);
// The name of a configuration: `^[a-z0-9_-]{0,32}$`, not beginning with "sn_", as ids do.
void CheckConfigurationName(absl::string_view name, FieldViolations& violations);
// What a request calls a configuration by, in its field `configuration`: a name that is not empty,
// or an id.
void CheckConfiguration(absl::string_view name_or_id, FieldViolations& violations);
// What every id of a configuration begins with, and no name.
inline constexpr absl::string_view kSocialNetworkIdPrefix = "sn_";
// Whether it is an id and not a name.
bool IsSocialNetworkId(absl::string_view name_or_id);
inline constexpr size_t kMaxCredentialBytes = 4096;
// client_key and client_secret: 1 to kMaxCredentialBytes printable ASCII characters (RFC 6749
// appendix A.1 and A.2) without space around them. Never quotes the value.
void CheckCredential(absl::string_view field, absl::string_view value, FieldViolations& violations);
// `min_bytes` to `max_bytes` bytes without control characters.
void CheckText(absl::string_view field, absl::string_view text, size_t min_bytes, size_t max_bytes,
               FieldViolations& violations);

// 1 to 256 bytes of UTF-8 without control characters.
void CheckReturnState(absl::string_view return_state, FieldViolations& violations);
// `^sa_[0-9a-z]{20}$`, under the field reconnect_account_id.
void CheckReconnectAccountId(absl::string_view id, FieldViolations& violations);
// What every id of an account begins with.
inline constexpr absl::string_view kSocialAccountIdPrefix = "sa_";

// A BCP 47 language tag, such as "pt-BR": letters first, at most 35 characters (RFC 5646 section
// 4.4.1).
void CheckLocale(absl::string_view locale, FieldViolations& violations);

// The name of a parameter as the most lenient reader of it takes it, so that names that some reader
// takes for one compare equal: PHP drops spaces before a name, reads on to the first "[" only, and
// takes "_" for "." and for spaces inside; others know no case, or take "-" for "_".
std::string FoldedParameterName(absl::string_view name);
// Whether an authorization request parameter belongs to the protocol, so that no caller may set it.
// Names are compared folded.
bool IsReservedParameter(absl::string_view name);
// Whether the network itself sends a parameter of that name with the user who comes back (RFC 6749
// sections 4.1.2 and 4.1.2.1, RFC 9207). Names are compared folded.
bool IsResponseParameter(absl::string_view name);
// Whether a parameter of that name tells a return URI how a flow went, or would be taken for one
// that a network sends. Names are compared folded.
bool IsReturnParameter(absl::string_view name);

}  // namespace authurl
