#include "tests/support/simulated_network.h"

#include <algorithm>
#include <array>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"
#include "core/catalog/endpoint.h"
#include "core/catalog/text_template.h"
#include "core/crypto/crypto.h"
#include "core/form.h"
#include "core/uri.h"
#include "tests/support/eventually.h"

namespace authurl::testing {
namespace {

using catalog::v1::Accounts;
using catalog::v1::Network;

constexpr size_t kMostParameters = 128;
// In the URLs of next pages, which the simulator makes up.
constexpr char kNextPageParam[] = "after";

// A piece of a vector's text: as it is, or the name of the value that is there.
struct TextPiece {
  bool is_value = false;
  std::string text;
};
using CutText = std::vector<TextPiece>;
using CutParams = std::map<std::string, CutText>;
using FoundValues = std::map<std::string, std::string>;

// A value of every vector's flow, such as "code" with the text "code/+1".
struct KnownValue {
  std::string name;
  std::string text;
};
using KnownValues = std::vector<KnownValue>;

// Percent-encoded as well as they are.
KnownValues EncodedToo(const KnownValues& known) {
  KnownValues both = known;
  for (const KnownValue& one : known) both.push_back({one.name, PercentEncode(one.text)});
  return both;
}

CutText CutAtValues(absl::string_view text, const KnownValues& known) {
  CutText cut;
  while (!text.empty()) {
    const KnownValue* longest = nullptr;
    for (const KnownValue& one : known) {
      const bool is_longer = longest == nullptr || one.text.size() > longest->text.size();
      if (!one.text.empty() && is_longer && absl::StartsWith(text, one.text)) longest = &one;
    }
    if (longest != nullptr) {
      cut.push_back({true, longest->name});
      text.remove_prefix(longest->text.size());
      continue;
    }
    if (cut.empty() || cut.back().is_value) cut.push_back({false, ""});
    cut.back().text += text.front();
    text.remove_prefix(1);
  }
  return cut;
}

// Whether `text` is what the vector has, but for the values, which are added to `values`; each is
// the same wherever it is.
bool FindValues(const CutText& cut, absl::string_view text, bool is_encoded, FoundValues& values) {
  for (size_t i = 0; i < cut.size(); ++i) {
    if (!cut[i].is_value) {
      if (!absl::ConsumePrefix(&text, cut[i].text)) return false;
      continue;
    }
    const size_t end = i + 1 < cut.size() ? text.find(cut[i + 1].text) : text.size();
    if (end == text.npos) return false;
    std::string value(text.substr(0, end));
    if (is_encoded) value = FormDecoded(value);
    const auto [place, is_new] = values.emplace(cut[i].text, value);
    if (!is_new && place->second != value) return false;
    text.remove_prefix(end);
  }
  return text.empty();
}

CutParams CutParamsOf(const FormFields& fields, const KnownValues& known) {
  CutParams cut;
  for (const auto& [name, value] : fields) cut[name] = CutAtValues(value, known);
  return cut;
}

FormFields FieldsOfForm(absl::string_view text) {
  return ParseForm(text, kMostParameters).value_or(FormFields());
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

// An answer's body: a tree, or a text that is no JSON.
Json ParsedBody(const Json& answer) {
  const Json& body = answer.at("body");
  if (!body.is_string()) return body;
  Json parsed = Json::parse(body.get<std::string>(), nullptr, /*allow_exceptions=*/false);
  return parsed.is_discarded() ? body : parsed;
}

bool HasText(const Json& tree, const std::string& text) {
  if (tree.is_string()) return absl::StrContains(tree.get<std::string>(), text);
  return tree.is_structured() && std::any_of(tree.begin(), tree.end(), [&](const Json& inner) {
           return HasText(inner, text);
         });
}

// Whole texts of a tree; in a text that is no JSON, a form then, whatever is in it.
void ReplaceTexts(const FoundValues& by, bool is_root, Json& tree) {
  if (tree.is_string()) {
    const std::string text = tree.get<std::string>();
    const auto found = by.find(text);
    if (found != by.end()) {
      tree = found->second;
    } else if (is_root) {
      FoundValues encoded;
      for (const auto& [from, to] : by) encoded[from] = PercentEncode(to);
      tree = absl::StrReplaceAll(text, encoded);
    }
  } else if (tree.is_structured()) {
    for (Json& inner : tree) ReplaceTexts(by, /*is_root=*/false, inner);
  }
}

// Puts `over` over `body`; the lists of `body` stay.
void MergeOver(const Json& over, Json& body) {
  if (body.is_array() && over.is_array()) return;
  if (!body.is_object() || !over.is_object()) {
    body = over;
    return;
  }
  for (const auto& [name, value] : over.items()) {
    if (body.contains(name)) {
      MergeOver(value, body[name]);
    } else {
      body[name] = value;
    }
  }
}

std::string TypeOfBody(const Json& body) {
  if (!body.is_string()) return "application/json; charset=utf-8";
  const std::string text = body.get<std::string>();
  if (absl::StartsWith(text, "<")) return "text/html; charset=utf-8";
  return absl::StrContains(text, '=') ? "application/x-www-form-urlencoded" : "text/plain";
}

ServedAnswer ServedOf(int status, const Json& body) {
  ServedAnswer answer;
  answer.status = status;
  answer.body = body.is_string()
                    ? body.get<std::string>()
                    : body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  if (!answer.body.empty()) answer.headers.push_back({"Content-Type", TypeOfBody(body)});
  answer.headers.push_back({"Cache-Control", "no-store"});
  return answer;
}

// Where a list goes on, and an element is called, in a tree.
using JsonPointer = Json::json_pointer;

// The pointers into the step's own answer among the selectors.
std::vector<JsonPointer> OwnPointers(
    const google::protobuf::RepeatedPtrField<std::string>& selectors) {
  std::vector<JsonPointer> pointers;
  for (const std::string& selector : selectors) {
    const auto parts = ParseSelector(selector);
    if (!parts.ok()) continue;
    for (const SelectorPart& part : *parts) {
      if (!part.is_pointer || part.root != SelectorRoot::kAnswer) continue;
      pointers.emplace_back(std::string(part.text));
    }
  }
  return pointers;
}

void SetList(absl::string_view list, Json elements, Json& body) {
  body[JsonPointer(std::string(list))] = std::move(elements);
}

// The list has no next page.
void EndList(const Accounts::Paging& paging, Json& body) {
  for (const auto* selectors : {&paging.next_url(), &paging.cursor()}) {
    for (const JsonPointer& pointer : OwnPointers(*selectors)) {
      if (body.contains(pointer)) body[pointer] = nullptr;
    }
  }
}

// Another text for each number; the same one for 0.
Json NumberedText(const Json& value, int number) {
  if (number == 0) return value;
  if (value.is_number_integer()) return value.get<int64_t>() + number;
  if (!value.is_string()) return value;
  const std::string text = value.get<std::string>();
  int64_t digits = 0;
  if (absl::SimpleAtoi(text, &digits) && absl::StrCat(digits) == text) {
    return absl::StrCat(digits + number);
  }
  return absl::StrCat(text, "-", number);
}

// The element as that of another account.
Json NumberedAccount(const Accounts& reading, Json element, int number) {
  for (const auto* selectors : {&reading.id(), &reading.access_token()}) {
    for (const JsonPointer& pointer : OwnPointers(*selectors)) {
      if (element.contains(pointer)) element[pointer] = NumberedText(element[pointer], number);
    }
  }
  return element;
}

std::string CursorOf(int page) { return absl::StrCat("page/", page, "="); }

// Which page a parameter asks for, counted from 0; -1 where there is no such page.
int PageAskedFor(const std::string& text, const Accounts::Paging& paging, int accounts_per_page) {
  int number = 0;
  if (text.empty()) return 0;
  if (!paging.offset_param().empty()) {
    const bool is_good = absl::SimpleAtoi(text, &number) && number % accounts_per_page == 0;
    return is_good ? number / accounts_per_page : -1;
  }
  absl::string_view digits = text;
  const bool is_good = absl::ConsumePrefix(&digits, "page/") && absl::ConsumeSuffix(&digits, "=") &&
                       absl::SimpleAtoi(digits, &number);
  return is_good ? number : -1;
}

// The URL that is asked for next, in place of the whole request's.
std::string NextUrl(const ServedRequest& request, int page) {
  absl::string_view target = request.target;
  target = target.substr(0, target.find(absl::StrCat("&", kNextPageParam, "=")));
  return absl::StrCat("https://", request.host, target, absl::StrContains(target, '?') ? "&" : "?",
                      kNextPageParam, "=", PercentEncode(CursorOf(page)));
}

void ContinueList(const Accounts::Paging& paging, const ServedRequest& request, int next_page,
                  Json& body) {
  for (const JsonPointer& pointer : OwnPointers(paging.next_url())) {
    body[pointer] = NextUrl(request, next_page);
  }
  for (const JsonPointer& pointer : OwnPointers(paging.cursor()))
    body[pointer] = CursorOf(next_page);
}

// What the vector calls such an answer at the step; empty for faults that have none.
std::string ListOfFault(NetworkStep step, NetworkFault fault) {
  switch (fault) {
    case NetworkFault::kGrantRejected:
    case NetworkFault::kErrorWithStatus200:
      if (step == NetworkStep::kExchange) return "code_rejected";
      if (step == NetworkStep::kLongLived || step == NetworkStep::kRefresh) return "refresh_dead";
      return step == NetworkStep::kRevocation ? "refused" : "token_rejected";
    case NetworkFault::kClientRejected:
      return "client_rejected";
    case NetworkFault::kScopeMissing:
      return "scope_missing";
    case NetworkFault::kTryAgain:
      return "try_again";
    case NetworkFault::kRefused:
      return "refused";
    case NetworkFault::kNotAnAccount:
      return "not_an_account";
    default:
      return "";
  }
}

// What RFC 6749 section 5.2 and RFC 6750 section 3.1 say of such an error.
ServedAnswer ErrorByRfc(absl::string_view list) {
  const auto error = [](int status, const char* code) {
    return ServedOf(status, Json{{"error", code}});
  };
  if (list == "code_rejected" || list == "refresh_dead") return error(400, "invalid_grant");
  if (list == "client_rejected") return error(401, "invalid_client");
  if (list == "token_rejected") return error(401, "invalid_token");
  if (list == "scope_missing") return error(403, "insufficient_scope");
  if (list == "try_again") return error(503, "temporarily_unavailable");
  return error(400, "invalid_request");
}

void AppendParams(const FormFields& parameters, std::string& form) {
  for (const auto& [name, value] : parameters) AppendFormField(name, value, form);
}

absl::Status ErrorPage(absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("the network shows an error page: ", why));
}

const Accounts::Paging* PagingOf(const Network& network, NetworkStep step) {
  if (step == NetworkStep::kParents) return &network.accounts().parents().paging();
  return step == NetworkStep::kAccounts ? &network.accounts().paging() : nullptr;
}

std::string PageParamOf(const Accounts::Paging& paging) {
  if (!paging.cursor_param().empty()) return paging.cursor_param();
  if (!paging.offset_param().empty()) return paging.offset_param();
  return paging.next_url().empty() ? "" : kNextPageParam;
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

}  // namespace

absl::string_view NameOfStep(NetworkStep step) {
  switch (step) {
    case NetworkStep::kExchange:
      return "exchange";
    case NetworkStep::kLongLived:
      return "long_lived";
    case NetworkStep::kProfile:
      return "profile";
    case NetworkStep::kParents:
      return "parents";
    case NetworkStep::kAccounts:
      return "accounts";
    case NetworkStep::kRefresh:
      return "refresh";
    case NetworkStep::kRevocation:
      return "revocation";
  }
  return "";
}

std::string PersonReturned::url() const {
  if (is_form_post) return redirect_uri;
  const char separator = absl::StrContains(redirect_uri, '?') ? '&' : '?';
  return absl::StrCat(redirect_uri, std::string(1, separator), parameters);
}

// The request of a step, with names where the vector has the values of its flow.
struct SimulatedNetwork::Shape {
  NetworkStep step = NetworkStep::kExchange;
  std::string method;
  std::string host;
  CutText path;  // As it is sent.
  CutParams query;
  CutParams body;
  bool is_json = false;
  CutParams headers;             // By their names in lower case.
  std::optional<CutText> basic;  // The pair of an Authorization header.
  bool basic_is_encoded = false;
  std::string page_param;
  bool is_signed = false;

