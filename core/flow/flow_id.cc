#include "core/flow/flow_id.h"

#include <algorithm>
#include <optional>

#include "absl/container/inlined_vector.h"
#include "authurl/state/v1/auth_state.pb.h"

namespace authurl {
namespace {

constexpr absl::string_view kNoContext = "";
// Few are longer: organisations' ids have 64 characters at most.
constexpr size_t kUsualBytes = 160;

absl::Status NotAFlowId() {
  return absl::InvalidArgumentError("is not a flow_id that this organisation got with a URL");
}

}  // namespace

std::string NonceDigest(const Nonce& state_nonce) {
  return std::string(AsChars(Sha256(AsChars(state_nonce))));
}

std::string MakeFlowId(const Sealer& sealer, uint8_t key_id, const Nonce& state_nonce,
                       const std::string& org_id, absl::Time expires_at) {
  // Kept by each thread: they are allocated once and not for each URL.
  thread_local state::v1::FlowId flow;
  thread_local std::string sealed;
  const auto digest = Sha256(AsChars(state_nonce));
  flow.set_nonce_digest(digest.data(), digest.size());
  flow.set_expires_at(absl::ToUnixSeconds(expires_at));
  flow.set_org_id(org_id);
  // The state's nonce, and the plaintext. Their hash is the nonce to seal with, so that the same
  // flow has the same text, and that no two plaintexts, of a later version of us too, have one
  // nonce.
  absl::InlinedVector<char, kUsualBytes> bytes(kNonceBytes + flow.ByteSizeLong());
  std::copy(state_nonce.begin(), state_nonce.end(), bytes.begin());
  flow.SerializeWithCachedSizesToArray(reinterpret_cast<uint8_t*>(bytes.data()) + kNonceBytes);
  const absl::string_view all(bytes.data(), bytes.size());
  const auto hash = Sha256(all);
  Nonce nonce;
  std::copy_n(hash.begin(), nonce.size(), nonce.begin());
  sealer.SealUnder(key_id, Purpose::kFlowId, nonce, all.substr(kNonceBytes), kNoContext, sealed);
  return Base64UrlEncode(sealed);
}

absl::StatusOr<OpenedFlowId> OpenFlowId(const Sealer& sealer, absl::string_view text,
                                        absl::string_view org_id) {
  if (text.size() > kMaxFlowIdChars) return NotAFlowId();
  const std::optional<std::string> sealed = Base64UrlDecode(text);
  if (!sealed.has_value()) return NotAFlowId();
  const absl::StatusOr<std::string> plaintext = sealer.Open(Purpose::kFlowId, *sealed, kNoContext);
  if (!plaintext.ok()) return NotAFlowId();
  state::v1::FlowId flow;
  if (!flow.ParseFromString(*plaintext) || flow.org_id() != org_id ||
      flow.nonce_digest().size() != kSha256Bytes) {
    return NotAFlowId();
  }
  return OpenedFlowId{flow.nonce_digest(), absl::FromUnixSeconds(flow.expires_at())};
}

}  // namespace authurl
