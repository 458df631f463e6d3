// answer.h: what a network answered, as a tree of texts that selectors
// (proto/authurl/catalog/v1/completion.proto) read.
//
// Networks agree on little: errors come with status 200, JSON with the type text/plain, numbers as
// texts. So a body is taken for JSON (RFC 8259), else for a form, whatever its status and type
// say; and numbers are kept as the digits that came, because Meta's ids are larger than a double
// can hold.
//
// Answers are a stranger's: at most kMaxAnswerBytes, kMaxAnswerDepth levels, kMaxAnswerValues
// values (each costs a hundred bytes, and "[0,0" has one in two), UTF-8 only.
#pragma once

#include <cstddef>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "google/protobuf/repeated_ptr_field.h"

namespace authurl {

inline constexpr size_t kMaxAnswerBytes = size_t{1} << 20;
inline constexpr int kMaxAnswerDepth = 32;
inline constexpr int kMaxAnswerValues = 65'536;

// A JSON value; every scalar is a text, null an empty one. Wiped at its end: it may hold tokens.
class Answer final {
 public:
  // Empty: nothing can be found in it.
  Answer();
  ~Answer();
  Answer(Answer&&) noexcept;
  Answer& operator=(Answer&&) noexcept;
  Answer(const Answer&) = delete;
  Answer& operator=(const Answer&) = delete;

  // Nothing where it is neither JSON nor a form.
  static std::optional<Answer> Parse(absl::string_view body);
  // JSON only.
  static std::optional<Answer> ParseJson(absl::string_view body);
  // Of names and values; a value that is JSON is read as such.
  static Answer OfParameters(const std::map<std::string, std::string>& parameters);

  // What `pointer` (RFC 6901, with "-" for the last element) finds, if it is a text that is not
  // empty.
  std::optional<std::string> Find(absl::string_view pointer) const;
  // The texts of the array that it finds; one where it finds a text.
  std::vector<std::string> FindAll(absl::string_view pointer) const;
  // The elements of the array that it finds ("" finds the whole answer), copied; an object is an
  // array of one. Nothing where it finds neither.
  std::optional<std::vector<Answer>> Elements(absl::string_view pointer) const;

 private:
  struct Tree;
  explicit Answer(std::unique_ptr<Tree> tree);
  std::unique_ptr<Tree> tree_;  // Null when empty.
};

// Where selectors look. Every pointer may be null: nothing is found there.
struct Sources {
  const Answer* answer = nullptr;
  const Answer* token = nullptr;
  const Answer* id_token = nullptr;
  const Answer* callback = nullptr;
  const Answer* parent = nullptr;
  const Answer* kept = nullptr;
};

using SelectorList = google::protobuf::RepeatedPtrField<std::string>;

// What the first selector that finds something finds.
std::optional<std::string> Select(const SelectorList& selectors, const Sources& sources);
std::optional<std::string> Select(absl::string_view selector, const Sources& sources);
// All texts of the first array or text that is found. Pointers only.
std::vector<std::string> SelectAll(const SelectorList& selectors, const Sources& sources);

}  // namespace authurl
