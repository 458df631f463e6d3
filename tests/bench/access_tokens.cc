// access_tokens.cc: GetAccessToken where memory has account and grant, against GetAuthUrl.

#include <cstdint>
#include <cstdio>
#include <iostream>
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
#include "tests/bench/access_token_calls.h"
#include "tests/bench/deployment.h"
#include "tests/bench/figures.h"
#include "tests/bench/load_process.h"
#include "tests/bench/server_under_test.h"
#include "tests/bench/statistics.h"
#include "tests/support/temp_dir.h"

ABSL_FLAG(std::vector<std::string>, server_flags, {}, "further flags of the server");
ABSL_FLAG(int, organizations, 100, "each with ten networks, and a key that may read tokens");
ABSL_FLAG(int, accounts_each, 100, "accounts of an organisation");
ABSL_FLAG(int, channels, 4, "connections");
ABSL_FLAG(int, in_flight, 16, "calls in flight on each connection");
ABSL_FLAG(int, rounds, 9, "how often to measure each case");
ABSL_FLAG(absl::Duration, duration, absl::Seconds(2), "measured time of one measurement");

namespace authurl::bench {
namespace {

struct Case {
  const char* name;
  CallSource calls;
  uint64_t next_number = 0;
  std::vector<double> calls_per_second = {};
  std::vector<double> p50_us = {};
  std::vector<double> p99_us = {};
  std::vector<double> server_us = {};
  uint64_t response_bytes = 0;
};

LoadOptions OptionsFor(const ServerUnderTest& server) {
  LoadOptions options;
  options.target = server.address();
  options.server = server.pid();
  options.channels = absl::GetFlag(FLAGS_channels);
  options.in_flight_per_channel = absl::GetFlag(FLAGS_in_flight);
  options.warmup = absl::Milliseconds(500);
  options.duration = absl::GetFlag(FLAGS_duration);
  return options;
}

absl::Status Measure(const ServerUnderTest& server, Case& measured) {
  LoadOptions options = OptionsFor(server);
  options.calls = measured.calls;
  options.first_number = measured.next_number;
  const auto result = RunLoadInChild(options);
  if (!result.ok()) return result.status();
  measured.next_number = result->next_number;
  measured.calls_per_second.push_back(result->CallsPerSecond());
  measured.p50_us.push_back(result->LatencyUs(0.5));
  measured.p99_us.push_back(result->LatencyUs(0.99));
  measured.server_us.push_back(result->ServerCpuPerCall());
  measured.response_bytes = result->response_bytes;
  absl::FPrintF(stderr, "%s: %.0f calls/s, server %.1f us/call, others %.0f %%\n", measured.name,
                measured.calls_per_second.back(), measured.server_us.back(),
                100 * result->ShareOfOthers());
  return absl::OkStatus();
}

// Asks for each account until memory has them all.
absl::Status Fill(const ServerUnderTest& server, const Deployment& deployment) {
  LoadOptions options = OptionsFor(server);
  options.calls = EachAccessToken(deployment);
  options.warmup = absl::ZeroDuration();
  options.duration = absl::Seconds(1);
  const auto accounts =
      static_cast<uint64_t>(deployment.size().organizations * deployment.size().accounts_each);
  while (options.first_number < accounts) {
    const auto result = RunLoadInChild(options);
    if (!result.ok()) return result.status();
    options.first_number = result->next_number;
  }
  return absl::OkStatus();
}

absl::Status Compare() {
  const testing::TempDir folder;
  const auto deployment = Deployment::Make(folder.File("deployment"),
                                           {.organizations = absl::GetFlag(FLAGS_organizations),
                                            .networks_each = static_cast<int>(kNetworks.size()),
                                            .accounts_each = absl::GetFlag(FLAGS_accounts_each)});
  if (!deployment.ok()) return deployment.status();
  std::vector<Case> cases = {{"GetAuthUrl", RandomAuthUrls(*deployment)},
                             {"GetAccessToken", RandomAccessTokens(*deployment)}};
  for (int round = 0; round < absl::GetFlag(FLAGS_rounds); ++round) {
    auto server = ServerUnderTest::Start(*deployment, absl::GetFlag(FLAGS_server_flags));
    if (!server.ok()) return server.status();
    absl::Status status = Fill(**server, *deployment);
    for (size_t i = 0; i < cases.size() && status.ok(); ++i) {
      status = Measure(**server, cases[(i + static_cast<size_t>(round)) % cases.size()]);
    }
    if (status.ok()) status = (*server)->Stop();
    if (!status.ok()) return status;
  }
  const Case& base = cases[0];
  absl::PrintF(
      "| method | response bytes | calls/s | QPS ratio (range) | p50 us | p99 us | server us/call "
      "|\n|---|---|---|---|---|---|---|\n");
  for (const Case& each : cases) {
    absl::PrintF("| %s | %d | %s | %s | %s | %s | %s |\n", each.name, each.response_bytes,
                 MedianAndRange(each.calls_per_second, 0),
                 MedianAndRange(Ratios(each.calls_per_second, base.calls_per_second)),
                 MedianAndRange(each.p50_us, 0), MedianAndRange(each.p99_us, 0),
                 MedianAndRange(each.server_us, 1));
  }
  PrintFigures(
      {{"access_token_qps_ratio", Median(Ratios(cases[1].calls_per_second, base.calls_per_second))},
       {"access_token_cpu_ratio", Median(Ratios(cases[1].server_us, base.server_us))},
       {"share_of_others", ShareOfOthersSoFar()}});
  return absl::OkStatus();
}

}  // namespace
}  // namespace authurl::bench

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage("Compares reading access tokens from memory with GetAuthUrl.");
  absl::ParseCommandLine(argc, argv);
  const absl::Status status = authurl::bench::Compare();
  if (status.ok()) return 0;
  std::cerr << "access_tokens: " << status << "\n";
  return 1;
}
