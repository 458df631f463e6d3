#include "tests/bench/load_process.h"

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "tests/bench/statistics.h"

namespace authurl::bench {
namespace {

// What the child writes is the result's bytes, or an error's text; they differ in size.
constexpr size_t kResultBytes = sizeof(LoadResult);

// A process measures one thing at a time and ends.
std::vector<double>& SharesOfOthers() {
  static std::vector<double> shares;
  return shares;
}

int WriteLoad(absl::FunctionRef<absl::StatusOr<LoadResult>()> load, FILE* to_parent) {
  const absl::StatusOr<LoadResult> result = load();
  if (result.ok()) return fwrite(&*result, kResultBytes, 1, to_parent) == 1 ? 0 : 1;
  fputs(result.status().ToString().c_str(), to_parent);
  return 1;
}

}  // namespace

absl::StatusOr<LoadProcess> LoadProcess::Start(const LoadOptions& options) {
  return Start([&] { return RunLoad(options); });
}

absl::StatusOr<LoadProcess> LoadProcess::Start(
    absl::FunctionRef<absl::StatusOr<LoadResult>()> load) {
  auto child = ChildProcess::Fork([&](FILE* to_parent) { return WriteLoad(load, to_parent); });
  if (!child.ok()) return child.status();
  return LoadProcess(*std::move(child));
}

absl::StatusOr<LoadResult> LoadProcess::Wait() {
  const std::string written = child_->ReadAll();
  const int exit_code = child_->Wait();
  if (exit_code != 0 || written.size() != kResultBytes) {
    return absl::UnknownError(written.empty() ? "the load client ended early" : written);
  }
  LoadResult result;
  std::memcpy(&result, written.data(), kResultBytes);
  SharesOfOthers().push_back(result.ShareOfOthers());
  return result;
}

absl::StatusOr<LoadResult> RunLoadInChild(const LoadOptions& options) {
  return RunLoadInChild([&] { return RunLoad(options); });
}

absl::StatusOr<LoadResult> RunLoadInChild(absl::FunctionRef<absl::StatusOr<LoadResult>()> load) {
  absl::StatusOr<LoadProcess> process = LoadProcess::Start(load);
  if (!process.ok()) return process.status();
  return process->Wait();
}

double ShareOfOthersSoFar() { return SharesOfOthers().empty() ? 0 : Median(SharesOfOthers()); }

}  // namespace authurl::bench
