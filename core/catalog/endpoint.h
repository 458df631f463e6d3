// endpoint.h: a network's endpoints: URLs with variables ("{version}") and, where a network has
// many servers, the host of one ("{instance}") left open.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "authurl/catalog/v1/network.pb.h"
#include "authurl/record/v1/record.pb.h"
#include "core/errors.h"

namespace authurl {

// The name of what stands for an instance's host in endpoints.
inline constexpr absl::string_view kInstance = "instance";

// Appends the network's authorization endpoint with the configuration's variables and instance
// filled in; variables that the configuration does not set get their default.
void AppendAuthorizationEndpoint(const catalog::v1::Network& network,
                                 const record::v1::SocialNetworkSettings& settings,
                                 std::string& url);
std::string AuthorizationEndpoint(const catalog::v1::Network& network,
                                  const record::v1::SocialNetworkSettings& settings);

// What `name` stands for in URLs of the entry: a variable of its, or "instance". Nothing where it
// is neither.
std::optional<std::string> EndpointValue(const catalog::v1::Network& network,
                                         const record::v1::SocialNetworkSettings& settings,
                                         absl::string_view name);

// Whether the network has one authorization endpoint per instance ("{instance}" in its endpoint's
// host).
bool HasInstances(const catalog::v1::Network& network);

// The names of the parameters in the query that the authorization endpoint has itself.
std::vector<absl::string_view> ParametersOfEndpoint(const catalog::v1::Network& network);

// InvalidArgumentError unless `value` is of the format of the endpoint variable `name` of this
// network.
absl::Status CheckEndpointVariable(const catalog::v1::Network& network, absl::string_view name,
                                   absl::string_view value);

// What follows is for checking the catalog itself.

// Whether "{variable}" is in one of the endpoints.
bool UsesVariable(const catalog::v1::Network& network, absl::string_view variable);
// Adds what is wrong with the endpoints of an entry.
void CheckEndpoints(const catalog::v1::Network& network, FieldViolations& faults);
// The field of the first endpoint that is plain http: it is on this machine. Empty where there is
// none.
std::string HttpEndpoint(const catalog::v1::Network& network);
// OK for an https URL of core/uri.h's grammar. The message continues a sentence that begins with
// the name of the field.
absl::Status CheckHttpsUrl(absl::string_view url);

}  // namespace authurl
