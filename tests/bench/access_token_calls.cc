#include "tests/bench/access_token_calls.h"

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "authurl/v1/social_account_service.pb.h"
#include "tests/bench/example_call.h"
#include "tests/bench/random_numbers.h"

namespace authurl::bench {
namespace {

// Made beforehand, so that a call costs its client the same whatever it asks for.
struct Asked {
  std::vector<std::string> authorizations;  // Of each organisation.
  std::vector<std::string> requests;        // Any organisation's, or as many for each.
};

void Ask(const char* method, const std::string& request, const std::string& authorization,
         Call& call) {
  call.method = method;
  call.request = request;
  call.metadata.clear();
  call.metadata.emplace_back("authorization", authorization);
}

std::vector<std::string> Authorizations(const DeploymentSize& size) {
  std::vector<std::string> authorizations;
  for (int64_t i = 0; i < size.organizations; ++i) {
    authorizations.push_back(absl::StrCat("Bearer ", ReaderKey(static_cast<uint64_t>(i))));
  }
  return authorizations;
}

std::shared_ptr<const Asked> AskedForTokens(const DeploymentSize& size) {
  auto asked = std::make_shared<Asked>();
  asked->authorizations = Authorizations(size);
  for (int64_t i = 0; i < size.organizations; ++i) {
    for (int account = 0; account < size.accounts_each; ++account) {
      v1::GetAccessTokenRequest request;
      request.set_account_id(AccountId(static_cast<uint64_t>(i), account));
      asked->requests.push_back(request.SerializeAsString());
    }
  }
  return asked;
}

void AskForToken(const Asked& asked, uint64_t account, Call& call) {
  const uint64_t accounts_each = asked.requests.size() / asked.authorizations.size();
  Ask("/authurl.v1.SocialAccountService/GetAccessToken", asked.requests[account],
      asked.authorizations[account / accounts_each], call);
}

}  // namespace

CallSource RandomAccessTokens(const Deployment& deployment) {
  return [asked = AskedForTokens(deployment.size())](uint64_t number, Call& call) {
    AskForToken(*asked, SplitMix(number).Next() % asked->requests.size(), call);
  };
}

CallSource EachAccessToken(const Deployment& deployment) {
  return [asked = AskedForTokens(deployment.size())](uint64_t number, Call& call) {
    AskForToken(*asked, number % asked->requests.size(), call);
  };
}

CallSource RandomAuthUrls(const Deployment& deployment) {
  auto asked = std::make_shared<Asked>();
  asked->authorizations = Authorizations(deployment.size());
  for (int network = 0; network < deployment.size().networks_each; ++network) {
    asked->requests.push_back(
        ExampleRequest(kNetworks[static_cast<size_t>(network)]).SerializeAsString());
  }
  return [asked = std::shared_ptr<const Asked>(asked)](uint64_t number, Call& call) {
    SplitMix random(number);
    const uint64_t organization = random.Next() % asked->authorizations.size();
    Ask("/authurl.v1.AuthUrlService/GetAuthUrl",
        asked->requests[random.Next() % asked->requests.size()],
        asked->authorizations[organization], call);
  };
}

}  // namespace authurl::bench
