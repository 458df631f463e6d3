// vector_answers.h: how a simulated network's answers are built from those of its vector.
#pragma once

#include <cstddef>
#include <map>
#include <string>

#include "tests/core/flow/vectors.h"
#include "tests/support/network_step.h"
#include "tests/support/served_message.h"
#include "tests/support/vector_text.h"

namespace authurl::testing {

// An answer's body: a tree, or a text that is no JSON.
Json ParsedBody(const Json& answer);

bool HasText(const Json& tree, const std::string& text);

// Whole texts of a tree; in a text that is no JSON, a form then, whatever is in it.
void ReplaceTexts(const FoundValues& by, bool is_root, Json& tree);

// With the headers that such a body has.
ServedAnswer ServedOf(int status, const Json& body);

// The vector's errors are in lists: "code_rejected", "try_again". Parents have those of accounts.
bool HasVectorError(const VectorFlow& flow, NetworkStep step, const std::string& list);
// The first of the list, or what the RFCs say where that is empty.
ServedAnswer VectorError(const VectorFlow& flow, NetworkStep step, const std::string& list);

// The vector's successes, of which each step has one that answers it. Not safe to use from several
// threads at once.
class VectorAnswers final {
 public:
  // `flow` outlives it.
  explicit VectorAnswers(const VectorFlow& flow) : flow_(flow) {}
  VectorAnswers(const VectorAnswers&) = delete;
  VectorAnswers& operator=(const VectorAnswers&) = delete;

  // The first one unless chosen.
  void Choose(NetworkStep step, size_t index) { chosen_[step] = index; }
  const Json& SuccessOf(NetworkStep step) const;
  // Of a step whose answer has no tokens. Where profile and list are the same request, both in one.
  Json BodyOf(NetworkStep step) const;

 private:
  const VectorFlow& flow_;
  std::map<NetworkStep, size_t> chosen_;
};

}  // namespace authurl::testing
