#include "core/flow/hosted_callback.h"

#include "absl/strings/str_cat.h"
#include "core/catalog/endpoint.h"
#include "core/crypto/crypto.h"

namespace authurl {
namespace {

// 128 bits: nobody meets another's by chance, and people copy it into portals.
constexpr size_t kContextBytes = 16;
static_assert(kCallbackContextChars == (4 * kContextBytes + 2) / 3);

std::string ContextUnder(const SecretKey& key, absl::string_view org_id,
                         absl::string_view social_network_id, absl::string_view instance) {
  // None of the three has a "/", so no two of them run together into the same text.
  const auto mac = Mac(key, absl::StrCat(org_id, "/", social_network_id, "/", instance));
  return Base64UrlEncode(AsChars(mac).substr(0, kContextBytes));
}

}  // namespace

std::string CallbackContext(const KeyRing& keys, absl::string_view org_id,
                            absl::string_view social_network_id, absl::string_view instance) {
  return ContextUnder(*keys.Find(keys.primary_id(), Purpose::kCallbackContext), org_id,
                      social_network_id, instance);
}

bool IsCallbackContext(const KeyRing& keys, absl::string_view context, absl::string_view org_id,
                       absl::string_view social_network_id, absl::string_view instance) {
  bool is_one = false;
  for (int key_id = 1; key_id <= 255; ++key_id) {
    const SecretKey* key = keys.Find(static_cast<uint8_t>(key_id), Purpose::kCallbackContext);
    if (key == nullptr) continue;
    is_one |= EqualInConstantTime(context, ContextUnder(*key, org_id, social_network_id, instance));
  }
  return is_one;
}

std::string HostedCallback(absl::string_view public_base_url, const catalog::v1::Network& network,
                           const record::v1::SocialNetworkSettings& settings, const KeyRing& keys) {
  if (public_base_url.empty()) return "";
  std::string address =
      absl::StrCat(public_base_url, "/v1/social-networks/", network.id(), "/callback");
  if (!HasInstances(network)) return address;
  const std::string& kept = settings.callback_context();
  absl::StrAppend(&address, "/",
                  kept.empty()
                      ? CallbackContext(keys, settings.org_id(), settings.id(), settings.instance())
                      : kept);
  return address;
}

}  // namespace authurl