  bool IsFor(const ServedRequest& request, FoundValues& values) const {
    const absl::string_view target = request.target;
    return request.method == method && request.host == host &&
           FindValues(path, target.substr(0, target.find('?')), /*is_encoded=*/true, values);
  }
  // Its grant_type, where that is a parameter, is the request's.
  bool HasGrantTypeOf(const ServedRequest& request) const {
    for (const CutParams* params : {&query, &body}) {
      const auto found = params->find("grant_type");
      if (found == params->end() || found->second.size() != 1) continue;
      return absl::StrContains(absl::StrCat(request.target, "\n", request.body),
                               found->second.front().text);
    }
    return true;
  }
  // What is wrong with it, as the end of a sentence; empty where nothing is. Takes the page out.
  std::string Compare(const ServedRequest& request, absl::string_view client_secret,
                      FoundValues& values, std::string& page) const;
  std::string CompareHeaders(const ServedRequest& request, FoundValues& values) const;
};

std::string SimulatedNetwork::Shape::CompareHeaders(const ServedRequest& request,
                                                    FoundValues& values) const {
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

std::string SimulatedNetwork::Shape::Compare(const ServedRequest& request,
                                             absl::string_view client_secret, FoundValues& values,
                                             std::string& page) const {
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

struct SimulatedNetwork::AuthUrlAsked {
  std::string redirect_uri;
  std::string state;
  std::string code_challenge;
  std::string nonce;
  std::vector<std::string> scopes;
  std::string response_mode;
};

// What a request is, as far as can be told.
struct SimulatedNetwork::Recognized {
  const Shape* shape = nullptr;  // Null: nothing of the network's.
  FoundValues values;
  std::string page;
  std::string fault;  // Empty: it is as it should be.

  // Empty where it has none of that name.
  std::string Value(const char* name) const {
    const auto found = values.find(name);
    return found == values.end() ? "" : found->second;
  }
};

SimulatedNetwork::SimulatedNetwork(const Vector& vector, Options options)
    : flow_(vector),
      options_(std::move(options)),
      title_(vector.title),
      settings_(flow_.settings()),
      client_secret_(flow_.client().secret) {
  settings_.set_variant(flow_.json().value("variant", ""));
  if (!options_.client_key.empty()) settings_.set_client_key(options_.client_key);
  if (!options_.instance.empty()) settings_.set_instance(options_.instance);
  if (!options_.client_secret.empty()) client_secret_ = options_.client_secret;
  for (const NetworkStep step :
       {NetworkStep::kExchange, NetworkStep::kLongLived, NetworkStep::kProfile,
        NetworkStep::kParents, NetworkStep::kAccounts, NetworkStep::kRefresh,
        NetworkStep::kRevocation}) {
    const Json* const json = JsonOf(step);
    if (json != nullptr && json->contains("request")) AddShape(step);
  }
}

SimulatedNetwork::~SimulatedNetwork() = default;

const Json* SimulatedNetwork::JsonOf(NetworkStep step) const {
  const bool is_parents = step == NetworkStep::kParents;
  const std::string name(NameOfStep(is_parents ? NetworkStep::kAccounts : step));
  if (!flow_.json().contains(name)) return nullptr;
  const Json& json = flow_.json()[name];
  if (!is_parents) return &json;
  return json.contains("parents") ? &json["parents"] : nullptr;
}

void SimulatedNetwork::AddShape(NetworkStep step) {
  const Json& request = JsonOf(step)->at("request");
  KnownValues known = {{"code", std::string(kCode)},
                       {"redirect_uri", std::string(kRedirectUri)},
                       {"code_verifier", std::string(kCodeVerifier)},
                       {"state", std::string(kState)},
                       {"access_token", std::string(kAccessToken)},
                       {"refresh_token", std::string(kRefreshToken)},
                       {"client_id", flow_.settings().client_key()},
                       {"client_secret", std::string(flow_.client().secret)}};
  const Json* const parents = JsonOf(NetworkStep::kParents);
  if (step == NetworkStep::kAccounts && parents != nullptr) {
    known.push_back({"parent", parents->at("success")[0].at("values")[0].get<std::string>()});
  }
  const KnownValues encoded_too = EncodedToo(known);

  auto shape = std::make_unique<Shape>();
  shape->step = step;
  shape->method = request.value("method", "GET");
  const std::string url = request.at("url").get<std::string>();
  absl::string_view rest = url;
  absl::ConsumePrefix(&rest, "https://");
  shape->host = std::string(rest.substr(0, rest.find('/')));
  const std::string& instance = flow_.settings().instance();
  if (!instance.empty() && shape->host == instance) shape->host = settings_.instance();
  rest.remove_prefix(rest.find('/'));
  const size_t question = rest.find('?');
  shape->path = CutAtValues(rest.substr(0, question), encoded_too);
  if (question != rest.npos) {
    shape->query = CutParamsOf(FieldsOfForm(rest.substr(question + 1)), known);
  }
  shape->headers["accept"] = {{false, "application/json"}};
  for (const auto& [name, value] : ObjectOf(request, "headers").items()) {
    const std::string text = value.get<std::string>();
    const std::string pair = BasicPair(text);
    if (name == "Authorization" && !pair.empty()) {
      shape->basic_is_encoded = absl::StrContains(pair, '%');
      shape->basic = CutAtValues(pair, shape->basic_is_encoded ? encoded_too : known);
    } else {
      shape->headers[absl::AsciiStrToLower(name)] = CutAtValues(text, known);
    }
  }
  const std::string body = request.value("body", "");
  shape->is_json = absl::StartsWith(body, "{");
  shape->body = CutParamsOf(
      shape->is_json ? FieldsOfJson(body).value_or(FormFields()) : FieldsOfForm(body), known);
  if (const Accounts::Paging* paging = PagingOf(network(), step)) {
    shape->page_param = PageParamOf(*paging);
  }
  shape->is_signed = IsSigned(network(), step);
  if (shape->is_signed) shape->query["sig"] = {{true, "sig"}};
  shapes_.push_back(std::move(shape));
}

const Json& SimulatedNetwork::SuccessOf(NetworkStep step) const {
  const auto chosen = answers_.find(step);
  return JsonOf(step)->at("success").at(chosen == answers_.end() ? 0 : chosen->second);
}

// Of a step whose answer has no tokens.
Json SimulatedNetwork::BodyOf(NetworkStep step) const {
  Json body = ParsedBody(SuccessOf(step));
  for (const NetworkStep list : {NetworkStep::kParents, NetworkStep::kAccounts}) {
    const Json* const profile = JsonOf(NetworkStep::kProfile);
    const Json* const other = JsonOf(list);
    if (profile == nullptr || other == nullptr || !profile->contains("request") ||
        profile->at("request") != other->at("request")) {
      continue;
    }
    if (step != NetworkStep::kProfile && step != list) continue;
    body = ParsedBody(SuccessOf(list));
    MergeOver(ParsedBody(SuccessOf(NetworkStep::kProfile)), body);
  }
  return body;
}

absl::StatusOr<SimulatedNetwork::AuthUrlAsked> SimulatedNetwork::ReadAuthUrl(
    absl::string_view auth_url) const {
  auth_url = auth_url.substr(0, auth_url.find('#'));
  const std::string endpoint = AuthorizationEndpoint(network(), settings_);
  const absl::string_view page =
      absl::string_view(endpoint).substr(0, endpoint.find_first_of("?#"));
  const size_t question = auth_url.find('?');
  if (question == auth_url.npos || auth_url.substr(0, question) != page) {
    return ErrorPage(absl::StrCat("this is not ", page));
  }
  std::map<std::string, std::string> asked;
  for (auto& [name, value] : FieldsOfForm(auth_url.substr(question + 1))) {
    if (!asked.emplace(name, std::move(value)).second) {
      return ErrorPage(absl::StrCat(name, " is there twice"));
    }
  }
  if (asked[network().client_id_param()] != settings_.client_key()) {
    return ErrorPage("no such client");
  }
  if (asked["response_type"] != network().response_type()) return ErrorPage("no response_type");
  if (asked["redirect_uri"].empty()) return ErrorPage("no redirect_uri");
  if (asked["state"].empty()) return ErrorPage("no state");
  AuthUrlAsked read = {.redirect_uri = asked["redirect_uri"],
                       .state = asked["state"],
                       .code_challenge = "",
                       .nonce = asked["nonce"],
                       .scopes = absl::StrSplit(asked[network().scopes().param()],
                                                network().scopes().separator(), absl::SkipEmpty()),
                       .response_mode = asked["response_mode"]};
  if (network().pkce().mode() != catalog::v1::Pkce::MODE_NONE) {
    read.code_challenge = asked["code_challenge"];
    if (read.code_challenge.empty() || asked["code_challenge_method"] != "S256") {
      return ErrorPage("no code_challenge by S256");
    }
  }
  return read;
}

PersonReturned SimulatedNetwork::Return(const AuthUrlAsked& asked,
                                        std::vector<std::pair<std::string, std::string>> parameters,
                                        bool packed) const {
  const catalog::v1::Callback& callback = network().callback();
  parameters.emplace_back("state", asked.state);
  if (!callback.issuer().empty()) {
    const auto issuer = ExpandTemplate(callback.issuer(), [&](absl::string_view name) {
      return EndpointValue(network(), settings_, name);
    });
    parameters.emplace_back("iss", issuer.value_or(""));
  }
  if (packed && !callback.json_param().empty()) {
    Json all = Json::object();
    for (const auto& [name, value] : parameters) all[name] = value;
    parameters = {{callback.json_param(), all.dump()}};
  }
  PersonReturned returned = {.redirect_uri = asked.redirect_uri, .parameters = ""};
  returned.is_form_post = callback.form_post() && asked.response_mode == "form_post";
  AppendParams(parameters, returned.parameters);
  return returned;
}

absl::StatusOr<PersonReturned> SimulatedNetwork::Consent(absl::string_view auth_url,
                                                         ConsentOptions how) {
  absl::StatusOr<AuthUrlAsked> asked = ReadAuthUrl(auth_url);
  if (!asked.ok()) return asked.status();
  FormFields parameters;
  {
    const std::lock_guard lock(mutex_);
    const std::string code = Fresh("code");
    codes_[code] = grants_.size();
    Grant& grant = grants_.emplace_back();
    grant.redirect_uri = asked->redirect_uri;
    grant.state = asked->state;
    grant.code_challenge = asked->code_challenge;
    grant.nonce = asked->nonce;
    grant.scopes = asked->scopes;
    parameters.emplace_back("code", code);
  }
  for (const auto& [name, value] : ObjectOf(flow_.json(), "callback").items()) {
    parameters.emplace_back(name, value.is_string() ? value.get<std::string>() : value.dump());
  }
  return Return(*asked, std::move(parameters), how.packed);
}

absl::StatusOr<PersonReturned> SimulatedNetwork::Deny(absl::string_view auth_url,
                                                      absl::string_view error) {
  absl::StatusOr<AuthUrlAsked> asked = ReadAuthUrl(auth_url);
  if (!asked.ok()) return asked.status();
  const catalog::v1::Callback& callback = network().callback();
  FormFields parameters;
  if (!error.empty()) {
    parameters.emplace_back("error", error);
  } else if (!callback.missing_code_is_denied()) {
    parameters.emplace_back("error",
                            callback.denied().empty() ? "access_denied" : callback.denied(0));
    parameters.emplace_back("error_description", "The person said no");
  }
  return Return(*asked, std::move(parameters), /*packed=*/false);
}

void SimulatedNetwork::EndGrants() {
  const std::lock_guard lock(mutex_);
  for (Grant& grant : grants_) grant.has_ended = true;
}

void SimulatedNetwork::SetFault(NetworkStep step, NetworkFault fault, int times) {
  const std::lock_guard lock(mutex_);
  faults_[step] = {fault, times};
}

bool SimulatedNetwork::Has(NetworkStep step, NetworkFault fault) const {
  const Json* const json = JsonOf(step == NetworkStep::kParents ? NetworkStep::kAccounts : step);
  const std::string list = ListOfFault(step, fault);
  return json != nullptr && !list.empty() && !ListOf(*json, list).empty();
}

void SimulatedNetwork::Release() {
  const std::lock_guard lock(mutex_);
  ++releases_;
  changed_.notify_all();
}

void SimulatedNetwork::UseAnswer(NetworkStep step, size_t index) {
  const std::lock_guard lock(mutex_);
  answers_[step] = index;
}

void SimulatedNetwork::SetPages(int pages, int accounts_per_page) {
  const std::lock_guard lock(mutex_);
  pages_ = pages;
  accounts_per_page_ = accounts_per_page;
}

int SimulatedNetwork::requests(NetworkStep step) const {
  const std::lock_guard lock(mutex_);
  const auto found = requests_.find(step);
  return found == requests_.end() ? 0 : found->second;
}

std::vector<SimulatedNetwork::Received> SimulatedNetwork::received() const {
  const std::lock_guard lock(mutex_);
  return received_;
}

std::vector<std::string> SimulatedNetwork::complaints() const {
  const std::lock_guard lock(mutex_);
  return complaints_;
}

bool SimulatedNetwork::WaitForRequests(NetworkStep step, int count) const {
  std::unique_lock lock(mutex_);
  return changed_.wait_for(lock, absl::ToChronoMilliseconds(kPatience), [&] {
    const auto found = requests_.find(step);
    return found != requests_.end() && found->second >= count;
  });
}

bool SimulatedNetwork::Takes(absl::string_view token) const {
  const std::lock_guard lock(mutex_);
  const auto found = tokens_.find(token);
  return found != tokens_.end() && IsGood(found->second);
}

int SimulatedNetwork::Claims(const ServedRequest& request) const {
  const std::lock_guard lock(mutex_);
  const Recognized what = Recognize(request);
  if (what.shape == nullptr) return 0;
  if (!what.fault.empty()) return 1;
  const bool is_known = codes_.count(what.Value("code")) > 0 ||
                        tokens_.count(what.Value("access_token")) > 0 ||
                        tokens_.count(what.Value("refresh_token")) > 0;
  return is_known ? 3 : 2;
}

bool SimulatedNetwork::RefusesConnection(absl::string_view host) const {
  const std::lock_guard lock(mutex_);
  return std::any_of(shapes_.begin(), shapes_.end(), [&](const std::unique_ptr<Shape>& shape) {
    const auto planned = faults_.find(shape->step);
    return shape->host == host && planned != faults_.end() &&
           planned->second.fault == NetworkFault::kRefuseConnection;
  });
}

bool SimulatedNetwork::Pause() {
  std::unique_lock lock(mutex_);
  changed_.wait_for(lock, absl::ToChronoMilliseconds(options_.pause), [&] { return is_stopping_; });
  return !is_stopping_;
}

void SimulatedNetwork::Stop() {
  const std::lock_guard lock(mutex_);
  is_stopping_ = true;
  changed_.notify_all();
}

SimulatedNetwork::Recognized SimulatedNetwork::Recognize(const ServedRequest& request) const {
  Recognized nearest;
  std::map<NetworkStep, Recognized> whole;
  for (const std::unique_ptr<Shape>& shape : shapes_) {
    Recognized what;
    if (!shape->IsFor(request, what.values)) continue;
    what.shape = shape.get();
    what.fault = shape->Compare(request, client_secret_, what.values, what.page);
    if (what.fault.empty()) {
      whole.emplace(shape->step, std::move(what));
    } else if (nearest.shape == nullptr || shape->HasGrantTypeOf(request)) {
      nearest = std::move(what);
    }
  }
  if (whole.empty()) return nearest;
  // The same request may be that of two steps: which one depends on the token.
  const auto token = tokens_.find(whole.begin()->second.Value("access_token"));
  const auto at = [&](NetworkStep step) { return std::move(whole.at(step)); };
  if (whole.count(NetworkStep::kLongLived) > 0 && whole.count(NetworkStep::kRefresh) > 0) {
    const bool is_first = token != tokens_.end() && token->second.is_short_lived;
    return at(is_first ? NetworkStep::kLongLived : NetworkStep::kRefresh);
  }
  if (whole.size() > 1 && whole.count(NetworkStep::kProfile) > 0) {
    const bool is_second = token != tokens_.end() && grants_[token->second.grant].profile_was_asked;
    return at(is_second ? whole.rbegin()->first : NetworkStep::kProfile);
  }
  return at(whole.begin()->first);
}

ServedAnswer SimulatedNetwork::Answer(const ServedRequest& request) {
  std::unique_lock lock(mutex_);
  const Recognized what = Recognize(request);
  if (what.shape == nullptr) {
    const absl::string_view target = request.target;
    complaints_.push_back(absl::StrCat(title_, ": nothing is at ", request.method, " ",
                                       request.host, target.substr(0, target.find('?'))));
    return ServedOf(404, Json{{"error", "not_found"}});
  }
  const NetworkStep step = what.shape->step;
  received_.push_back({step, request});
  ++requests_[step];
  changed_.notify_all();
  if (!what.fault.empty()) return Complain(step, what.fault);
  const NetworkFault fault = TakeFault(step);
  if (fault == NetworkFault::kHang) {
    changed_.wait(lock,
                  [this, releases = releases_] { return is_stopping_ || releases_ > releases; });
  }
  if (!ListOfFault(step, fault).empty() || fault == NetworkFault::kStatus500 ||
      fault == NetworkFault::kRedirect || fault == NetworkFault::kRefuseConnection) {
    return InPlaceOfAnswer(what, fault);
  }
  ServedAnswer answer = Process(what, request);
  switch (fault) {
    case NetworkFault::kByteByByte:
      answer.manner = ServedAnswer::Manner::kByteByByte;
      break;
    case NetworkFault::kHuge:
      answer.manner = ServedAnswer::Manner::kEndless;
      break;
    case NetworkFault::kHangUp:
      answer.manner = ServedAnswer::Manner::kNone;
      break;
    case NetworkFault::kBrokenJson:
      answer.body.resize(answer.body.size() / 2);
      break;
    case NetworkFault::kWrongContentType:
      answer.headers = {{"Content-Type", "text/html; charset=iso-8859-1"}};
      break;
    default:
      break;
  }
  return answer;
}

NetworkFault SimulatedNetwork::TakeFault(NetworkStep step) {
  Planned& planned = faults_[step];
  if (planned.times == 0) return NetworkFault::kNone;
  if (planned.times > 0) --planned.times;
  return planned.fault;
}

ServedAnswer SimulatedNetwork::InPlaceOfAnswer(const Recognized& what, NetworkFault fault) const {
  const NetworkStep step = what.shape->step;
  ServedAnswer answer;
  switch (fault) {
    case NetworkFault::kStatus500:
      answer = ServedOf(500, Json("<html><body>Sorry</body></html>"));
      break;
    case NetworkFault::kRedirect:
      answer.status = 302;
      answer.headers.push_back(
          {"Location", absl::StrCat("https://", what.shape->host, "/nobody-may-come-here")});
      break;
    case NetworkFault::kRefuseConnection:
      answer.manner = ServedAnswer::Manner::kNone;
      break;
    default:
      answer = ErrorOf(step, ListOfFault(step, fault));
      if (fault == NetworkFault::kErrorWithStatus200) answer.status = 200;
  }
  return answer;
}

ServedAnswer SimulatedNetwork::Process(const Recognized& what, const ServedRequest& request) {
  const NetworkStep step = what.shape->step;
  if (!ClientIsRight(what.values)) return ErrorOf(step, "client_rejected");
  switch (step) {
    case NetworkStep::kExchange:
      return Exchange(what);
    case NetworkStep::kLongLived:
      return LongLived(what);
    case NetworkStep::kRefresh:
      return Refresh(what);
    case NetworkStep::kProfile:
      return Profile(what);
    case NetworkStep::kParents:
    case NetworkStep::kAccounts:
      return List(what, request);
    case NetworkStep::kRevocation:
      return Revocation(what);
  }
  return ServedAnswer();
}

bool SimulatedNetwork::ClientIsRight(const Values& values) const {
  const auto is = [&](const char* name, const std::string& expected) {
    const auto found = values.find(name);
    return found == values.end() || found->second == expected;
  };
  return is("client_id", settings_.client_key()) && is("client_secret", client_secret_);
}

ServedAnswer SimulatedNetwork::Exchange(const Recognized& what) {
  const auto found = codes_.find(what.Value("code"));
  if (found == codes_.end()) return ErrorOf(NetworkStep::kExchange, "code_rejected");
  Grant& grant = grants_[found->second];
  const auto is = [&](const char* name, const std::string& expected) {
    const auto value = what.values.find(name);
    return value == what.values.end() || value->second == expected;
  };
  const auto hash = Sha256(what.Value("code_verifier"));
  const bool is_hex =
      network().pkce().challenge_encoding() == catalog::v1::Pkce::CHALLENGE_ENCODING_HEX;
  const std::string challenge = is_hex ? HexEncode(AsChars(hash)) : Base64UrlEncode(AsChars(hash));
  const bool is_good = !grant.code_was_used && !grant.has_ended &&
                       is("redirect_uri", grant.redirect_uri) && is("state", grant.state) &&
                       (grant.code_challenge.empty() || grant.code_challenge == challenge);
  grant.code_was_used = true;
  if (!is_good) return ErrorOf(NetworkStep::kExchange, "code_rejected");
  if (network().one_grant_per_person()) {
    for (Grant& other : grants_) {
      if (&other != &grant && other.code_was_used) other.has_ended = true;
    }
  }
  return HandOut(NetworkStep::kExchange, found->second, nullptr);
}

ServedAnswer SimulatedNetwork::LongLived(const Recognized& what) {
  const Token* const token = LiveToken(what);
  if (token == nullptr) return ErrorOf(NetworkStep::kLongLived, "refresh_dead");
  return HandOut(NetworkStep::kLongLived, token->grant, nullptr);
}

ServedAnswer SimulatedNetwork::Refresh(const Recognized& what) {
  const bool by_access_token = what.values.count("refresh_token") == 0;
  Token* const token = FindToken(what.Value(by_access_token ? "access_token" : "refresh_token"));
  if (token == nullptr || token->is_refresh_token == by_access_token) {
    return ErrorOf(NetworkStep::kRefresh, "refresh_dead");
  }
  if (!IsGood(*token)) {
    if (network().refresh().reuse_ends_grant()) grants_[token->grant].has_ended = true;
    return ErrorOf(NetworkStep::kRefresh, "refresh_dead");
  }
  return HandOut(NetworkStep::kRefresh, token->grant, token);
}

ServedAnswer SimulatedNetwork::HandOut(NetworkStep step, size_t grant_index, Token* shown) {
  Grant& grant = grants_[grant_index];
  const Json& success = SuccessOf(step);
  const Json& told = success.at("tokens");
  Json body = ParsedBody(success);
  const std::string access_token = Fresh("at");
  tokens_[access_token] = {
      .grant = grant_index,
      .is_short_lived = step == NetworkStep::kExchange && network().has_long_lived()};
  FoundValues made = {{"{id_token}", IdTokenFor(grant)},
                      {told.at("access_token").get<std::string>(), access_token}};
  const std::string refresh_token = told.value("refresh_token", "");
  if (!refresh_token.empty() && HasText(body, refresh_token)) {
    const catalog::v1::Refresh& rules = network().refresh();
    const std::string before =
        SuccessOf(NetworkStep::kExchange).at("tokens").value("refresh_token", "");
    const bool is_new_one = rules.rotation() == catalog::v1::Refresh::ROTATION_ALWAYS ||
                            (rules.rotation() != catalog::v1::Refresh::ROTATION_NEVER &&
                             refresh_token != before && refresh_token != kRefreshToken);
    if (shown == nullptr || is_new_one) {
      if (shown != nullptr && rules.single_use()) shown->is_dead = true;
      grant.refresh_token = Fresh("rt");
      tokens_[grant.refresh_token] = {.grant = grant_index, .is_refresh_token = true};
    }
    made[refresh_token] = grant.refresh_token;
  }
  const bool asked_for_id_token =
      network().open_id().always() ||
      std::find(grant.scopes.begin(), grant.scopes.end(), "openid") != grant.scopes.end();
  if (step == NetworkStep::kExchange && network().has_open_id() && asked_for_id_token &&
      body.is_object() && !body.contains("id_token")) {
    body["id_token"] = "{id_token}";
  }
  ReplaceTexts(made, /*is_root=*/true, body);
  return ServedOf(success.value("status", 200), body);
}

ServedAnswer SimulatedNetwork::Profile(const Recognized& what) {
  const Token* const token = LiveToken(what);
  if (token == nullptr) return ErrorOf(NetworkStep::kProfile, "token_rejected");
  grants_[token->grant].profile_was_asked = true;
  return ServedOf(SuccessOf(NetworkStep::kProfile).value("status", 200),
                  BodyOf(NetworkStep::kProfile));
}

ServedAnswer SimulatedNetwork::List(const Recognized& what, const ServedRequest& request) {
  const NetworkStep step = what.shape->step;
  if (LiveToken(what) == nullptr) return ErrorOf(step, "token_rejected");
  const Accounts& accounts = network().accounts();
  const bool is_parents = step == NetworkStep::kParents;
  const std::string& list = is_parents ? accounts.parents().list() : accounts.list();
  const Accounts::Paging& paging = is_parents ? accounts.parents().paging() : accounts.paging();
  int parent = 0;
  if (!is_parents && accounts.has_parents()) {
    const auto values =
        SuccessOf(NetworkStep::kParents).at("values").get<std::vector<std::string>>();
    const auto found = std::find(values.begin(), values.end(), what.Value("parent"));
    if (found == values.end()) return Complain(step, "is for a parent that was not listed");
    parent = static_cast<int>(found - values.begin());
  }
  Json body = BodyOf(step);
  const int status = SuccessOf(step).value("status", 200);
  if (is_parents || pages_ == 0) {
    // The vector has one page, of the first parent.
    if (!what.page.empty() || parent > 0) {
      SetList(list, Json::array(), body);
      EndList(paging, body);
    }
    return ServedOf(status, body);
  }
  const int page = PageAskedFor(what.page, paging, accounts_per_page_);
  if (page < 0) return Complain(step, "is for a page that was not named");
  const Json element = body.at(JsonPointer(list)).at(0);
  Json elements = Json::array();
  for (int i = 0; i < accounts_per_page_ && page < pages_; ++i) {
    const int number = (parent * pages_ + page) * accounts_per_page_ + i;
    elements.push_back(NumberedAccount(accounts, element, number));
  }
  SetList(list, std::move(elements), body);
  EndList(paging, body);
  if (page + 1 < pages_) ContinueList(paging, request, page + 1, body);
  return ServedOf(status, body);
}

ServedAnswer SimulatedNetwork::Revocation(const Recognized& what) {
  const bool shows_refresh_token = what.values.count("refresh_token") > 0;
  // In its place, where there is none, an access token may be shown.
  Token* const token =
      shows_refresh_token ? FindToken(what.Value("refresh_token")) : LiveToken(what);
  if (token == nullptr || !IsGood(*token)) {
    const Json& successes = JsonOf(NetworkStep::kRevocation)->at("success");
    const Json& answer = successes.at(successes.size() > 1 ? 1 : 0);
    return ServedOf(answer.value("status", 200), ParsedBody(answer));
  }
  const bool ends_all =
      network().revocation().ends() == catalog::v1::Revocation::ENDS_ALL_OF_PERSON;
  const size_t index = token->grant;
  for (size_t i = 0; i < grants_.size(); ++i) {
    if (ends_all || i == index) grants_[i].has_ended = true;
  }
  const Json& answer = SuccessOf(NetworkStep::kRevocation);
  return ServedOf(answer.value("status", 200), ParsedBody(answer));
}

ServedAnswer SimulatedNetwork::ErrorOf(NetworkStep step, const std::string& list) const {
  const Json* const json = JsonOf(step == NetworkStep::kParents ? NetworkStep::kAccounts : step);
  const Json& answers = ListOf(*json, list);
  if (answers.empty()) return ErrorByRfc(list);
  return ServedOf(answers[0].value("status", 200), ParsedBody(answers[0]));
}

ServedAnswer SimulatedNetwork::Complain(NetworkStep step, absl::string_view fault) {
  complaints_.push_back(absl::StrCat(title_, ", ", NameOfStep(step), ": the request ", fault));
  return ErrorOf(step, "refused");
}

SimulatedNetwork::Token* SimulatedNetwork::FindToken(absl::string_view text) {
  const auto found = tokens_.find(text);
  return found == tokens_.end() ? nullptr : &found->second;
}

bool SimulatedNetwork::IsGood(const Token& token) const {
  return !token.is_dead && !grants_[token.grant].has_ended;
}

SimulatedNetwork::Token* SimulatedNetwork::LiveToken(const Recognized& what) {
  if (what.values.count("access_token") > 0) {
    Token* const token = FindToken(what.Value("access_token"));
    return token != nullptr && !token->is_refresh_token && IsGood(*token) ? token : nullptr;
  }
  Token* newest = nullptr;
  for (auto& [text, token] : tokens_) {
    const bool is_newer = newest == nullptr || token.grant >= newest->grant;
    if (is_newer && !token.is_refresh_token && IsGood(token)) newest = &token;
  }
  return newest;
}

std::string SimulatedNetwork::IdTokenFor(const Grant& grant) const {
  if (!network().has_open_id()) return "";
  Json claims = ObjectOf(flow_.json(), "id_token");
  if (claims.empty()) {
    // The vector's flow asks for none.
    const auto issuer = ExpandTemplate(network().open_id().issuer(), [&](absl::string_view name) {
      return EndpointValue(network(), settings_, name);
    });
    const Json* const profile = JsonOf(NetworkStep::kProfile);
    claims["iss"] = issuer.value_or("");
    claims["aud"] = settings_.client_key();
    claims["sub"] = "1";
    if (profile != nullptr) claims["sub"] = profile->at("success")[0].at("profile").at("id");
  }
  ReplaceTexts({{flow_.settings().client_key(), settings_.client_key()}}, /*is_root=*/false,
               claims);
  const absl::Time now = options_.clock();
  claims["iat"] = absl::ToUnixSeconds(now);
  claims["exp"] = absl::ToUnixSeconds(now + absl::Hours(1));
  if (!grant.nonce.empty()) claims["nonce"] = grant.nonce;
  return UnsignedJwt(claims);
}

// With characters that must be encoded, as vectors have them.
std::string SimulatedNetwork::Fresh(absl::string_view kind) {
  std::array<uint8_t, 12> bytes = {};
  FillRandom(bytes);
  return absl::StrCat(kind, "/+", ++made_, "-", Base64UrlEncode(AsChars(bytes)));
}

}  // namespace authurl::testing
