#include "server/observe/process_metrics.h"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>
#include <sys/resource.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/support/metrics_page.h"
#include "tests/support/status_matchers.h"

namespace authurl::testing {
namespace {

absl::StatusOr<MetricsPage> Read(const ProcessMetrics& metrics) {
  return ParseMetricsPage(prometheus::TextSerializer().Serialize(metrics.Collect()));
}

double Seconds(absl::Time time) { return absl::ToDoubleSeconds(time - absl::UnixEpoch()); }

TEST(ProcessMetricsTest, StartTimeIsThatOfTheProcess) {
  // A minute for a test program that has been at work; the unit's mistakes would be far larger.
  const double now = Seconds(absl::Now());
  ASSERT_OK_AND_ASSIGN(const MetricsPage page, Read(ProcessMetrics()));
  const double start = page.Value("process_start_time_seconds");
  EXPECT_LE(start, now + 1);
  EXPECT_GE(start, now - 3600);
}

TEST(ProcessMetricsTest, StartTimeStaysTheSame) {
  const ProcessMetrics metrics;
  ASSERT_OK_AND_ASSIGN(const MetricsPage first, Read(metrics));
  ASSERT_OK_AND_ASSIGN(const MetricsPage second, Read(metrics));
  EXPECT_EQ(first.Value("process_start_time_seconds"), second.Value("process_start_time_seconds"));
}

TEST(ProcessMetricsTest, FilesThatAreOpenedAreCounted) {
  const ProcessMetrics metrics;
  ASSERT_OK_AND_ASSIGN(const MetricsPage before, Read(metrics));
  std::vector<int> fds;
  fds.reserve(10);
  for (int i = 0; i < 10; ++i) fds.push_back(open("/dev/null", O_RDONLY | O_CLOEXEC));
  ASSERT_OK_AND_ASSIGN(const MetricsPage after, Read(metrics));
  for (const int fd : fds) close(fd);
  EXPECT_EQ(after.Value("process_open_fds"), before.Value("process_open_fds") + 10);
  rlimit limit = {};
  getrlimit(RLIMIT_NOFILE, &limit);
  EXPECT_EQ(after.Value("process_max_fds"), static_cast<double>(limit.rlim_cur));
}

TEST(ProcessMetricsTest, MemoryThatIsTouchedIsCounted) {
  const ProcessMetrics metrics;
  ASSERT_OK_AND_ASSIGN(const MetricsPage before, Read(metrics));
  constexpr size_t kBytes = 64 << 20;
  constexpr double kMostOfThem = 60 << 20;
  const std::string memory(kBytes, 'x');
  ASSERT_OK_AND_ASSIGN(const MetricsPage after, Read(metrics));
  EXPECT_EQ(memory.back(), 'x');
  for (const char* name : {"process_resident_memory_bytes", "process_virtual_memory_bytes"}) {
    EXPECT_GE(after.Value(name), before.Value(name) + kMostOfThem) << name;
  }
  EXPECT_GE(after.Value("process_virtual_memory_bytes"),
            after.Value("process_resident_memory_bytes"));
}

// User and system time, in seconds.
double CpuTime() {
  rusage usage = {};
  getrusage(RUSAGE_SELF, &usage);
  return static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
         static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

TEST(ProcessMetricsTest, CpuTimeThatIsSpentIsCounted) {
  const ProcessMetrics metrics;
  ASSERT_OK_AND_ASSIGN(const MetricsPage before, Read(metrics));
  const double start = CpuTime();
  while (CpuTime() < start + 0.05) {
  }
  ASSERT_OK_AND_ASSIGN(const MetricsPage after, Read(metrics));
  EXPECT_GE(after.Value("process_cpu_seconds_total"),
            before.Value("process_cpu_seconds_total") + 0.049);
  EXPECT_LE(after.Value("process_cpu_seconds_total"), CpuTime());
}

}  // namespace
}  // namespace authurl::testing
