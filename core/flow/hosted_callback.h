// hosted_callback.h: the address of authurl's own callback, to which networks send end-users whose
// organisation has no callback of its own.
//
//   <public_base_url>/v1/social-networks/<network>/callback
//   <public_base_url>/v1/social-networks/<network>/callback/<context>
//
// The second one is for networks with instances, which may be anybody's servers: each configuration
// has an address of its own, so that no instance can pass off another's code as its own (RFC 9700
// section 4.4). A flow is completed only at the very address that its state names.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "authurl/catalog/v1/network.pb.h"
#include "authurl/record/v1/record.pb.h"
#include "core/crypto/key_ring.h"

namespace authurl {

inline constexpr size_t kCallbackContextChars = 22;

// The context of an organisation's configuration for an instance: base64url of 128 bits of a MAC
// under the ring's first key.
std::string CallbackContext(const KeyRing& keys, absl::string_view org_id,
                            absl::string_view social_network_id, absl::string_view instance);
// Whether it is that one, under whichever key of the ring. A context that outlived its key is not:
// what counts then is the redirect URI of the state. Takes the same time wherever they differ.
bool IsCallbackContext(const KeyRing& keys, absl::string_view context, absl::string_view org_id,
                       absl::string_view social_network_id, absl::string_view instance);

// The address for the configuration, under its callback_context where it has one: it was registered
// at the instance, so it must not change when the key ring does. Empty where `public_base_url` is;
// no "/" at its end.
std::string HostedCallback(absl::string_view public_base_url, const catalog::v1::Network& network,
                           const record::v1::SocialNetworkSettings& settings, const KeyRing& keys);

}  // namespace authurl
