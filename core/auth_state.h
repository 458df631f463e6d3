// auth_state.h: the OAuth `state` parameter (RFC 6749 section 4.1.1): what it carries, sealed.
//
// Text format: base64url without padding of a sealed value (core/sealer.h) of purpose kAuthState
// whose plaintext is an authurl.state.v1.AuthState. Usually under 256 characters.
#pragma once

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "authurl/state/v1/auth_state.pb.h"
#include "core/crypto.h"
#include "core/sealer.h"

namespace authurl {

inline constexpr absl::Duration kMaxStateLifetime = absl::Hours(1);
// No state that we seal is longer; longer text is refused unread.
inline constexpr size_t kMaxStateChars = 8192;

// A state with what was decided for it.
struct OpenedState {
  state::v1::AuthState state;
  // Identifies the flow: single use is decided on it, and the code verifier derived from it
  // (core/pkce.h). The key id tells under which key of the ring.
  Nonce nonce;
  uint8_t key_id;
};

// REQUIRES: `nonce` is 24 fresh random bytes.
std::string SealAuthState(const Sealer& sealer, const Nonce& nonce,
                          const state::v1::AuthState& state);

// Checks, in this order: length, strict base64url, key id, tag (and with it version and purpose),
// expiry and that the state is not from the future, organisation and network. InvalidArgumentError,
// always with the same text, whichever of them fails.
absl::StatusOr<OpenedState> OpenAuthState(const Sealer& sealer, absl::string_view text,
                                          absl::Time now, absl::string_view org_id,
                                          absl::string_view network);

}  // namespace authurl
