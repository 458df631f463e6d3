// Any bytes as a state: nothing opens that we did not seal. And any content sealed by us: it opens
// as what it was, in its time and place only, and not at all with one bit of it turned over.
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "authurl/state/v1/auth_state.pb.h"
#include "core/crypto/crypto.h"
#include "core/crypto/sealer.h"
#include "core/errors.h"
#include "core/flow/auth_state.h"
#include "google/protobuf/util/message_differencer.h"
#include "inputs.pb.h"
#include "tests/fuzz/keys.h"
#include "tests/fuzz/message_input.h"
#include "tests/fuzz/must.h"

namespace authurl::fuzz {
namespace {

using ::google::protobuf::util::MessageDifferencer;

constexpr absl::string_view kReference = "0123456789abcdef0123456789abcdef01234567";
constexpr int64_t kClockSkewSeconds = 60;

void MustBeRefused(const absl::StatusOr<OpenedState>& opened) {
  Must(!opened.ok(), "what we did not seal for this does not open");
  Must(opened.status() == InvalidState(),
       "an error does not tell which check failed: ", opened.status().ToString());
}

void OpenAnyBytes(absl::string_view text) {
  const Sealer& sealer = FixedSealer();
  const absl::Time now = absl::UnixEpoch();
  MustBeRefused(OpenAuthState(sealer, text, now, "", ""));
  MustBeRefused(OpenAuthState(sealer, Base64UrlEncode(text), now, "", ""));
  MustBeRefused(OpenStoredAuthState(sealer, kReference, text, now, "", ""));
}

// What is known of a sealing before it is opened.
class Sealed final {
 public:
  explicit Sealed(const Sealing& sealing)
      : sealing_(sealing),
        now_(absl::FromUnixSeconds(sealing.now() % (int64_t{1} << 40))),
        plaintext_(sealing.has_state() ? sealing.state().SerializeAsString() : sealing.anything()) {
    parses_ = state_.ParseFromString(plaintext_);
  }

  void Check() const {
    const std::string sealed = Seal("");
    CheckText(Base64UrlEncode(sealed));
    CheckStored(Seal(absl::StrCat("auth_states/", kReference)));
    MustBeRefused(OpenStored(kReference, sealed));
    if (!sealing_.has_state()) return;
    // Not byte for byte: the entries of a map may be written in another order.
    const std::string again = SealAuthState(FixedSealer(), nonce_, state_);
    Must(again.size() == Base64UrlEncode(sealed).size(), "sealed alike");
    CheckText(again);
  }

 private:
  std::string Seal(absl::string_view context) const {
    return FixedSealer().Seal(Purpose::kAuthState, nonce_, plaintext_, context);
  }
  absl::StatusOr<OpenedState> OpenText(absl::string_view text) const {
    return OpenAuthState(FixedSealer(), text, now_, sealing_.org_id(), sealing_.network());
  }
  absl::StatusOr<OpenedState> OpenStored(absl::string_view reference,
                                         absl::string_view sealed) const {
    return OpenStoredAuthState(FixedSealer(), reference, sealed, now_, sealing_.org_id(),
                               sealing_.network());
  }

  bool IsInPlace() const {
    return parses_ && state_.issued_at() <= absl::ToUnixSeconds(now_) + kClockSkewSeconds &&
           state_.org_id() == sealing_.org_id() && state_.network() == sealing_.network();
  }

  // `expected`: where it is one of this time.
  void CheckOpened(const absl::StatusOr<OpenedState>& opened, bool expected) const {
    if (!expected) return MustBeRefused(opened);
    if (state_.expires_at() <= absl::ToUnixSeconds(now_)) {
      Must(ReasonOf(opened.status()) == "STATE_EXPIRED",
           "what was ours is told so: ", opened.status().ToString());
      return;
    }
    Must(opened.ok(), "what we sealed opens: ", opened.status().ToString());
    Must(MessageDifferencer::Equals(opened->state, state_), "as what it was");
    Must(opened->nonce == nonce_ && opened->key_id == 1, "with its nonce and key");
  }

  void CheckText(const std::string& text) const {
    Must(!IsStateReference(text), "a sealed state can't be taken for a reference");
    CheckOpened(OpenText(text), IsInPlace() && text.size() <= kMaxStateChars);
    std::string spoilt = text;
    const size_t bit = sealing_.spoilt_bit() % (8 * text.size());
    spoilt[bit / 8] = static_cast<char>(spoilt[bit / 8] ^ (1 << (bit % 8)));
    MustBeRefused(OpenText(spoilt));
    MustBeRefused(OpenText(absl::string_view(text).substr(0, text.size() - 1)));
  }

  void CheckStored(const std::string& sealed) const {
    CheckOpened(OpenStored(kReference, sealed), IsInPlace());
    std::string other(kReference);
    other[sealing_.spoilt_bit() % other.size()] = 'x';
    MustBeRefused(OpenStored(other, sealed));
    MustBeRefused(OpenText(Base64UrlEncode(sealed)));
  }

  const Sealing& sealing_;
  const absl::Time now_;
  const Nonce nonce_ = testing::CountingNonce();
  const std::string plaintext_;
  state::v1::AuthState state_;
  bool parses_ = false;
};

}  // namespace
}  // namespace authurl::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  authurl::fuzz::Sealing sealing;
  if (authurl::fuzz::ReadMessage(data, size, sealing)) {
    authurl::fuzz::Sealed(sealing).Check();
  } else {
    authurl::fuzz::OpenAnyBytes({reinterpret_cast<const char*>(data), size});
  }
  return 0;
}

extern "C" size_t LLVMFuzzerCustomMutator(uint8_t* data, size_t size, size_t max_size,
                                          unsigned seed) {
  authurl::fuzz::Sealing sealing;
  return authurl::fuzz::MutateMessage(data, size, max_size, seed, sealing);
}
