#include "core/flow/answer.h"

#include <algorithm>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"
#include "core/catalog/text_template.h"
#include "core/crypto/crypto.h"
#include "core/form.h"
#include "core/utf8.h"

namespace authurl {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxFormFields = 64;

// Makes a tree whose scalars are texts. Refuses what is too deep or has too many values.
class TreeBuilder final : public nlohmann::json_sax<Json> {
 public:
  explicit TreeBuilder(Json& root) : root_(root) {}

  bool null() override { return Put(""); }
  bool boolean(bool value) override { return Put(value ? "true" : "false"); }
  bool number_integer(number_integer_t value) override { return Put(absl::StrCat(value)); }
  bool number_unsigned(number_unsigned_t value) override { return Put(absl::StrCat(value)); }
  // Whatever fits no integer, as it was written.
  bool number_float(number_float_t /*value*/, const string_t& text) override { return Put(text); }
  bool string(string_t& text) override { return Put(std::move(text)); }
  bool binary(binary_t& /*bytes*/) override { return false; }
  bool start_object(size_t /*members*/) override { return Open(Json::object()); }
  bool key(string_t& name) override {
    key_ = std::move(name);
    return true;
  }
  bool end_object() override { return Close(); }
  bool start_array(size_t /*elements*/) override { return Open(Json::array()); }
  bool end_array() override { return Close(); }
  bool parse_error(size_t /*position*/, const std::string& /*token*/,
                   const nlohmann::detail::exception& /*error*/) override {
    return false;
  }

 private:
  Json& Place(Json value) {
    if (open_.empty()) return root_ = std::move(value);
    Json& in = *open_.back();
    if (in.is_array()) return in.emplace_back(std::move(value));
    // The last one of a name counts, as in JavaScript.
    return in[key_] = std::move(value);
  }
  bool Put(std::string text) {
    if (++values_ > kMaxAnswerValues) return false;
    Place(std::move(text));
    return true;
  }
  bool Open(Json empty) {
    if (open_.size() >= kMaxAnswerDepth || ++values_ > kMaxAnswerValues) return false;
    open_.push_back(&Place(std::move(empty)));
    return true;
  }
  bool Close() {
    open_.pop_back();
    return true;
  }

  Json& root_;
  std::vector<Json*> open_;
  int values_ = 0;
  std::string key_;
};

void WipeTree(Json& tree) {
  if (auto* text = tree.get_ptr<Json::string_t*>()) Wipe(*text);
  if (auto* array = tree.get_ptr<Json::array_t*>()) {
    for (Json& inner : *array) WipeTree(inner);
  }
  if (auto* object = tree.get_ptr<Json::object_t*>()) {
    for (auto& [name, inner] : *object) WipeTree(inner);
  }
}

bool ParseTree(absl::string_view body, Json& tree) {
  TreeBuilder builder(tree);
  return Json::sax_parse(body.begin(), body.end(), &builder);
}

// Pages, sentences and half of a JSON text have "=" in them, too, but not after such names.
bool IsFieldOfAnswer(const std::pair<std::string, std::string>& field) {
  const auto is_of_name = [](unsigned char c) {
    return absl::ascii_isalnum(c) || absl::StrContains("_.-[]", static_cast<char>(c));
  };
  const auto& [name, value] = field;
  return !name.empty() && !value.empty() && std::all_of(name.begin(), name.end(), is_of_name) &&
         IsUtf8(value);
}

// Null where it finds nothing, or the pointer is none.
const Json* At(const Json& tree, absl::string_view pointer) {
  const Json* found = &tree;
  while (!pointer.empty()) {
    if (!absl::ConsumePrefix(&pointer, "/")) return nullptr;
    const size_t end = pointer.find('/');
    const std::string token =
        absl::StrReplaceAll(pointer.substr(0, end), {{"~1", "/"}, {"~0", "~"}});
    pointer.remove_prefix(std::min(end, pointer.size()));
    if (found->is_object()) {
      const auto member = found->find(token);
      if (member == found->end()) return nullptr;
      found = &*member;
    } else if (found->is_array() && !found->empty()) {
      uint64_t index = 0;
      if (token == "-") {
        index = found->size() - 1;
      } else if (!absl::SimpleAtoi(token, &index) || index >= found->size()) {
        return nullptr;
      }
      found = &(*found)[index];
    } else {
      return nullptr;
    }
  }
  return found;
}

const Answer* SourceOf(SelectorRoot root, const Sources& sources) {
  switch (root) {
    case SelectorRoot::kAnswer:
      return sources.answer;
    case SelectorRoot::kToken:
      return sources.token;
    case SelectorRoot::kIdToken:
      return sources.id_token;
    case SelectorRoot::kCallback:
      return sources.callback;
    case SelectorRoot::kParent:
      return sources.parent;
    case SelectorRoot::kKept:
      return sources.kept;
  }
  return nullptr;
}

std::string Filtered(SelectorFilter filter, std::string text) {
  switch (filter) {
    case SelectorFilter::kNone:
      return text;
    case SelectorFilter::kLastSegment:
      return text.substr(text.rfind('/') + 1);
    case SelectorFilter::kHtml:
      return absl::StrReplaceAll(text, {{"&amp;", "&"},
                                        {"&lt;", "<"},
                                        {"&gt;", ">"},
                                        {"&quot;", "\""},
                                        {"&#39;", "'"},
                                        {"&#x27;", "'"}});
  }
  return text;
}

}  // namespace

