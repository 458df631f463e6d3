// auth_state.h: the OAuth `state` parameter (RFC 6749 section 4.1.1): what it carries, sealed.
//
// Usually the text is the sealed value itself: base64url without padding of a sealed value
// (core/crypto/sealer.h) of purpose kAuthState whose plaintext is an authurl.state.v1.AuthState;
// under 256 characters as a rule. Where a network does not take this text (too long, or with "-"
// and "_"), the sealed value is stored and the text is a reference to it: 160 random bits in
// hexadecimal. A sealed text is never that short, so the two can't be taken for each other.
#pragma once

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "authurl/catalog/v1/network.pb.h"
#include "authurl/state/v1/auth_state.pb.h"
#include "core/catalog/network_entry.h"
#include "core/crypto/crypto.h"
#include "core/crypto/sealer.h"

namespace authurl {

inline constexpr absl::Duration kMaxStateLifetime = absl::Hours(1);
// The longest sealed text that is handed out, whatever the network would take: with it and the
// longest redirect URI, the URL still fits what browsers and servers commonly take (8 KiB).
inline constexpr size_t kMaxStateChars = 1024;

// The longest sealed value that is stored: what one call can have written to the disk.
inline constexpr size_t kMaxStoredStateBytes = 2048;

// A sealed state that the network can't carry.
struct StoredAuthState {
  std::string reference;
  std::string org_id;
  absl::Time expires_at;
  // Opens with this reference only.
  std::string sealed;
};

// A state with what was decided for it.
struct OpenedState {
  state::v1::AuthState state;
  // Identifies the flow: single use is decided on it, and the code verifier derived from it
  // (core/crypto/pkce.h). The key id tells under which key of the ring.
  Nonce nonce;
  uint8_t key_id;
};

// REQUIRES, here and below: `nonce` is 24 fresh random bytes.
std::string SealAuthState(const Sealer& sealer, const Nonce& nonce,
                          const state::v1::AuthState& state);
// The same in place of what `text` holds, whose memory is used again.
void SealAuthState(const Sealer& sealer, const Nonce& nonce, const state::v1::AuthState& state,
                   std::string& text);
// How many bytes it has, sealed.
size_t SealedStateBytes(const state::v1::AuthState& state);
// Whether the network takes this state, sealed, as text.
bool NetworkTakesSealed(const catalog::v1::Network& network, const state::v1::AuthState& state);

std::string NewStateReference(const RandomSource& random);
bool IsStateReference(absl::string_view text);
StoredAuthState SealStoredAuthState(const Sealer& sealer, const Nonce& nonce,
                                    absl::string_view reference, const state::v1::AuthState& state);

// What a state must be of to open.
struct StateTerms {
  absl::Time now;
  // Older ones count as expired: where a database is a restored copy, it has forgotten which of
  // them were spent.
  absl::Time not_before = absl::InfinitePast();
  // Nothing: any, and the caller learns it from the state.
  std::optional<absl::string_view> org_id = std::nullopt;
  std::optional<absl::string_view> network = std::nullopt;
  // One that has expired opens, too: of a flow that ended before, somebody may ask again how.
  bool takes_expired = false;
};

// Whether it is too old by these terms: what Open… says of it unless they take it all the same.
bool HasExpired(const state::v1::AuthState& state, const StateTerms& terms);
// FAILED_PRECONDITION STATE_EXPIRED.
absl::Status ExpiredState();

// Checks, in this order: length, strict base64url, key id, tag (and with it version and purpose),
// organisation and network, that the state is not from the future, age. INVALID_ARGUMENT
// STATE_INVALID, always with the same text, whichever of them fails; but for the last one, which is
// FAILED_PRECONDITION STATE_EXPIRED: who can't make states, or asks for another organisation,
// learns nothing.
absl::StatusOr<OpenedState> OpenAuthState(const Sealer& sealer, absl::string_view text,
                                          const StateTerms& terms);
// The same for what the store keeps under `reference`.
absl::StatusOr<OpenedState> OpenStoredAuthState(const Sealer& sealer, absl::string_view reference,
                                                absl::string_view sealed, const StateTerms& terms);
// For callers who know both.
absl::StatusOr<OpenedState> OpenAuthState(const Sealer& sealer, absl::string_view text,
                                          absl::Time now, absl::string_view org_id,
                                          absl::string_view network);
absl::StatusOr<OpenedState> OpenStoredAuthState(const Sealer& sealer, absl::string_view reference,
                                                absl::string_view sealed, absl::Time now,
                                                absl::string_view org_id,
                                                absl::string_view network);
// STATE_INVALID as above, for what is refused elsewhere and must read the same, such as a reference
// that the store does not know.
absl::Status InvalidState();

}  // namespace authurl
