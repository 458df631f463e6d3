#include "tests/support/request_shape.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "core/crypto/crypto.h"
#include "core/form.h"
#include "tests/support/list_pages.h"

namespace authurl::testing {
namespace {

using catalog::v1::Network;

CutParams CutParamsOf(const FormFields& fields, const KnownValues& known) {
  CutParams cut;
  for (const auto& [name, value] : fields) cut[name] = CutAtValues(value, known);
  return cut;
}

// Nothing where it is no object of texts.
std::optional<FormFields> FieldsOfJson(absl::string_view text) {
  const Json parsed = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!parsed.is_object()) return std::nullopt;
  FormFields fields;
  for (const auto& [name, value] : parsed.items()) {
    if (!value.is_string()) return std::nullopt;
    fields.emplace_back(name, value.get<std::string>());
  }
  return fields;
}

// What is wrong with the fields, as the end of a sentence; empty where nothing is. Quotes no value.
std::string CompareFields(absl::string_view where, const CutParams& expected,
                          const FormFields& fields, FoundValues& values) {
  CutParams missing = expected;
  for (const auto& [name, value] : fields) {
    const auto found = expected.find(name);
    if (found == expected.end()) return absl::StrCat("has ", name, " in its ", where);
    if (missing.erase(name) == 0) return absl::StrCat("has ", name, " twice in its ", where);
    if (!FindValues(found->second, value, /*is_encoded=*/false, values)) {
      return absl::StrCat("has another ", name, " in its ", where);
    }
  }
  if (missing.empty()) return "";
  return absl::StrCat("has no ", missing.begin()->first, " in its ", where);
}

std::string BasicPair(absl::string_view header) {
  std::string pair;
  if (!absl::ConsumePrefix(&header, "Basic ") || !absl::Base64Unescape(header, &pair)) return "";
  return pair;
}

bool IsSigned(const Network& network, NetworkStep step) {
  const catalog::v1::Request& request =
      step == NetworkStep::kProfile ? network.profile().request() : network.accounts().request();
  return (step == NetworkStep::kProfile || step == NetworkStep::kAccounts) &&
         request.token_auth() == catalog::v1::Request::TOKEN_AUTH_SORTED_MD5;
}

// TOKEN_AUTH_SORTED_MD5, of a request's parameters.
std::string SignatureOf(const FormFields& fields, absl::string_view access_token,
                        absl::string_view client_secret) {
  std::map<std::string, std::string> sorted(fields.begin(), fields.end());
  sorted.erase("access_token");
  sorted.erase("sig");
  std::string text;
  for (const auto& [name, value] : sorted) absl::StrAppend(&text, name, "=", value);
  return Md5Hex(absl::StrCat(text, Md5Hex(absl::StrCat(access_token, client_secret))));
}

KnownValues ValuesOfFlow(const VectorFlow& flow, NetworkStep step) {
  KnownValues known = {{"code", std::string(kCode)},
                       {"redirect_uri", std::string(kRedirectUri)},
                       {"code_verifier", std::string(kCodeVerifier)},
                       {"state", std::string(kState)},
                       {"access_token", std::string(kAccessToken)},
                       {"refresh_token", std::string(kRefreshToken)},
                       {"client_id", flow.settings().client_key()},
                       {"client_secret", std::string(flow.client().secret)}};
  const Json* const parents = JsonOfStep(flow, NetworkStep::kParents);
  if (step == NetworkStep::kAccounts && parents != nullptr) {
    known.push_back({"parent", parents->at("success")[0].at("values")[0].get<std::string>()});
  }
  return known;
}

}  // namespace

bool RequestShape::IsFor(const ServedRequest& request, FoundValues& values) const {
  const absl::string_view target = request.target;
  return request.method == method && request.host == host &&
         FindValues(path, target.substr(0, target.find('?')), /*is_encoded=*/true, values);
}

bool RequestShape::HasGrantTypeOf(const ServedRequest& request) const {
  for (const CutParams* params : {&query, &body}) {
    const auto found = params->find("grant_type");
    if (found == params->end() || found->second.size() != 1) continue;
    return absl::StrContains(absl::StrCat(request.target, "\n", request.body),
                             found->second.front().text);
  }
  return true;
}

