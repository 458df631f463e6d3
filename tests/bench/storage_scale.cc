// storage_scale.cc: what very many configurations cost: calls a second under Zipf's law, the time
// to start, memory, and reads of what is in no cache.

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <iostream>
#include <string>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "tests/bench/auth_url_calls.h"
#include "tests/bench/deployment.h"
#include "tests/bench/figures.h"
#include "tests/bench/load_process.h"
#include "tests/bench/process_usage.h"
#include "tests/bench/server_under_test.h"
#include "tests/bench/statistics.h"
#include "tests/support/temp_dir.h"

ABSL_FLAG(std::string, folder, "",
          "where the large deployment is kept for the next time; empty: in a temporary folder");
ABSL_FLAG(int64_t, organizations, 1'000'000, "of the large deployment; each has ten networks");
ABSL_FLAG(std::vector<std::string>, server_flags, {}, "further flags of the server");
ABSL_FLAG(int, cache_mib, 256, "what the server's cache may hold by those flags; for the table");
ABSL_FLAG(int, rounds, 5, "how often to measure each deployment");
ABSL_FLAG(absl::Duration, duration, absl::Seconds(5), "measured time of one measurement");
ABSL_FLAG(absl::Duration, fill, absl::Seconds(60),
          "how long the large deployment's cache is filled before each measurement");

