#include "core/flow/auth_state.h"

#include <algorithm>
#include <array>
#include <optional>

#include "absl/container/inlined_vector.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/errors.h"

namespace authurl {
namespace {

// How far the clocks of two servers that share a key ring may differ.
constexpr absl::Duration kClockSkew = absl::Seconds(60);

// The text's context is empty: organisation and network are inside and checked after opening,
// because whoever completes a flow learns them from the state.
constexpr absl::string_view kTextContext = "";

// A stored value opens under its own reference only, and never as a text.
std::string StoredContext(absl::string_view reference) {
  return absl::StrCat("auth_states/", reference);
}

bool IsOf(const state::v1::AuthState& state, const StateTerms& terms) {
  return (!terms.org_id.has_value() || state.org_id() == *terms.org_id) &&
         (!terms.network.has_value() || state.network() == *terms.network);
}

void Seal(const Sealer& sealer, const Nonce& nonce, const state::v1::AuthState& state,
          absl::string_view context, std::string& sealed) {
  // On the stack as a rule: a state is short.
  absl::InlinedVector<char, kMaxStateChars> plaintext(state.ByteSizeLong());
  state.SerializeWithCachedSizesToArray(reinterpret_cast<uint8_t*>(plaintext.data()));
  sealer.Seal(Purpose::kAuthState, nonce, {plaintext.data(), plaintext.size()}, context, sealed);
}

absl::StatusOr<OpenedState> Open(const Sealer& sealer, absl::string_view sealed,
                                 absl::string_view context, const StateTerms& terms) {
  const absl::StatusOr<std::string> plaintext = sealer.Open(Purpose::kAuthState, sealed, context);
  if (!plaintext.ok()) return InvalidState();
  OpenedState opened;
  if (!opened.state.ParseFromString(*plaintext)) return InvalidState();
  if (!IsOf(opened.state, terms)) return InvalidState();
  if (absl::FromUnixSeconds(opened.state.issued_at()) > terms.now + kClockSkew) {
    return InvalidState();
  }
  if (!terms.takes_expired && HasExpired(opened.state, terms)) return ExpiredState();
  const SealedHeader header = *ReadSealedHeader(sealed);
  opened.nonce = header.nonce;
  opened.key_id = header.key_id;
  return opened;
}

}  // namespace

std::string SealAuthState(const Sealer& sealer, const Nonce& nonce,
                          const state::v1::AuthState& state) {
  std::string text;
  SealAuthState(sealer, nonce, state, text);
  return text;
}

void SealAuthState(const Sealer& sealer, const Nonce& nonce, const state::v1::AuthState& state,
                   std::string& text) {
  // Kept by each thread, so that it is allocated once and not for each URL.
  thread_local std::string sealed;
  Seal(sealer, nonce, state, kTextContext, sealed);
  Base64UrlEncode(sealed, text);
}

size_t SealedStateBytes(const state::v1::AuthState& state) {
  return kSealedOverhead + state.ByteSizeLong();
}

bool NetworkTakesSealed(const catalog::v1::Network& network, const state::v1::AuthState& state) {
  const auto& rules = network.state();
  // Base64url uses "-" and "_".
  if (rules.alphabet() == catalog::v1::StateRules::ALPHABET_ALPHANUMERIC) return false;
  const size_t limit = rules.max_length() == 0 ? kMaxStateChars : rules.max_length();
  const size_t chars = (4 * SealedStateBytes(state) + 2) / 3;
  return chars <= std::min(limit, kMaxStateChars);
}

std::string NewStateReference(const RandomSource& random) {
  std::array<uint8_t, kStateReferenceChars / 2> bytes;
  random(bytes);
  return HexEncode(AsChars(bytes));
}

bool IsStateReference(absl::string_view text) {
  return text.size() == kStateReferenceChars &&
         std::all_of(text.begin(), text.end(), [](unsigned char c) {
           return absl::ascii_isdigit(c) || (c >= 'a' && c <= 'f');
         });
}

StoredAuthState SealStoredAuthState(const Sealer& sealer, const Nonce& nonce,
                                    absl::string_view reference,
                                    const state::v1::AuthState& state) {
  StoredAuthState stored = {.reference = std::string(reference),
                            .org_id = state.org_id(),
                            .expires_at = absl::FromUnixSeconds(state.expires_at()),
                            .sealed = {}};
  Seal(sealer, nonce, state, StoredContext(reference), stored.sealed);
  return stored;
}

bool HasExpired(const state::v1::AuthState& state, const StateTerms& terms) {
  return absl::FromUnixSeconds(state.expires_at()) <= terms.now ||
         absl::FromUnixSeconds(state.issued_at()) < terms.not_before;
}

absl::Status ExpiredState() {
  return MakeError(absl::StatusCode::kFailedPrecondition, "STATE_EXPIRED",
                   "The state has expired, because it took too long to come back: begin again with "
                   "a new URL");
}

absl::Status InvalidState() {
  return MakeError(absl::StatusCode::kInvalidArgument, "STATE_INVALID",
                   "The state is not one that was handed out for this, or was changed on its way: "
                   "begin again with a new URL");
}

absl::StatusOr<OpenedState> OpenAuthState(const Sealer& sealer, absl::string_view text,
                                          const StateTerms& terms) {
  if (text.size() > kMaxStateChars) return InvalidState();
  const std::optional<std::string> sealed = Base64UrlDecode(text);
  if (!sealed.has_value()) return InvalidState();
  return Open(sealer, *sealed, kTextContext, terms);
}

absl::StatusOr<OpenedState> OpenStoredAuthState(const Sealer& sealer, absl::string_view reference,
                                                absl::string_view sealed, const StateTerms& terms) {
  return Open(sealer, sealed, StoredContext(reference), terms);
}

absl::StatusOr<OpenedState> OpenAuthState(const Sealer& sealer, absl::string_view text,
                                          absl::Time now, absl::string_view org_id,
                                          absl::string_view network) {
  return OpenAuthState(sealer, text, StateTerms{.now = now, .org_id = org_id, .network = network});
}

absl::StatusOr<OpenedState> OpenStoredAuthState(const Sealer& sealer, absl::string_view reference,
                                                absl::string_view sealed, absl::Time now,
                                                absl::string_view org_id,
                                                absl::string_view network) {
  return OpenStoredAuthState(sealer, reference, sealed,
                             StateTerms{.now = now, .org_id = org_id, .network = network});
}

}  // namespace authurl
