// tenant_token.h: the bearer of a browser. It acts for one tenant of an organisation, may do a few
// things for it, and ends soon.
//
// "aut_" and base64url without padding of a sealed value (core/crypto/sealer.h) of purpose
// kTenantToken whose plaintext is an authurl.state.v1.TenantToken. Nothing is stored when one is
// made, so none can be taken back.
#pragma once

#include <cstddef>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "authurl/state/v1/tenant_token.pb.h"
#include "authurl/v1/social_account_service.pb.h"
#include "core/crypto/crypto.h"
#include "core/crypto/sealer.h"

namespace authurl {

using TenantAction = state::v1::TenantToken::Action;

// Every token is shorter, whatever will be added to it.
inline constexpr size_t kMaxTenantTokenChars = 512;

// Tenant, actions and end of the token that is asked for; organisation and key are left to the
// caller. It ends at a whole second, never later than was asked. INVALID_ARGUMENT INVALID_PAYLOAD
// with every faulty field.
absl::StatusOr<state::v1::TenantToken> ReadTenantTokenRequest(
    const v1::CreateTenantTokenRequest& request, absl::Time now);

// REQUIRES: `nonce` is 24 fresh random bytes.
std::string SealTenantToken(const Sealer& sealer, const Nonce& nonce,
                            const state::v1::TenantToken& token);

// Whether it begins as one, and as nothing else does. Says nothing of its being good.
bool IsTenantToken(absl::string_view text);

// UNAUTHENTICATED API_KEY_INVALID, always with the same text, unless it was made by
// SealTenantToken() under a key of the ring. One that has expired opens, too.
absl::StatusOr<state::v1::TenantToken> OpenTenantToken(const Sealer& sealer,
                                                       absl::string_view text);

// Whether a token that was opened is good for a call that is of `action`; nothing: for one that
// takes no tenant tokens. In this order: UNAUTHENTICATED TENANT_TOKEN_EXPIRED, PERMISSION_DENIED
// ROLE_NOT_ALLOWED with a sentence that says what would be.
absl::Status CheckTenantToken(const state::v1::TenantToken& token,
                              std::optional<TenantAction> action, absl::Time now);

}  // namespace authurl