struct Answer::Tree {
  Json root = Json(Json::value_t::null);
};

Answer::Answer() = default;
Answer::Answer(std::unique_ptr<Tree> tree) : tree_(std::move(tree)) {}
Answer::Answer(Answer&&) noexcept = default;
// What it held is wiped when `other` ends.
Answer& Answer::operator=(Answer&& other) noexcept {
  tree_.swap(other.tree_);
  return *this;
}
Answer::~Answer() {
  if (tree_ != nullptr) WipeTree(tree_->root);
}

std::optional<Answer> Answer::ParseJson(absl::string_view body) {
  if (body.size() > kMaxAnswerBytes) return std::nullopt;
  auto tree = std::make_unique<Tree>();
  const bool parsed = ParseTree(body, tree->root);
  Answer answer(std::move(tree));
  if (!parsed) return std::nullopt;
  return answer;
}

std::optional<Answer> Answer::Parse(absl::string_view body) {
  std::optional<Answer> json = ParseJson(body);
  if (json) return json;
  if (body.size() > kMaxAnswerBytes) return std::nullopt;
  std::optional<FormFields> form = ParseForm(body, kMaxFormFields);
  if (!form || form->empty() || !std::all_of(form->begin(), form->end(), IsFieldOfAnswer)) {
    return std::nullopt;
  }
  auto tree = std::make_unique<Tree>();
  tree->root = Json::object();
  for (auto& [name, value] : *form) tree->root[name] = std::move(value);
  Answer answer(std::move(tree));
  return answer;
}

Answer Answer::OfParameters(const std::map<std::string, std::string>& parameters) {
  auto tree = std::make_unique<Tree>();
  tree->root = Json::object();
  for (const auto& [name, value] : parameters) {
    Json inner;
    const bool is_tree =
        absl::StartsWith(value, "{") && value.size() <= kMaxAnswerBytes && ParseTree(value, inner);
    tree->root[name] = is_tree ? std::move(inner) : Json(value);
  }
  return Answer(std::move(tree));
}

std::optional<std::string> Answer::Find(absl::string_view pointer) const {
  const Json* found = tree_ == nullptr ? nullptr : At(tree_->root, pointer);
  if (found == nullptr || !found->is_string()) return std::nullopt;
  const std::string& text = found->get_ref<const std::string&>();
  if (text.empty()) return std::nullopt;
  return text;
}

std::vector<std::string> Answer::FindAll(absl::string_view pointer) const {
  std::vector<std::string> texts;
  const Json* found = tree_ == nullptr ? nullptr : At(tree_->root, pointer);
  if (found == nullptr) return texts;
  if (found->is_string()) {
    if (found->get_ref<const std::string&>().empty()) return texts;
    texts.push_back(*found);
  }
  if (!found->is_array()) return texts;
  for (const Json& element : *found) {
    if (element.is_string() && !element.get_ref<const std::string&>().empty()) {
      texts.push_back(element);
    }
  }
  return texts;
}

std::optional<std::vector<Answer>> Answer::Elements(absl::string_view pointer) const {
  const Json* found = tree_ == nullptr ? nullptr : At(tree_->root, pointer);
  if (found == nullptr || found->is_string()) return std::nullopt;
  std::vector<Answer> elements;
  const auto add = [&](const Json& element) {
    auto tree = std::make_unique<Tree>();
    tree->root = element;
    elements.push_back(Answer(std::move(tree)));
  };
  if (found->is_array()) {
    for (const Json& element : *found) add(element);
  } else {
    add(*found);
  }
  return elements;
}

std::optional<std::string> Select(absl::string_view selector, const Sources& sources) {
  const auto parts = ParseSelector(selector);
  if (!parts.ok()) return std::nullopt;
  std::string text;
  for (const SelectorPart& part : *parts) {
    if (!part.is_pointer) {
      absl::StrAppend(&text, part.text);
      continue;
    }
    const Answer* source = SourceOf(part.root, sources);
    std::optional<std::string> found = source == nullptr ? std::nullopt : source->Find(part.text);
    if (!found) return std::nullopt;
    absl::StrAppend(&text, Filtered(part.filter, *std::move(found)));
  }
  if (text.empty()) return std::nullopt;
  return text;
}

std::optional<std::string> Select(const SelectorList& selectors, const Sources& sources) {
  for (const std::string& selector : selectors) {
    std::optional<std::string> found = Select(selector, sources);
    if (found) return found;
  }
  return std::nullopt;
}

std::vector<std::string> SelectAll(const SelectorList& selectors, const Sources& sources) {
  for (const std::string& selector : selectors) {
    const auto parts = ParseSelector(selector);
    if (!parts.ok() || parts->size() != 1 || !parts->front().is_pointer) continue;
    const Answer* source = SourceOf(parts->front().root, sources);
    if (source == nullptr) continue;
    std::vector<std::string> found = source->FindAll(parts->front().text);
    if (!found.empty()) return found;
  }
  return {};
}

}  // namespace authurl
