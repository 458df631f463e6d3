#include "core/auth_state.h"

#include <optional>

namespace authurl {
namespace {

// How far the clocks of two servers that share a key ring may differ.
constexpr absl::Duration kClockSkew = absl::Seconds(60);

// The context is empty: organisation and network are inside and checked after opening, because
// whoever completes a flow learns them from the state.
constexpr absl::string_view kContext = "";

bool IsCurrent(const state::v1::AuthState& state, absl::Time now) {
  return absl::FromUnixSeconds(state.expires_at()) > now &&
         absl::FromUnixSeconds(state.issued_at()) <= now + kClockSkew;
}

}  // namespace

std::string SealAuthState(const Sealer& sealer, const Nonce& nonce,
                          const state::v1::AuthState& state) {
  return Base64UrlEncode(
      sealer.Seal(Purpose::kAuthState, nonce, state.SerializeAsString(), kContext));
}

absl::StatusOr<OpenedState> OpenAuthState(const Sealer& sealer, absl::string_view text,
                                          absl::Time now, absl::string_view org_id,
                                          absl::string_view network) {
  const absl::Status refused =
      absl::InvalidArgumentError("the state is not one of ours, expired, or for another flow");
  if (text.size() > kMaxStateChars) return refused;
  const std::optional<std::string> sealed = Base64UrlDecode(text);
  if (!sealed.has_value()) return refused;
  const absl::StatusOr<std::string> plaintext = sealer.Open(Purpose::kAuthState, *sealed, kContext);
  if (!plaintext.ok()) return refused;
  OpenedState opened;
  if (!opened.state.ParseFromString(*plaintext)) return refused;
  if (!IsCurrent(opened.state, now)) return refused;
  if (opened.state.org_id() != org_id || opened.state.network() != network) return refused;
  const SealedHeader header = *ReadSealedHeader(*sealed);
  opened.nonce = header.nonce;
  opened.key_id = header.key_id;
  return opened;
}

}  // namespace authurl
