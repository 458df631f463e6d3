#include "tests/bench/auth_url_calls.h"

#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "authurl/v1/social_network_service.pb.h"
#include "tests/bench/example_call.h"
#include "tests/bench/random_numbers.h"

namespace authurl::bench {
namespace {

constexpr char kGetAuthUrl[] = "/authurl.v1.AuthUrlService/GetAuthUrl";
constexpr char kCreate[] = "/authurl.v1.SocialNetworkService/CreateSocialNetwork";
constexpr char kUpdate[] = "/authurl.v1.SocialNetworkService/UpdateSocialNetwork";

// Tells popularity and order of access from place in the database: a bijection of the
// organisations' indexes, because the factor is a prime larger than any number of them.
uint64_t Scatter(uint64_t n, uint64_t organizations) {
  constexpr uint64_t kPrime = 2'654'435'761;
  return n * kPrime % organizations;
}

std::vector<std::string> SerializedRequests() {
  std::vector<std::string> requests;
  requests.reserve(kNetworks.size());
  for (const absl::string_view network : kNetworks) {
    requests.push_back(ExampleRequest(network).SerializeAsString());
  }
  return requests;
}

void Authorize(const std::string& key, Call& call) {
  call.metadata.emplace_back("authorization", absl::StrCat("Bearer ", key));
}

void AuthorizeFor(const std::string& service_key, uint64_t organization, Call& call) {
  Authorize(service_key, call);
  call.metadata.emplace_back("x-org-id", OrganizationId(organization));
}

v1::CreateSocialNetworkRequest CreateRequest(absl::string_view network) {
  v1::CreateSocialNetworkRequest request;
  request.set_network(std::string(network));
  request.set_client_key("Q0xJRU5UX0tFWV9PRl9BTl9BUFA6MTpjaQ");
  request.set_client_secret("c2VjcmV0LW9mLWFuLWFwcC1vZi00NS1jaGFyYWN0ZXJzLg");
  request.set_default_redirect_uri(kExampleRedirectUri);
  return request;
}

}  // namespace

CallSource SameAuthUrl() {
  Call call{kGetAuthUrl, ExampleRequest("x").SerializeAsString(), {}};
  Authorize(MintKey(0), call);
  return Always(std::move(call));
}

CallSource PopularAuthUrls(const Deployment& deployment, ApiKeys keys) {
  const auto organizations = static_cast<uint64_t>(deployment.size().organizations);
  const auto networks = static_cast<uint64_t>(deployment.size().networks_each);
  return
      [organizations, networks, keys, service_key = deployment.service_key(),
       zipf = Zipf(organizations), requests = SerializedRequests()](uint64_t number, Call& call) {
        SplitMix random(number);
        const uint64_t organization = Scatter(zipf.Rank(random), organizations);
        call.method = kGetAuthUrl;
        call.request = requests[random.Next() % networks];
        call.metadata.clear();
        if (keys == ApiKeys::kService) {
          AuthorizeFor(service_key, organization, call);
        } else {
          Authorize(MintKey(organization), call);
        }
      };
}

CallSource UntouchedAuthUrls(const Deployment& deployment) {
  const auto organizations = static_cast<uint64_t>(deployment.size().organizations);
  const auto networks = static_cast<uint64_t>(deployment.size().networks_each);
  return [organizations, networks, service_key = deployment.service_key(),
          requests = SerializedRequests()](uint64_t number, Call& call) {
    call.method = kGetAuthUrl;
    call.request = requests[(number + number / organizations) % networks];
    call.metadata.clear();
    AuthorizeFor(service_key, Scatter(number, organizations), call);
  };
}

CallSource NewConfigurations(const Deployment& deployment) {
  const auto organizations = static_cast<uint64_t>(deployment.size().organizations);
  return [organizations, service_key = deployment.service_key()](uint64_t number, Call& call) {
    call.method = kCreate;
    call.request =
        CreateRequest(kNetworks[number / organizations % kNetworks.size()]).SerializeAsString();
    call.metadata.clear();
    AuthorizeFor(service_key, Scatter(number, organizations), call);
  };
}

CallSource ConfigurationWrites(const Deployment& deployment) {
  const auto organizations = static_cast<uint64_t>(deployment.size().organizations);
  const auto networks = static_cast<uint64_t>(deployment.size().networks_each);
  return [organizations, networks, service_key = deployment.service_key()](uint64_t number,
                                                                           Call& call) {
    SplitMix random(number);
    const uint64_t organization = random.Next() % organizations;
    call.metadata.clear();
    AuthorizeFor(service_key, organization, call);
    if (number % 2 == 0) {
      v1::UpdateSocialNetworkRequest request;
      request.set_id(ConfigurationId(organization, static_cast<int>(random.Next() % networks)));
      request.set_client_key(absl::StrCat("client-key-", number));
      call.method = kUpdate;
      call.request = request.SerializeAsString();
      return;
    }
    v1::CreateSocialNetworkRequest request = CreateRequest("mastodon");
    request.set_instance(absl::StrCat("social", number, ".example.com"));
    call.method = kCreate;
    call.request = request.SerializeAsString();
  };
}

}  // namespace authurl::bench