namespace authurl::bench {
namespace {

constexpr DeploymentSize kSmall{.organizations = 100, .networks_each = 10};
constexpr int kChannels = 4;
constexpr int kInFlightPerChannel = 16;
constexpr double kMiB = 1 << 20;

std::string NameOf(ApiKeys keys) {
  return keys == ApiKeys::kService ? "one SERVICE key" : "each organisation's own key";
}

// Opens `file` for `use`, which returns false with errno set if it fails.
absl::Status WithOpenFile(const std::string& file, absl::FunctionRef<bool(int fd)> use) {
  const int fd = open(file.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return absl::ErrnoToStatus(errno, file);
  const absl::Status status = use(fd) ? absl::OkStatus() : absl::ErrnoToStatus(errno, file);
  close(fd);
  return status;
}

// Has the operating system keep the database in memory, as it has where a server has run for a
// while and memory suffices. What an earlier run left there would make figures depend on history.
absl::Status ReadIntoPageCache(const std::string& file) {
  return WithOpenFile(file, [](int fd) {
    std::vector<char> buffer(1 << 20);
    ssize_t length = 0;
    do {
      length = read(fd, buffer.data(), buffer.size());
    } while (length > 0);
    return length == 0;
  });
}

// Has it forget the database, so that reads go to the disk. REQUIRES: no server runs on it.
absl::Status DropFromPageCache(const std::string& file) {
  return WithOpenFile(file, [](int fd) {
    // What is not on the disk yet can't be dropped.
    if (fsync(fd) != 0) return false;
    errno = posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
    return errno == 0;
  });
}

struct Throughput {
  std::vector<double> calls_per_second;
  std::vector<double> p99_us;
  std::vector<double> server_us;
  std::vector<double> resident_mib;
  std::vector<double> start_ms;
};

// One round of a deployment, with a fresh server.
absl::Status MeasureThroughput(const Deployment& deployment, ApiKeys keys, absl::Duration warmup,
                               Throughput& measured) {
  if (absl::Status status = ReadIntoPageCache(deployment.database()); !status.ok()) return status;
  auto server = ServerUnderTest::Start(deployment, absl::GetFlag(FLAGS_server_flags));
  if (!server.ok()) return server.status();
  LoadOptions options;
  options.target = (*server)->address();
  options.server = (*server)->pid();
  options.calls = PopularAuthUrls(deployment, keys);
  options.first_number = 1'000'000'000 * measured.calls_per_second.size();
  options.channels = kChannels;
  options.in_flight_per_channel = kInFlightPerChannel;
  options.warmup = warmup;
  options.duration = absl::GetFlag(FLAGS_duration);
  const auto result = RunLoadInChild(options);
  if (!result.ok()) return result.status();
  measured.calls_per_second.push_back(result->CallsPerSecond());
  measured.p99_us.push_back(result->LatencyUs(0.99));
  measured.server_us.push_back(result->ServerCpuPerCall());
  const ResidentMemory memory = ResidentMemoryOf((*server)->pid());
  measured.resident_mib.push_back(static_cast<double>(memory.peak_bytes) / kMiB);
  measured.start_ms.push_back(absl::ToDoubleMilliseconds((*server)->start_time()));
  absl::FPrintF(stderr, "%d configurations, %s: %.0f calls/s\n", deployment.size().configurations(),
                NameOf(keys), measured.calls_per_second.back());
  return (*server)->Stop();
}

void PrintThroughput(const Deployment& deployment, ApiKeys keys, const Throughput& measured) {
  absl::PrintF("| %d | %s | %s | %s | %s | %s | %s |\n", deployment.size().configurations(),
               NameOf(keys), MedianAndRange(measured.calls_per_second, 0),
               MedianAndRange(measured.p99_us, 0), MedianAndRange(measured.server_us, 1),
               MedianAndRange(measured.start_ms, 0), MedianAndRange(measured.resident_mib, 0));
}

absl::Status CompareThroughput(const Deployment& small, const Deployment& large, Figures& figures) {
  absl::PrintF(
      "| configurations | callers | calls/s | p99 us | server us/call | start ms | peak RSS MiB |\n"
      "|---|---|---|---|---|---|---|\n");
  for (const ApiKeys keys : {ApiKeys::kService, ApiKeys::kOwn}) {
    Throughput of_small;
    Throughput of_large;
    for (int round = 0; round < absl::GetFlag(FLAGS_rounds); ++round) {
      absl::Status status = MeasureThroughput(small, keys, absl::Seconds(1), of_small);
      if (status.ok()) {
        status = MeasureThroughput(large, keys, absl::GetFlag(FLAGS_fill), of_large);
      }
      if (!status.ok()) return status;
    }
    PrintThroughput(small, keys, of_small);
    PrintThroughput(large, keys, of_large);
    const double ratio = Median(Ratios(of_large.calls_per_second, of_small.calls_per_second));
    if (keys == ApiKeys::kOwn) {
      figures.emplace_back("zipf_qps_ratio_own_keys", ratio);
      continue;
    }
    figures.emplace_back("zipf_qps_ratio", ratio);
    figures.emplace_back("start_ms", Median(of_large.start_ms));
    figures.emplace_back("rss_mib", Median(of_large.resident_mib));
    figures.emplace_back("rss_mib_over_cache",
                         Median(of_large.resident_mib) - absl::GetFlag(FLAGS_cache_mib));
  }
  return absl::OkStatus();
}

struct Latencies {
  std::vector<double> p50_us;
  std::vector<double> p99_us;
  uint64_t calls = 0;
  uint64_t next_number = 0;
};

// One call at a time, so that it is the read and not the queue that is measured. Each round has a
// fresh server, and where `dropped` the file is not in the operating system's cache either.
absl::StatusOr<Latencies> MeasureLatency(const Deployment& deployment, const CallSource& calls,
                                         uint64_t first_number, bool dropped) {
  Latencies latencies;
  latencies.next_number = first_number;
  for (int round = 0; round < absl::GetFlag(FLAGS_rounds); ++round) {
    absl::Status status = dropped ? DropFromPageCache(deployment.database())
                                  : ReadIntoPageCache(deployment.database());
    if (!status.ok()) return status;
    auto server = ServerUnderTest::Start(deployment, absl::GetFlag(FLAGS_server_flags));
    if (!server.ok()) return server.status();
    LoadOptions options;
    options.target = (*server)->address();
    options.server = (*server)->pid();
    options.calls = calls;
    options.first_number = latencies.next_number;
    options.duration = absl::GetFlag(FLAGS_duration);
    const auto result = RunLoadInChild(options);
    if (!result.ok()) return result.status();
    latencies.p50_us.push_back(result->LatencyUs(0.5));
    latencies.p99_us.push_back(result->LatencyUs(0.99));
    latencies.calls += result->calls;
    latencies.next_number = result->next_number;
    if (status = (*server)->Stop(); !status.ok()) return status;
  }
  return latencies;
}

absl::Status MeasureColdReads(const Deployment& deployment, Figures& figures) {
  struct Case {
    const char* what;
    CallSource calls;
    bool dropped;
    const char* figure;
  };
  const CallSource untouched = UntouchedAuthUrls(deployment);
  const std::vector<Case> cases = {
      {"always the same configuration", SameAuthUrl(), false, "warm_read_p99_ms"},
      {"one never asked for before", untouched, false, "cold_read_p99_ms"},
      {"the same, the file dropped from the page cache", untouched, true, "cold_disk_read_p99_ms"},
  };
  absl::PrintF(
      "| configurations | one call at a time, for | calls | p50 us | p99 us |\n"
      "|---|---|---|---|---|\n");
  uint64_t next_number = 0;
  for (const Case& each : cases) {
    const auto latencies = MeasureLatency(deployment, each.calls, next_number, each.dropped);
    if (!latencies.ok()) return latencies.status();
    next_number = latencies->next_number;
    absl::PrintF("| %d | %s | %d | %s | %s |\n", deployment.size().configurations(), each.what,
                 latencies->calls, MedianAndRange(latencies->p50_us, 0),
                 MedianAndRange(latencies->p99_us, 0));
    figures.emplace_back(each.figure, Median(latencies->p99_us) / 1000);
  }
  return absl::OkStatus();
}

absl::Status Measure() {
  const testing::TempDir temporary;
  const std::string folder = absl::GetFlag(FLAGS_folder);
  const auto small = Deployment::Make(temporary.File("small"), kSmall);
  if (!small.ok()) return small.status();
  const auto large =
      Deployment::Make(folder.empty() ? temporary.File("large") : folder,
                       {.organizations = absl::GetFlag(FLAGS_organizations), .networks_each = 10});
  if (!large.ok()) return large.status();
  absl::PrintF("The large database has %.0f bytes for each configuration.\n\n",
               large->bytes_per_configuration());
  Figures figures;
  if (absl::Status status = MeasureColdReads(*large, figures); !status.ok()) return status;
  absl::PrintF("\n");
  if (absl::Status status = CompareThroughput(*small, *large, figures); !status.ok()) return status;
  figures.emplace_back("bytes_per_configuration", large->bytes_per_configuration());
  figures.emplace_back("share_of_others", ShareOfOthersSoFar());
  PrintFigures(figures);
  return absl::OkStatus();
}

}  // namespace
}  // namespace authurl::bench

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage("Measures the server with very many configurations.");
  absl::ParseCommandLine(argc, argv);
  const absl::Status status = authurl::bench::Measure();
  if (status.ok()) return 0;
  std::cerr << "storage_scale: " << status << "\n";
  return 1;
}
