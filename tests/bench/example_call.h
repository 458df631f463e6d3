// example_call.h: the call that the benchmarks make, and the configuration that answers it: a
// tenant and a redirect URI given, the redirect URI among the allowed ones.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "authurl/record/v1/record.pb.h"
#include "authurl/v1/auth_url_service.pb.h"

namespace authurl::bench {

inline constexpr char kExampleRedirectUri[] = "https://publisher.example.com/connect/callback";

inline v1::GetAuthUrlRequest ExampleRequest(absl::string_view network) {
  v1::GetAuthUrlRequest request;
  request.set_network(std::string(network));
  request.set_redirect_uri(kExampleRedirectUri);
  request.set_tenant_id("customer_42");
  return request;
}

// `id` as the server makes them: "sn_" and 20 letters and digits.
inline record::v1::SocialNetworkSettings ExampleSettings(absl::string_view org_id,
                                                         absl::string_view id,
                                                         absl::string_view network) {
  record::v1::SocialNetworkSettings settings;
  settings.set_id(std::string(id));
  settings.set_org_id(std::string(org_id));
  settings.set_network(std::string(network));
  settings.set_version(1);
  settings.set_client_key("Q0xJRU5UX0tFWV9PRl9BTl9BUFA6MTpjaQ");  // As long as X's.
  settings.set_default_redirect_uri(kExampleRedirectUri);
  settings.add_allowed_redirect_uris(kExampleRedirectUri);
  settings.set_created_at_ms(1'795'435'200'000);
  settings.set_updated_at_ms(settings.created_at_ms());
  return settings;
}

}  // namespace authurl::bench
