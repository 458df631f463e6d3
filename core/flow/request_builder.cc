#include "core/flow/request_builder.h"

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/catalog/endpoint.h"
#include "core/catalog/text_template.h"
#include "core/crypto/crypto.h"
#include "core/form.h"
#include "core/uri.h"
#include "core/utf8.h"

namespace authurl {
namespace {

using catalog::v1::Network;
using catalog::v1::Request;

constexpr absl::string_view kAssertionType =
    "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";

struct Param {
  std::string name;
  std::string value;
};

// The parameters of one request, each name once, in the order in which they are sent. Wiped at its
// end.
class Params final {
 public:
  Params() = default;
  Params(const Params&) = delete;
  Params& operator=(const Params&) = delete;
  ~Params() {
    for (Param& param : list_) Wipe(param.value);
  }

  // In place of one of the same name.
  void Put(absl::string_view name, absl::string_view value) {
    const auto same = std::find_if(list_.begin(), list_.end(),
                                   [&](const Param& param) { return param.name == name; });
    if (same != list_.end()) {
      same->value = std::string(value);
    } else {
      list_.push_back({std::string(name), std::string(value)});
    }
  }
  const std::vector<Param>& list() const { return list_; }

  std::string AsForm() const {
    std::string form;
    for (const Param& param : list_) AppendFormField(param.name, param.value, form);
    return form;
  }
  std::string AsJson() const {
    nlohmann::ordered_json object = nlohmann::ordered_json::object();
    for (const Param& param : list_) object[param.name] = param.value;
    // Values of strangers were checked to be UTF-8; what was not must not throw.
    return object.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }

