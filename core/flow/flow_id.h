// flow_id.h: the name that a flow has for its organisation from the moment its URL is handed out.
//
// Base64url without padding of a sealed value (core/crypto/sealer.h) of purpose kFlowId whose
// plaintext is an authurl.state.v1.FlowId. It is made of the flow's state alone, the same text each
// time: nothing is stored when the URL is handed out, and whoever opens the state can name the
// flow. The state's nonce can't be read from it.
#pragma once

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/crypto/crypto.h"
#include "core/crypto/sealer.h"

namespace authurl {

// Every flow id is shorter, whatever will be added to it.
inline constexpr size_t kMaxFlowIdChars = 256;

// By what the store knows a flow: SHA-256 of the nonce that its state was sealed with.
std::string NonceDigest(const Nonce& state_nonce);

// `key_id` and `state_nonce` are those that the state was sealed with (OpenedState).
// REQUIRES: the ring has that key.
std::string MakeFlowId(const Sealer& sealer, uint8_t key_id, const Nonce& state_nonce,
                       const std::string& org_id, absl::Time expires_at);

struct OpenedFlowId {
  std::string nonce_digest;
  // Of the flow's state. Ids of flows that are long over open too.
  absl::Time expires_at;
};

// InvalidArgumentError, always with the same text, unless `text` is the id of a flow of this
// organisation. The message continues a sentence that begins with the name of the field.
absl::StatusOr<OpenedFlowId> OpenFlowId(const Sealer& sealer, absl::string_view text,
                                        absl::string_view org_id);

}  // namespace authurl
