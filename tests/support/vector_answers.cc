#include "tests/support/vector_answers.h"

#include <algorithm>

#include "absl/strings/match.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "core/uri.h"

namespace authurl::testing {
namespace {

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

const Json& ErrorsOf(const VectorFlow& flow, NetworkStep step, const std::string& list) {
  const bool is_parents = step == NetworkStep::kParents;
  const std::string name(NameOfStep(is_parents ? NetworkStep::kAccounts : step));
  return ListOf(ObjectOf(flow.json(), name), list);
}

}  // namespace

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

bool HasVectorError(const VectorFlow& flow, NetworkStep step, const std::string& list) {
  return !ErrorsOf(flow, step, list).empty();
}

ServedAnswer VectorError(const VectorFlow& flow, NetworkStep step, const std::string& list) {
  const Json& answers = ErrorsOf(flow, step, list);
  if (answers.empty()) return ErrorByRfc(list);
  return ServedOf(answers[0].value("status", 200), ParsedBody(answers[0]));
}

const Json& VectorAnswers::SuccessOf(NetworkStep step) const {
  const auto chosen = chosen_.find(step);
  return JsonOfStep(flow_, step)->at("success").at(chosen == chosen_.end() ? 0 : chosen->second);
}

Json VectorAnswers::BodyOf(NetworkStep step) const {
  Json body = ParsedBody(SuccessOf(step));
  for (const NetworkStep list : {NetworkStep::kParents, NetworkStep::kAccounts}) {
    const Json* const profile = JsonOfStep(flow_, NetworkStep::kProfile);
    const Json* const other = JsonOfStep(flow_, list);
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

}  // namespace authurl::testing