 private:
  std::vector<Param> list_;
};

// What the network calls a parameter of the RFC.
absl::string_view NameOf(const Request& request, absl::string_view name) {
  for (const auto& renamed : request.names()) {
    if (renamed.from() == name) return renamed.to();
  }
  return name;
}

bool IsLeftOut(const Request& request, absl::string_view name) {
  return std::find(request.leave_out().begin(), request.leave_out().end(), name) !=
         request.leave_out().end();
}

std::optional<std::string> ValueOf(const Network& network, const OAuthClient& client,
                                   const FlowValues& values, absl::string_view name) {
  const record::v1::SocialNetworkSettings& settings = client.settings;
  const auto text = [](absl::string_view value) -> std::optional<std::string> {
    if (value.empty()) return std::nullopt;
    return std::string(value);
  };
  if (name == "client_id") return text(settings.client_key());
  if (name == "client_secret") return text(client.secret);
  if (absl::string_view setting = name; absl::ConsumePrefix(&setting, "setting.")) {
    const auto found = settings.extra_params().find(std::string(setting));
    if (found != settings.extra_params().end()) return text(found->second);
    for (const auto& param : network.configuration_params()) {
      if (param.name() == setting) return text(param.default_value());
    }
    return std::nullopt;
  }
  if (const auto value = EndpointValue(network, settings, name)) return text(*value);
  return values.Find(name);
}

// RFC 7617 section 2; `encoded`, with what RFC 6749 section 2.3.1 does before.
std::string BasicCredentials(absl::string_view id, absl::string_view secret, bool encoded) {
  std::string pair;
  if (encoded) {
    AppendPercentEncoded(id, pair);
    pair += ':';
    AppendPercentEncoded(secret, pair);
  } else {
    absl::StrAppend(&pair, id, ":", secret);
  }
  std::string header = absl::StrCat("Basic ", absl::Base64Escape(pair));
  Wipe(pair);
  return header;
}

// TOKEN_AUTH_SORTED_MD5.
std::string SortedMd5(const Params& params, absl::string_view access_token,
                      absl::string_view secret) {
  std::map<absl::string_view, absl::string_view> sorted;
  for (const Param& param : params.list()) {
    if (param.name != "access_token") sorted.emplace(param.name, param.value);
  }
  std::string text;
  for (const auto& [name, value] : sorted) absl::StrAppend(&text, name, "=", value);
  std::string key = absl::StrCat(access_token, secret);
  absl::StrAppend(&text, Md5Hex(key));
  Wipe(key);
  return Md5Hex(text);
}

void SetHeader(absl::string_view name, std::string value, HttpRequest& http) {
  for (HttpHeader& header : http.headers) {
    if (!absl::EqualsIgnoreCase(header.name, name)) continue;
    header.value = std::move(value);
    return;
  }
  http.headers.push_back({std::string(name), std::move(value)});
}

absl::Status AddClient(const Request& request, const OAuthClient& client, absl::string_view url,
                       Params& params, HttpRequest& http) {
  Request::ClientAuth auth = request.client_auth();
  const bool needs_secret = auth == Request::CLIENT_AUTH_SECRET_BASIC ||
                            auth == Request::CLIENT_AUTH_SECRET_BASIC_PLAIN ||
                            auth == Request::CLIENT_AUTH_SECRET_POST;
  if (needs_secret && client.secret.empty()) auth = Request::CLIENT_AUTH_NONE;
  const auto put = [&](absl::string_view name, absl::string_view value) {
    if (!IsLeftOut(request, name)) params.Put(NameOf(request, name), value);
  };
  switch (auth) {
    case Request::CLIENT_AUTH_SECRET_BASIC:
    case Request::CLIENT_AUTH_SECRET_BASIC_PLAIN:
      SetHeader("Authorization",
                BasicCredentials(client.settings.client_key(), client.secret,
                                 auth == Request::CLIENT_AUTH_SECRET_BASIC),
                http);
      return absl::OkStatus();
    case Request::CLIENT_AUTH_SECRET_POST:
      put("client_id", client.settings.client_key());
      put("client_secret", client.secret);
      return absl::OkStatus();
    case Request::CLIENT_AUTH_PRIVATE_KEY_JWT: {
      if (client.assertion == nullptr) return absl::InternalError("the client has no key to sign");
      absl::StatusOr<std::string> assertion = client.assertion(url);
      if (!assertion.ok()) return assertion.status();
      put("client_id", client.settings.client_key());
      put("client_assertion_type", kAssertionType);
      put("client_assertion", *assertion);
      Wipe(*assertion);
      return absl::OkStatus();
    }
    case Request::CLIENT_AUTH_NONE:
      put("client_id", client.settings.client_key());
      return absl::OkStatus();
    default:
      return absl::OkStatus();
  }
}

absl::string_view MethodName(Request::Method method) {
  switch (method) {
    case Request::METHOD_POST:
      return "POST";
    case Request::METHOD_DELETE:
      return "DELETE";
    default:
      return "GET";
  }
}

void Encode(const Request& request, const Params& params, HttpRequest& http) {
  switch (request.encoding()) {
    case Request::ENCODING_FORM:
      http.body = params.AsForm();
      SetHeader("Content-Type", "application/x-www-form-urlencoded", http);
      break;
    case Request::ENCODING_JSON:
      http.body = params.AsJson();
      SetHeader("Content-Type", "application/json", http);
      break;
    default:
      if (params.list().empty()) break;
      absl::StrAppend(&http.url, absl::StrContains(http.url, '?') ? "&" : "?", params.AsForm());
  }
}

}  // namespace

FlowValues::~FlowValues() {
  for (auto& [name, value] : values_) Wipe(value);
}

FlowValues FlowValues::Clone() const {
  FlowValues clone;
  clone.values_ = values_;
  return clone;
}

void FlowValues::Set(absl::string_view name, absl::string_view value) {
  if (!value.empty()) values_.insert_or_assign(std::string(name), std::string(value));
}

std::optional<std::string> FlowValues::Find(absl::string_view name) const {
  const auto found = values_.find(name);
  if (found == values_.end()) return std::nullopt;
  return found->second;
}

absl::StatusOr<HttpRequest> BuildRequest(const Network& network, const Request& request,
                                         const OAuthClient& client, const FlowValues& values,
                                         const BaseParams& base) {
  const auto value_of = [&](absl::string_view name) {
    return ValueOf(network, client, values, name);
  };
  std::optional<std::string> url = ExpandUrlTemplate(request.url(), value_of);
  if (!url) {
    return absl::InternalError(
        absl::StrCat("the URL ", request.url(), " needs a value that is not there"));
  }
  HttpRequest http;
  http.method = std::string(MethodName(request.method()));
  http.url = *std::move(url);
  SetHeader("Accept", "application/json", http);
  Params params;
  for (const auto& [name, value] : base) {
    if (!IsLeftOut(request, name)) params.Put(NameOf(request, name), value);
  }
  if (absl::Status status = AddClient(request, client, http.url, params, http); !status.ok()) {
    return status;
  }
  for (const auto& param : request.params()) {
    const std::optional<std::string> value = ExpandTemplate(param.value(), value_of);
    if (value) params.Put(param.name(), *value);
  }
  if (request.token_auth() == Request::TOKEN_AUTH_BEARER) {
    const std::string token = values.Find("access_token").value_or("");
    SetHeader("Authorization", absl::StrCat("Bearer ", token), http);
  } else if (request.token_auth() == Request::TOKEN_AUTH_SORTED_MD5) {
    const std::string token = values.Find("access_token").value_or("");
    params.Put("sig", SortedMd5(params, token, client.secret));
  }
  Encode(request, params, http);
  for (const auto& header : request.headers()) {
    std::optional<std::string> value = ExpandTemplate(header.value(), value_of);
    if (value) SetHeader(header.name(), *std::move(value), http);
  }
  for (const HttpHeader& header : http.headers) {
    // It would end the header, and begin another one.
    if (HasControlCharacters(header.value)) {
      return absl::InternalError(
          absl::StrCat("the header ", header.name, " has a line break in it"));
    }
  }
  return http;
}

}  // namespace authurl
