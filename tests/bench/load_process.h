// load_process.h: a load in a process of its own, so that every measurement has a fresh client and
// the benchmark itself needs no processor time meanwhile.
#pragma once

#include <memory>
#include <utility>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "tests/bench/child_process.h"
#include "tests/bench/load_client.h"

namespace authurl::bench {

class LoadProcess final {
 public:
  // Starts RunLoad(options), or another load. REQUIRES: what ChildProcess::Fork() does.
  static absl::StatusOr<LoadProcess> Start(const LoadOptions& options);
  static absl::StatusOr<LoadProcess> Start(absl::FunctionRef<absl::StatusOr<LoadResult>()> load);
  // Waits for its end. To be called once.
  absl::StatusOr<LoadResult> Wait();

 private:
  explicit LoadProcess(std::unique_ptr<ChildProcess> child) : child_(std::move(child)) {}

  std::unique_ptr<ChildProcess> child_;
};

absl::StatusOr<LoadResult> RunLoadInChild(const LoadOptions& options);
absl::StatusOr<LoadResult> RunLoadInChild(absl::FunctionRef<absl::StatusOr<LoadResult>()> load);

// LoadResult::ShareOfOthers() of the loads that were waited for: their median. What was measured
// while it is more than some hundredths is noise in part.
double ShareOfOthersSoFar();

}  // namespace authurl::bench
