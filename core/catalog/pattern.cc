#include "core/catalog/pattern.h"

#include <re2/re2.h>

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "absl/strings/str_cat.h"

namespace authurl {
namespace {

// RE2 has a string view of its own.
re2::StringPiece AsPiece(absl::string_view text) { return {text.data(), text.size()}; }

// The patterns in use, compiled: compiling them at each write took 7 % of its time.
class CompiledPatterns final {
 public:
  std::shared_ptr<const RE2> Get(absl::string_view pattern) {
    const std::lock_guard lock(mutex_);
    const auto known = patterns_.find(pattern);
    if (known != patterns_.end()) return known->second;
    // Many more than a catalog has: a process that reads catalog after catalog must not grow.
    if (patterns_.size() >= kMaxPatterns) patterns_.clear();
    auto compiled = std::make_shared<const RE2>(AsPiece(pattern), RE2::Quiet);
    return patterns_.emplace(std::string(pattern), std::move(compiled)).first->second;
  }

 private:
  static constexpr size_t kMaxPatterns = 1000;

  std::mutex mutex_;
  std::map<std::string, std::shared_ptr<const RE2>, std::less<>> patterns_;
};

std::shared_ptr<const RE2> Compiled(absl::string_view pattern) {
  static auto& patterns = *new CompiledPatterns;
  return patterns.Get(pattern);
}

}  // namespace

absl::Status CheckPattern(absl::string_view pattern) {
  const RE2 compiled(AsPiece(pattern), RE2::Quiet);
  if (compiled.ok() && !pattern.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      "is not a valid RE2 expression: ", pattern.empty() ? "it is empty" : compiled.error()));
}

bool MatchesInFull(absl::string_view text, absl::string_view pattern) {
  return RE2::FullMatch(AsPiece(text), *Compiled(pattern));
}

bool MatchesSomewhere(absl::string_view text, absl::string_view pattern) {
  return RE2::PartialMatch(AsPiece(text), *Compiled(pattern));
}

}  // namespace authurl