std::string RequestShape::CompareHeaders(const ServedRequest& request, FoundValues& values) const {
  std::map<std::string, std::string> sent;
  for (const HttpHeader& header : request.headers) {
    const std::string name = absl::AsciiStrToLower(header.name);
    if (!sent.emplace(name, header.value).second) return absl::StrCat("has two headers ", name);
  }
  for (const auto& [name, cut] : headers) {
    const auto found = sent.find(name);
    if (found == sent.end()) return absl::StrCat("has no header ", name);
    if (!FindValues(cut, found->second, /*is_encoded=*/false, values)) {
      return absl::StrCat("has another header ", name);
    }
  }
  if (basic.has_value()) {
    if (!FindValues(*basic, BasicPair(sent["authorization"]), basic_is_encoded, values)) {
      return "does not show the client by Basic as it should";
    }
    return "";
  }
  for (const char* name : {"authorization", "content-type", "cookie"}) {
    if (sent.count(name) > 0 && headers.count(name) == 0)
      return absl::StrCat("has a header ", name);
  }
  return "";
}

std::string RequestShape::Compare(const ServedRequest& request, absl::string_view client_secret,
                                  FoundValues& values, std::string& page) const {
  const size_t question = request.target.find('?');
  FormFields in_query;
  if (question != std::string::npos) in_query = FieldsOfForm(request.target.substr(question + 1));
  if (!page_param.empty()) {
    const auto asks_for_page =
        std::find_if(in_query.begin(), in_query.end(),
                     [&](const auto& field) { return field.first == page_param; });
    if (asks_for_page != in_query.end()) {
      page = asks_for_page->second;
      in_query.erase(asks_for_page);
    }
  }
  std::optional<FormFields> in_body =
      is_json ? FieldsOfJson(request.body) : FieldsOfForm(request.body);
  if (!in_body) return "has a body that is no JSON object of texts";
  std::string fault = CompareHeaders(request, values);
  if (fault.empty()) fault = CompareFields("query", query, in_query, values);
  if (fault.empty()) fault = CompareFields("body", body, *in_body, values);
  if (fault.empty() && is_signed &&
      values["sig"] != SignatureOf(in_query, values["access_token"], client_secret)) {
    fault = "has a wrong sig";
  }
  return fault;
}

RequestShape MakeRequestShape(const VectorFlow& flow, NetworkStep step,
                              const std::string& instance) {
  const Json& request = JsonOfStep(flow, step)->at("request");
  const KnownValues known = ValuesOfFlow(flow, step);
  const KnownValues encoded_too = EncodedToo(known);

  RequestShape shape;
  shape.step = step;
  shape.method = request.value("method", "GET");
  const std::string url = request.at("url").get<std::string>();
  absl::string_view rest = url;
  absl::ConsumePrefix(&rest, "https://");
  shape.host = std::string(rest.substr(0, rest.find('/')));
  const std::string& vectors_instance = flow.settings().instance();
  if (!vectors_instance.empty() && shape.host == vectors_instance) shape.host = instance;
  rest.remove_prefix(rest.find('/'));
  const size_t question = rest.find('?');
  shape.path = CutAtValues(rest.substr(0, question), encoded_too);
  if (question != rest.npos) {
    shape.query = CutParamsOf(FieldsOfForm(rest.substr(question + 1)), known);
  }
  shape.headers["accept"] = {{false, "application/json"}};
  for (const auto& [name, value] : ObjectOf(request, "headers").items()) {
    const std::string text = value.get<std::string>();
    const std::string pair = BasicPair(text);
    if (name == "Authorization" && !pair.empty()) {
      shape.basic_is_encoded = absl::StrContains(pair, '%');
      shape.basic = CutAtValues(pair, shape.basic_is_encoded ? encoded_too : known);
    } else {
      shape.headers[absl::AsciiStrToLower(name)] = CutAtValues(text, known);
    }
  }
  const std::string body = request.value("body", "");
  shape.is_json = absl::StartsWith(body, "{");
  shape.body = CutParamsOf(
      shape.is_json ? FieldsOfJson(body).value_or(FormFields()) : FieldsOfForm(body), known);
  shape.page_param = PageParamOf(flow.network(), step);
  shape.is_signed = IsSigned(flow.network(), step);
  if (shape.is_signed) shape.query["sig"] = {{true, "sig"}};
  return shape;
}

}  // namespace authurl::testing
