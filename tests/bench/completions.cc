// completions.cc: how many flows a second are completed, against libcurl alone asking the same
// network the same; and what flows that wait for a network cost those who ask for URLs.

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstdio>
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
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "tests/bench/app_process.h"
#include "tests/bench/auth_flows.h"
#include "tests/bench/auth_url_calls.h"
#include "tests/bench/bare_curl.h"
#include "tests/bench/deployment.h"
#include "tests/bench/figures.h"
#include "tests/bench/load_process.h"
#include "tests/bench/network_process.h"
#include "tests/bench/statistics.h"
#include "tests/support/temp_dir.h"

ABSL_FLAG(int, rounds, 5, "how often to measure each case");
ABSL_FLAG(absl::Duration, duration, absl::Seconds(2),
          "measured time of completions and of libcurl");
ABSL_FLAG(absl::Duration, warmup, absl::Milliseconds(500), "time before any measured time");
ABSL_FLAG(absl::Duration, distance, absl::Milliseconds(100),
          "how long the exchange takes at a network as far as real ones are");
ABSL_FLAG(double, reads_per_second, 3000, "the rate of GetAuthUrl beside which flows wait");
ABSL_FLAG(
    absl::Duration, network_takes, absl::Seconds(5),
    "how long the slow network takes for an exchange, less than the server's patience of 10 s; "
    "GetAuthUrl is measured for half of it");

