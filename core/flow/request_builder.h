// request_builder.h: makes an HTTP request of a step of a catalog entry
// (proto/authurl/catalog/v1/completion.proto). Pure.
#pragma once

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "authurl/catalog/v1/network.pb.h"
#include "authurl/record/v1/record.pb.h"
#include "core/http_message.h"

namespace authurl {

// The organisation's OAuth app, as requests show it. Everything belongs to the caller and must
// outlive the call.
struct OAuthClient {
  const record::v1::SocialNetworkSettings& settings;
  // Empty for a public client (RFC 6749 section 2.1). Where the network wants a signed one
  // (SignedSecret), what was signed.
  absl::string_view secret = {};
  // The client's assertion for the audience (RFC 7523 section 3), where it authenticates by
  // private_key_jwt.
  std::function<absl::StatusOr<std::string>(absl::string_view audience)> assertion = nullptr;
};

// The values of a flow by the names that templates have for them: "code", "access_token",
// "kept.device_id". Wiped at its end.
class FlowValues final {
 public:
  FlowValues() = default;
  FlowValues(FlowValues&&) = default;
  FlowValues& operator=(FlowValues&&) = default;
  FlowValues(const FlowValues&) = delete;
  FlowValues& operator=(const FlowValues&) = delete;
  ~FlowValues();
  FlowValues Clone() const;

  // An empty value is not there.
  void Set(absl::string_view name, absl::string_view value);
  std::optional<std::string> Find(absl::string_view name) const;

 private:
  std::map<std::string, std::string, std::less<>> values_;
};

// What a step sends before its entry has a say.
using BaseParams = std::vector<std::pair<absl::string_view, std::string>>;

// InternalError where the URL needs a value that is not there: the step can't be taken then.
absl::StatusOr<HttpRequest> BuildRequest(const catalog::v1::Network& network,
                                         const catalog::v1::Request& request,
                                         const OAuthClient& client, const FlowValues& values,
                                         const BaseParams& base);

}  // namespace authurl
