#include "core/pattern.h"

#include <re2/re2.h>

#include "absl/strings/str_cat.h"

namespace authurl {
namespace {

// RE2 has a string view of its own.
re2::StringPiece AsPiece(absl::string_view text) { return {text.data(), text.size()}; }

}  // namespace

absl::Status CheckPattern(absl::string_view pattern) {
  const RE2 compiled(AsPiece(pattern), RE2::Quiet);
  if (compiled.ok() && !pattern.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("is no RE2 expression: ", pattern.empty() ? "it is empty" : compiled.error()));
}

bool MatchesInFull(absl::string_view text, absl::string_view pattern) {
  return RE2::FullMatch(AsPiece(text), RE2(AsPiece(pattern), RE2::Quiet));
}

bool MatchesSomewhere(absl::string_view text, absl::string_view pattern) {
  return RE2::PartialMatch(AsPiece(text), RE2(AsPiece(pattern), RE2::Quiet));
}

}  // namespace authurl
