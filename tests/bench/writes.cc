// writes.cc: how many writes a second are acknowledged, and what writes cost those who read.

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <iostream>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "tests/bench/auth_url_calls.h"
#include "tests/bench/deployment.h"
#include "tests/bench/figures.h"
#include "tests/bench/load_process.h"
#include "tests/bench/server_under_test.h"
#include "tests/bench/statistics.h"
#include "tests/support/temp_dir.h"

ABSL_FLAG(std::vector<std::string>, server_flags, {}, "further flags of the server");
ABSL_FLAG(int, rounds, 5, "how often to measure each case");
ABSL_FLAG(absl::Duration, duration, absl::Seconds(3), "measured time of one measurement");
ABSL_FLAG(double, reads_per_second, 3000, "the rate of GetAuthUrl beside which writes run");
ABSL_FLAG(double, writes_per_second, 200, "the rate of those writes");

namespace authurl::bench {
namespace {

// Room for all the configurations that a run can create.
constexpr DeploymentSize kEmpty{.organizations = 50'000, .networks_each = 0};
constexpr DeploymentSize kRead{.organizations = 100, .networks_each = 10};

// --- acknowledged writes ---

// CreateSocialNetwork with `callers` callers who each wait for the acknowledgement. `next_number`
// moves on, so that nothing is created twice.
absl::StatusOr<LoadResult> Create(const Deployment& deployment, int channels,
                                  int callers_per_channel, uint64_t& next_number) {
  auto server = ServerUnderTest::Start(deployment, absl::GetFlag(FLAGS_server_flags));
  if (!server.ok()) return server.status();
  LoadOptions options;
  options.target = (*server)->address();
  options.server = (*server)->pid();
  options.calls = NewConfigurations(deployment);
  options.first_number = next_number;
  options.channels = channels;
  options.in_flight_per_channel = callers_per_channel;
  options.duration = absl::GetFlag(FLAGS_duration);
  const auto result = RunLoadInChild(options);
  if (!result.ok()) return result.status();
  next_number = result->next_number;
  if (absl::Status status = (*server)->Stop(); !status.ok()) return status;
  return result;
}

absl::Status CompareCallers(Figures& figures) {
  const testing::TempDir folder;
  const auto deployment = Deployment::Make(folder.File("empty"), kEmpty);
  if (!deployment.ok()) return deployment.status();
  struct Case {
    const char* name;
    int channels;
    int callers_per_channel;
    std::vector<double> writes_per_second;
    std::vector<double> p50_us;
    std::vector<double> p99_us;
    std::vector<double> cpu_us;
  };
  std::vector<Case> cases = {{"1", 1, 1, {}, {}, {}, {}}, {"64", 4, 16, {}, {}, {}, {}}};
  uint64_t next_number = 0;
  for (int round = 0; round < absl::GetFlag(FLAGS_rounds); ++round) {
    for (Case& each : cases) {
      const auto result = Create(*deployment, each.channels, each.callers_per_channel, next_number);
      if (!result.ok()) return result.status();
      each.writes_per_second.push_back(result->CallsPerSecond());
      each.p50_us.push_back(result->LatencyUs(0.5));
      each.p99_us.push_back(result->LatencyUs(0.99));
      each.cpu_us.push_back(result->ServerCpuPerCall());
      absl::FPrintF(stderr, "%s callers: %.0f writes/s\n", each.name, result->CallsPerSecond());
    }
  }
  absl::PrintF(
      "| callers of CreateSocialNetwork | acknowledged/s | p50 us | p99 us | server us/call |\n"
      "|---|---|---|---|---|\n");
  for (const Case& each : cases) {
    absl::PrintF("| %s | %s | %s | %s | %s |\n", each.name,
                 MedianAndRange(each.writes_per_second, 0), MedianAndRange(each.p50_us, 0),
                 MedianAndRange(each.p99_us, 0), MedianAndRange(each.cpu_us, 0));
  }
  figures.emplace_back("write_ratio",
                       Median(Ratios(cases[1].writes_per_second, cases[0].writes_per_second)));
  figures.emplace_back("writes_per_second", Median(cases[1].writes_per_second));
  figures.emplace_back("writes_per_second_one_caller", Median(cases[0].writes_per_second));
  return absl::OkStatus();
}

// --- reads beside writes ---

struct Latencies {
  std::vector<double> p50_us;
  std::vector<double> p99_us;

  void Add(const LoadResult& result) {
    p50_us.push_back(result.LatencyUs(0.5));
    p99_us.push_back(result.LatencyUs(0.99));
  }
};

LoadOptions ReadsAtFixedRate(const Deployment& deployment, const ServerUnderTest& server) {
  LoadOptions reading;
  reading.target = server.address();
  reading.server = server.pid();
  reading.calls = PopularAuthUrls(deployment, ApiKeys::kOwn);
  reading.channels = 4;
  reading.calls_per_second = absl::GetFlag(FLAGS_reads_per_second);
  reading.warmup = absl::Seconds(1);
  return reading;
}

// GetAuthUrl at a fixed rate, alone or with writes beside it, which go to the end of `writes`.
absl::Status Read(const Deployment& deployment, uint64_t& next_write, Latencies& reads,
                  Latencies* writes) {
  auto server = ServerUnderTest::Start(deployment, absl::GetFlag(FLAGS_server_flags));
  if (!server.ok()) return server.status();
  LoadOptions reading = ReadsAtFixedRate(deployment, **server);
  reading.duration = absl::GetFlag(FLAGS_duration);
  LoadOptions writing = reading;
  writing.calls = ConfigurationWrites(deployment);
  writing.first_number = next_write;
  writing.channels = 1;
  writing.calls_per_second = absl::GetFlag(FLAGS_writes_per_second);

  std::optional<LoadProcess> writer;
  if (writes != nullptr) {
    auto started = LoadProcess::Start(writing);
    if (!started.ok()) return started.status();
    writer = *std::move(started);
  }
  const auto read = RunLoadInChild(reading);
  if (!read.ok()) return read.status();
  reads.Add(*read);
  if (writer.has_value()) {
    const auto written = writer->Wait();
    if (!written.ok()) return written.status();
    next_write = written->next_number;
    writes->Add(*written);
  }
  absl::FPrintF(stderr, "%s: p99 %.0f us\n", writes == nullptr ? "alone" : "beside writes",
                reads.p99_us.back());
  return (*server)->Stop();
}

absl::Status CompareReads(Figures& figures) {
  const testing::TempDir folder;
  const auto deployment = Deployment::Make(folder.File("read"), kRead);
  if (!deployment.ok()) return deployment.status();
  Latencies alone;
  Latencies beside;
  Latencies writes;
  uint64_t next_write = 0;
  for (int round = 0; round < absl::GetFlag(FLAGS_rounds); ++round) {
    absl::Status status = Read(*deployment, next_write, alone, nullptr);
    if (status.ok()) status = Read(*deployment, next_write, beside, &writes);
    if (!status.ok()) return status;
  }
  absl::PrintF("\n| at a fixed rate | p50 us | p99 us |\n|---|---|---|\n");
  const auto print = [](const char* what, double rate, const Latencies& latencies) {
    absl::PrintF("| %s, %.0f/s | %s | %s |\n", what, rate, MedianAndRange(latencies.p50_us, 0),
                 MedianAndRange(latencies.p99_us, 0));
  };
  print("GetAuthUrl alone", absl::GetFlag(FLAGS_reads_per_second), alone);
  print("GetAuthUrl beside writes", absl::GetFlag(FLAGS_reads_per_second), beside);
  print("those writes", absl::GetFlag(FLAGS_writes_per_second), writes);
  figures.emplace_back("read_p99_ratio_beside_writes", Median(Ratios(beside.p99_us, alone.p99_us)));
  return absl::OkStatus();
}

// --- reads beside one write that takes long ---

// Server processes that are started while this lives have a disk that can be made slow.
class SlowDisk final {
 public:
  SlowDisk() {
    setenv("LD_PRELOAD", AUTHURL_SLOW_DISK_LIBRARY, 1);
    setenv("AUTHURL_BENCH_SLOW_DISK", marker_.c_str(), 1);
    setenv("AUTHURL_BENCH_SYNC_SECONDS", "7", 1);
  }
  ~SlowDisk() {
    for (const char* name :
         {"LD_PRELOAD", "AUTHURL_BENCH_SLOW_DISK", "AUTHURL_BENCH_SYNC_SECONDS"}) {
      unsetenv(name);
    }
  }
  SlowDisk(const SlowDisk&) = delete;
  SlowDisk& operator=(const SlowDisk&) = delete;

  void MakeSlow() { folder_.Write("slow", ""); }
  void MakeFast() { std::filesystem::remove(marker_); }

 private:
  const testing::TempDir folder_;
  const std::string marker_ = folder_.File("slow");
};

// GetAuthUrl at a fixed rate, before and during a write that takes 7 s, in the same server.
absl::Status ReadBesideSlowWrite(const Deployment& deployment, uint64_t& next_write,
                                 Latencies& alone, Latencies& beside) {
  SlowDisk disk;
  auto server = ServerUnderTest::Start(deployment, absl::GetFlag(FLAGS_server_flags));
  if (!server.ok()) return server.status();
  LoadOptions reading = ReadsAtFixedRate(deployment, **server);
  reading.duration = absl::Seconds(4);
  const auto before = RunLoadInChild(reading);
  if (!before.ok()) return before.status();

  LoadOptions writing = reading;
  writing.calls = ConfigurationWrites(deployment);
  writing.first_number = next_write;
  writing.channels = 1;
  writing.calls_per_second = 0;
  writing.in_flight_per_channel = 1;
  writing.warmup = absl::ZeroDuration();
  // A commit may sync more than once.
  writing.call_deadline = absl::Minutes(1);
  // Until some time after the disk is fast again.
  writing.duration = absl::Seconds(16);
  disk.MakeSlow();
  auto writer = LoadProcess::Start(writing);
  if (!writer.ok()) return writer.status();
  const auto during = RunLoadInChild(reading);
  if (!during.ok()) return during.status();
  disk.MakeFast();
  const auto written = writer->Wait();
  if (!written.ok()) return written.status();
  next_write = written->next_number;
  // Nothing is said where the write was over before the reads were.
  if (written->LatencyUs(1.0) < absl::ToDoubleMicroseconds(absl::Seconds(6))) {
    return absl::InternalError("the write was not slow");
  }
  alone.Add(*before);
  beside.Add(*during);
  absl::FPrintF(stderr, "p99 %.0f us, beside a slow write %.0f us\n", alone.p99_us.back(),
                beside.p99_us.back());
  return (*server)->Stop();
}

absl::Status CompareReadsBesideSlowWrites(Figures& figures) {
  const testing::TempDir folder;
  const auto deployment = Deployment::Make(folder.File("slow"), kRead);
  if (!deployment.ok()) return deployment.status();
  Latencies alone;
  Latencies beside;
  uint64_t next_write = 0;
  for (int round = 0; round < absl::GetFlag(FLAGS_rounds); ++round) {
    const absl::Status status = ReadBesideSlowWrite(*deployment, next_write, alone, beside);
    if (!status.ok()) return status;
  }
  absl::PrintF("\n| GetAuthUrl at %.0f/s | p50 us | p99 us |\n|---|---|---|\n",
               absl::GetFlag(FLAGS_reads_per_second));
  for (const auto& [what, latencies] :
       {std::pair("alone", &alone), std::pair("during a write of 7 s", &beside)}) {
    absl::PrintF("| %s | %s | %s |\n", what, MedianAndRange(latencies->p50_us, 0),
                 MedianAndRange(latencies->p99_us, 0));
  }
  figures.emplace_back("read_p99_ratio_during_slow_write",
                       Median(Ratios(beside.p99_us, alone.p99_us)));
  return absl::OkStatus();
}

absl::Status Measure() {
  Figures figures;
  if (absl::Status status = CompareCallers(figures); !status.ok()) return status;
  if (absl::Status status = CompareReads(figures); !status.ok()) return status;
  if (absl::Status status = CompareReadsBesideSlowWrites(figures); !status.ok()) return status;
  figures.emplace_back("share_of_others", ShareOfOthersSoFar());
  PrintFigures(figures);
  return absl::OkStatus();
}

}  // namespace
}  // namespace authurl::bench

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage("Measures writes, and reads beside them.");
  absl::ParseCommandLine(argc, argv);
  const absl::Status status = authurl::bench::Measure();
  if (status.ok()) return 0;
  std::cerr << "writes: " << status << "\n";
  return 1;
}