namespace authurl::bench {
namespace {

constexpr int kChannels = 4;
constexpr int kFlowsPerChannel = 16;
constexpr int kFlows = kChannels * kFlowsPerChannel;

// --- completions ---

enum class Contender : size_t { kCurlMulti, kCurlThreads, kCompleteAuth };
constexpr std::array<const char*, 3> kContenders = {"libcurl, one multi handle",
                                                    "libcurl, a thread each", "CompleteAuth"};
constexpr size_t IndexOf(Contender contender) { return static_cast<size_t>(contender); }

using Rounds = std::vector<LoadResult>;

template <typename Value>
std::vector<double> Of(const Rounds& rounds, Value value) {
  std::vector<double> values;
  for (const LoadResult& round : rounds) values.push_back(value(round));
  return values;
}
double PerSecond(const LoadResult& r) { return r.CallsPerSecond(); }
double P50(const LoadResult& r) { return r.LatencyUs(0.50); }
double P99(const LoadResult& r) { return r.LatencyUs(0.99); }
double ClientCpu(const LoadResult& r) { return r.client_cpu_us / static_cast<double>(r.calls); }
double ServerCpu(const LoadResult& r) { return r.ServerCpuPerCall(); }
double NetworkCpu(const LoadResult& r) { return r.network_cpu_us / static_cast<double>(r.calls); }

absl::StatusOr<LoadResult> AskAlone(CurlFrame frame, const NetworkProcess& network) {
  BareCurlOptions options;
  options.frame = frame;
  options.address = network.address();
  options.ca_file = network.ca_file();
  options.flows = kFlows;
  options.warmup = absl::GetFlag(FLAGS_warmup);
  options.duration = absl::GetFlag(FLAGS_duration);
  options.network = network.pid();
  return RunLoadInChild([&] { return RunBareCurl(options); });
}

// CompleteAuth, with a fresh server. `most_per_second`: more are not completed.
absl::StatusOr<LoadResult> Complete(const Deployment& deployment, const NetworkProcess& network,
                                    double most_per_second) {
  const auto server = AppProcess::Start(deployment, network);
  if (!server.ok()) return server.status();
  LoadOptions options;
  options.target = (*server)->address();
  options.server = (*server)->pid();
  options.network = network.pid();
  options.channels = kChannels;
  options.in_flight_per_channel = kFlowsPerChannel;
  options.warmup = absl::GetFlag(FLAGS_warmup);
  options.duration = absl::GetFlag(FLAGS_duration);
  options.call_deadline = absl::Seconds(30);
  const double seconds = absl::ToDoubleSeconds(options.warmup + options.duration);
  const size_t flows = 2 * kFlows + static_cast<size_t>(1.5 * most_per_second * seconds);
  auto responses = BeginFlows(options.target, flows);
  if (!responses.ok()) return responses.status();
  options.calls = Completions(*std::move(responses));
  const int64_t profiles_before = network.profiles();
  auto result = RunLoadInChild(options);
  if (!result.ok()) return result.status();
  if (network.profiles() - profiles_before < static_cast<int64_t>(result->calls)) {
    return absl::InternalError("flows were completed without asking the network");
  }
  if (absl::Status status = (*server)->Stop(); !status.ok()) return status;
  return result;
}

void PrintCompletions(const std::array<Rounds, kContenders.size()>& results) {
  absl::PrintF(
      "| %d flows at a time | flows/s | ÷ the first (range) | ÷ the second (range) | p50 us "
      "| p99 us | client us/flow | server us/flow | network us/flow |\n"
      "|---|---|---|---|---|---|---|---|---|\n",
      kFlows);
  for (size_t i = 0; i < results.size(); ++i) {
    const auto ratio = [&](size_t base) {
      return i == base
                 ? "1"
                 : MedianAndRange(Ratios(Of(results[i], PerSecond), Of(results[base], PerSecond)));
    };
    absl::PrintF("| %s | %s | %s | %s | %.0f | %.0f | %.0f | %.0f | %.0f |\n", kContenders[i],
                 MedianAndRange(Of(results[i], PerSecond), 0), ratio(0), ratio(1),
                 Median(Of(results[i], P50)), Median(Of(results[i], P99)),
                 Median(Of(results[i], ClientCpu)), Median(Of(results[i], ServerCpu)),
                 Median(Of(results[i], NetworkCpu)));
  }
}

// At a network whose exchange takes that long. The figures' names end in `suffix`.
absl::Status CompareCompletions(absl::Duration exchange_takes, absl::string_view suffix,
                                Figures& figures) {
  const testing::TempDir folder;
  const auto deployment = Deployment::Make(folder.File("completions"), {});
  if (!deployment.ok()) return deployment.status();
  // One for all rounds: another one would give the same persons again.
  const auto network = NetworkProcess::Start(exchange_takes);
  if (!network.ok()) return network.status();
  double most_per_second = 0;
  for (const CurlFrame frame : {CurlFrame::kMulti, CurlFrame::kThreads}) {
    const auto result = AskAlone(frame, **network);
    if (!result.ok()) return result.status();
    most_per_second = std::max(most_per_second, result->CallsPerSecond());
  }

  std::array<Rounds, kContenders.size()> results;
  for (int round = 0; round < absl::GetFlag(FLAGS_rounds); ++round) {
    for (size_t i = 0; i < kContenders.size(); ++i) {
      // Each round begins with another one, so that none always follows the same one.
      const size_t contender = (i + static_cast<size_t>(round)) % kContenders.size();
      const int64_t connections_before = (*network)->connections();
      const auto result =
          contender == IndexOf(Contender::kCompleteAuth)
              ? Complete(*deployment, **network, most_per_second)
              : AskAlone(contender == IndexOf(Contender::kCurlMulti) ? CurlFrame::kMulti
                                                                     : CurlFrame::kThreads,
                         **network);
      if (!result.ok()) {
        return absl::Status(result.status().code(),
                            absl::StrCat(kContenders[contender], ": ", result.status().message()));
      }
      results[contender].push_back(*result);
      most_per_second = std::max(most_per_second, result->CallsPerSecond());
      absl::FPrintF(stderr, "round %d, %s: %.0f flows/s on %d connections, others %.0f %%\n",
                    round + 1, kContenders[contender], result->CallsPerSecond(),
                    (*network)->connections() - connections_before, 100 * result->ShareOfOthers());
    }
  }
  absl::PrintF("The exchange takes %s:\n\n", absl::FormatDuration(exchange_takes));
  PrintCompletions(results);
  const Rounds& completed = results[IndexOf(Contender::kCompleteAuth)];
  const auto ratio_to = [&](Contender base) {
    return Median(Ratios(Of(completed, PerSecond), Of(results[IndexOf(base)], PerSecond)));
  };
  const double to_multi = ratio_to(Contender::kCurlMulti);
  const double to_threads = ratio_to(Contender::kCurlThreads);
  // To the faster one.
  const auto add = [&](absl::string_view name, double value) {
    figures.emplace_back(absl::StrCat(name, suffix), value);
  };
  add("completion_ratio", std::min(to_multi, to_threads));
  add("completion_ratio_to_multi", to_multi);
  add("completion_ratio_to_threads", to_threads);
  add("completions_per_second", Median(Of(completed, PerSecond)));
  return absl::OkStatus();
}

// --- URLs beside completions ---

constexpr int kWaitingFlows = 500;
// Of one connection the server takes 128 calls at a time.
constexpr int kWaitingChannels = 8;

enum class Beside : size_t { kNothing, kWaiting, kCompletions };
constexpr size_t kCases = 3;

std::string NameOf(Beside beside) {
  const double takes = absl::ToDoubleSeconds(absl::GetFlag(FLAGS_network_takes));
  switch (beside) {
    case Beside::kNothing:
      return "alone";
    case Beside::kWaiting:
      return absl::StrFormat("beside %d completions that wait", kWaitingFlows);
    case Beside::kCompletions:
      return absl::StrFormat("beside %.0f completions/s of which each waits %.0f s",
                             kWaitingFlows / takes, takes);
  }
  return "";
}

LoadOptions CompletionsBeside(Beside beside, const AppProcess& server,
                              const NetworkProcess& network, std::vector<std::string> responses) {
  const absl::Duration takes = absl::GetFlag(FLAGS_network_takes);
  // Both are sent at even intervals: all of them in a quarter of a second, or as many as are
  // answered in the same time.
  const absl::Duration all_sent_in = beside == Beside::kWaiting ? absl::Milliseconds(250) : takes;
  LoadOptions options;
  options.target = server.address();
  options.server = server.pid();
  options.network = network.pid();
  options.calls = Completions(std::move(responses));
  options.channels = kWaitingChannels;
  options.calls_per_second = kWaitingFlows / absl::ToDoubleSeconds(all_sent_in);
  options.warmup = absl::ZeroDuration();
  options.duration = beside == Beside::kWaiting ? all_sent_in : 2 * takes;
  options.call_deadline = takes + absl::Seconds(30);
  return options;
}

// Whether that many exchanges came to wait at the network.
bool WaitForExchanges(const NetworkProcess& network, int64_t count) {
  const absl::Time deadline = absl::Now() + 2 * absl::GetFlag(FLAGS_network_takes);
  while (network.waiting() < count) {
    if (absl::Now() > deadline) return false;
    absl::SleepFor(absl::Milliseconds(5));
  }
  return true;
}

// GetAuthUrl at a fixed rate, with a fresh server.
absl::StatusOr<LoadResult> AskForUrls(const Deployment& deployment, const NetworkProcess& network,
                                      Beside beside) {
  const auto server = AppProcess::Start(deployment, network);
  if (!server.ok()) return server.status();
  // As many whatever is beside it, so that the server has done the same before.
  auto responses = BeginFlows((*server)->address(), 3 * kWaitingFlows);
  if (!responses.ok()) return responses.status();

  std::optional<LoadProcess> completing;
  const absl::Status too_few = absl::DeadlineExceededError(
      "the completions did not wait together for long enough; set a larger --network_takes");
  // At a rate, there are some more or less.
  const int64_t enough = beside == Beside::kNothing   ? 0
                         : beside == Beside::kWaiting ? kWaitingFlows
                                                      : kWaitingFlows * 9 / 10;
  if (beside != Beside::kNothing) {
    auto started =
        LoadProcess::Start(CompletionsBeside(beside, **server, network, *std::move(responses)));
    if (!started.ok()) return started.status();
    completing = *std::move(started);
    if (!WaitForExchanges(network, enough)) {
      const auto completed = completing->Wait();
      return completed.ok() ? too_few : completed.status();
    }
  }

  LoadOptions asking;
  asking.target = (*server)->address();
  asking.server = (*server)->pid();
  asking.network = network.pid();
  asking.calls = SameAuthUrl();
  asking.channels = kChannels;
  asking.calls_per_second = absl::GetFlag(FLAGS_reads_per_second);
  asking.warmup = absl::GetFlag(FLAGS_warmup);
  asking.duration = absl::GetFlag(FLAGS_network_takes) / 2;
  auto asked = RunLoadInChild(asking);
  if (!asked.ok()) return asked.status();
  const bool waited_all_the_time = network.waiting() >= enough;
  if (completing.has_value()) {
    const auto completed = completing->Wait();
    if (!completed.ok()) return completed.status();
  }
  if (!waited_all_the_time) return too_few;
  if (absl::Status status = (*server)->Stop(); !status.ok()) return status;
  return asked;
}

absl::Status CompareUrls(Figures& figures) {
  const testing::TempDir folder;
  const auto deployment = Deployment::Make(folder.File("urls"), {});
  if (!deployment.ok()) return deployment.status();
  const auto network = NetworkProcess::Start(absl::GetFlag(FLAGS_network_takes));
  if (!network.ok()) return network.status();
  std::array<Rounds, kCases> results;
  for (int round = 0; round < absl::GetFlag(FLAGS_rounds); ++round) {
    for (size_t i = 0; i < kCases; ++i) {
      const size_t which = (i + static_cast<size_t>(round)) % kCases;
      const auto beside = static_cast<Beside>(which);
      const auto result = AskForUrls(*deployment, **network, beside);
      if (!result.ok()) {
        return absl::Status(result.status().code(),
                            absl::StrCat(NameOf(beside), ": ", result.status().message()));
      }
      results[which].push_back(*result);
      absl::FPrintF(stderr, "round %d, %s: p99 %.0f us\n", round + 1, NameOf(beside), P99(*result));
    }
  }
  absl::PrintF(
      "\n| GetAuthUrl at %.0f/s | p50 us | p99 us | p99 ÷ alone (range) |\n"
      "|---|---|---|---|\n",
      absl::GetFlag(FLAGS_reads_per_second));
  const std::vector<double> alone = Of(results[0], P99);
  for (size_t i = 0; i < kCases; ++i) {
    absl::PrintF("| %s | %s | %s | %s |\n", NameOf(static_cast<Beside>(i)),
                 MedianAndRange(Of(results[i], P50), 0), MedianAndRange(Of(results[i], P99), 0),
                 i == 0 ? "1" : MedianAndRange(Ratios(Of(results[i], P99), alone)));
  }
  const auto ratio = [&](Beside beside) {
    return Median(Ratios(Of(results[static_cast<size_t>(beside)], P99), alone));
  };
  figures.emplace_back("url_p99_ratio_beside_waiting", ratio(Beside::kWaiting));
  figures.emplace_back("url_p99_ratio_beside_completions", ratio(Beside::kCompletions));
  return absl::OkStatus();
}

absl::Status Measure() {
  Figures figures;
  if (absl::Status status = CompareCompletions(absl::ZeroDuration(), "", figures); !status.ok()) {
    return status;
  }
  if (absl::Status status = CompareCompletions(absl::GetFlag(FLAGS_distance), "_far", figures);
      !status.ok()) {
    return status;
  }
  if (absl::Status status = CompareUrls(figures); !status.ok()) return status;
  figures.emplace_back("share_of_others", ShareOfOthersSoFar());
  PrintFigures(figures);
  return absl::OkStatus();
}

}  // namespace
}  // namespace authurl::bench

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage("Measures completions, and what those that wait cost others.");
  absl::ParseCommandLine(argc, argv);
  const absl::Status status = authurl::bench::Measure();
  if (status.ok()) return 0;
  std::cerr << "completions: " << status << "\n";
  return 1;
}
