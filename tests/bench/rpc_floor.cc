// rpc_floor.cc: compares servers call by call: the real one, and echo servers in the frames in
// which an asynchronous gRPC server can be written, which are the floor below which no method can
// go. See README.md.

#include <cmath>
#include <cstdio>
#include <iostream>
#include <map>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/flags/flag.h"
#include "absl/flags/parse.h"
#include "absl/flags/usage.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "tests/bench/auth_url_calls.h"
#include "tests/bench/contender.h"
#include "tests/bench/deployment.h"
#include "tests/bench/echo_server.h"
#include "tests/bench/figures.h"
#include "tests/bench/load_process.h"
#include "tests/bench/statistics.h"
#include "tests/support/temp_dir.h"

ABSL_FLAG(
    std::vector<std::string>, servers,
    (std::vector<std::string>{"callback", "cq", "cq-shared", "authurl"}),
    "what to compare: echo servers (callback, cq[:threads], cq-shared[:threads]) and the real "
    "server (authurl, with flags: \"authurl --log_level=error\"). Ratios are taken to the "
    "first one; naming it again at the end shows how far noise alone moves a ratio");
ABSL_FLAG(std::vector<std::string>, channels, (std::vector<std::string>{"4"}),
          "numbers of connections");
ABSL_FLAG(std::vector<std::string>, in_flight, (std::vector<std::string>{"16"}),
          "numbers of calls in flight on each connection");
ABSL_FLAG(int, rounds, 5, "how often to measure every server in every cell");
ABSL_FLAG(absl::Duration, duration, absl::Seconds(2), "measured time of one measurement");
ABSL_FLAG(absl::Duration, warmup, absl::Milliseconds(500), "time before it");
ABSL_FLAG(bool, latency, true,
          "also measure latencies at half of the real server's load, at a fixed rate");

namespace authurl::bench {
namespace {

struct Cell {
  int channels = 0;
  int in_flight = 0;
};

// Every round of every server in every cell.
using Key = std::tuple<int, int, size_t>;  // channels, in flight, index of the server
using Rounds = std::vector<LoadResult>;
using Measurements = std::map<Key, Rounds>;

template <typename Value>
std::vector<double> Of(const Rounds& rounds, Value value) {
  std::vector<double> values;
  for (const LoadResult& round : rounds) values.push_back(value(round));
  return values;
}
double Qps(const LoadResult& r) { return r.CallsPerSecond(); }
double Cpu(const LoadResult& r) { return r.ServerCpuPerCall(); }
double ClientCpu(const LoadResult& r) { return r.client_cpu_us / static_cast<double>(r.calls); }
double Switches(const LoadResult& r) { return r.server_switches / static_cast<double>(r.calls); }
double P50(const LoadResult& r) { return r.LatencyUs(0.50); }
double P99(const LoadResult& r) { return r.LatencyUs(0.99); }

// What all measurements share.
class Comparison final {
 public:
  Comparison(const Deployment& deployment, std::vector<std::string> servers)
      : deployment_(deployment), servers_(std::move(servers)) {
    SameAuthUrl()(0, auth_url_);
  }

  const std::vector<std::string>& servers() const { return servers_; }

  // Asks the real server how large its answers are.
  absl::Status Calibrate() {
    LoadOptions options;
    options.duration = absl::Milliseconds(200);
    const auto result = Run("authurl", options);
    if (result.ok()) response_bytes_ = result->response_bytes;
    return result.status();
  }

  void PrintSizes() const {
    const Call echo = EchoOfTheSize(auth_url_, response_bytes_);
    absl::PrintF("Requests have %d bytes (the echo's %d), responses %d.\n\n",
                 auth_url_.request.size(), echo.request.size(), response_bytes_);
  }

  // One measurement, with a fresh server and a fresh client.
  absl::StatusOr<LoadResult> Run(const std::string& server, LoadOptions options) const {
    auto running = RunningContender::Start(server, deployment_);
    if (!running.ok()) return running.status();
    options.target = running->address();
    options.server = running->pid();
    options.calls =
        Always(IsAuthUrl(server) ? auth_url_ : EchoOfTheSize(auth_url_, response_bytes_));
    absl::StatusOr<LoadResult> result = RunLoadInChild(options);
    const absl::Status stopped = running->Stop();
    if (!result.ok()) return result.status();
    if (!stopped.ok()) return stopped;
    return result;
  }

  // Every server `rounds` times. Each round begins with another one, so that none always follows
  // the same one.
  absl::Status RunRounds(const std::vector<size_t>& which, const LoadOptions& options, int rounds,
                         const std::string& what, std::map<size_t, Rounds>& results) const {
    for (int round = 0; round < rounds; ++round) {
      for (size_t i = 0; i < which.size(); ++i) {
        const size_t server = which[(i + static_cast<size_t>(round)) % which.size()];
        const auto result = Run(servers_[server], options);
        if (!result.ok()) {
          return absl::Status(result.status().code(),
                              absl::StrCat(servers_[server], ": ", result.status().message()));
        }
        results[server].push_back(*result);
        absl::FPrintF(
            stderr,
            "round %d, %s, %s: %.0f calls/s, server %.1f us/call, p99 %.0f us, others %.0f %%\n",
            round + 1, what, servers_[server], Qps(*result), Cpu(*result), P99(*result),
            100 * result->ShareOfOthers());
      }
    }
    return absl::OkStatus();
  }

 private:
  const Deployment& deployment_;
  const std::vector<std::string> servers_;
  Call auth_url_;
  uint64_t response_bytes_ = 0;
};

LoadOptions CommonOptions(int channels, int in_flight) {
  LoadOptions options;
  options.channels = channels;
  options.in_flight_per_channel = in_flight;
  options.warmup = absl::GetFlag(FLAGS_warmup);
  options.duration = absl::GetFlag(FLAGS_duration);
  return options;
}

void PrintTable(const std::vector<Cell>& cells, const std::vector<std::string>& servers,
                const Measurements& measurements) {
  absl::PrintF(
      "| ch | in flight | server | calls/s | QPS ratio (range) | p50 us | p99 us | server us/call "
      "| CPU ratio (range) | server switches/call | client us/call |\n"
      "|---|---|---|---|---|---|---|---|---|---|---|\n");
  for (const Cell& cell : cells) {
    const Rounds& base = measurements.at({cell.channels, cell.in_flight, 0});
    for (size_t i = 0; i < servers.size(); ++i) {
      const Rounds& rounds = measurements.at({cell.channels, cell.in_flight, i});
      const auto ratio = [&](double (*value)(const LoadResult&)) {
        return i == 0 ? "1" : MedianAndRange(Ratios(Of(rounds, value), Of(base, value)));
      };
      absl::PrintF("| %d | %d | %s | %.0f | %s | %.0f | %.0f | %.1f | %s | %.2f | %.1f |\n",
                   cell.channels, cell.in_flight, servers[i], Median(Of(rounds, Qps)), ratio(Qps),
                   Median(Of(rounds, P50)), Median(Of(rounds, P99)), Median(Of(rounds, Cpu)),
                   ratio(Cpu), Median(Of(rounds, Switches)), Median(Of(rounds, ClientCpu)));
    }
  }
}

// Geometric, so that a halved and a doubled value cancel out.
double MeanRatio(const std::vector<double>& ratios) {
  double sum = 0;
  for (const double ratio : ratios) sum += std::log(ratio);
  return std::exp(sum / static_cast<double>(ratios.size()));
}

// One line for each server over the whole matrix: single cells are noisy, their mean much less so.
void PrintSummary(const std::vector<Cell>& cells, const std::vector<std::string>& servers,
                  const Measurements& measurements) {
  absl::PrintF(
      "\n| server | mean QPS ratio | mean server CPU ratio | mean client CPU ratio |\n"
      "|---|---|---|---|\n");
  for (size_t i = 1; i < servers.size(); ++i) {
    const auto mean = [&](double (*value)(const LoadResult&)) {
      std::vector<double> all;
      for (const Cell& cell : cells) {
        const std::vector<double> ratios =
            Ratios(Of(measurements.at({cell.channels, cell.in_flight, i}), value),
                   Of(measurements.at({cell.channels, cell.in_flight, 0}), value));
        all.insert(all.end(), ratios.begin(), ratios.end());
      }
      return MeanRatio(all);
    };
    absl::PrintF("| %s | %.2f | %.2f | %.2f |\n", servers[i], mean(Qps), mean(Cpu),
                 mean(ClientCpu));
  }
}

// The last cell's figures: the last real server against the fastest of the others.
struct Pair {
  size_t base = 0;
  size_t real = 0;
};
std::optional<Pair> PairToJudge(const Cell& cell, const std::vector<std::string>& servers,
                                const Measurements& measurements) {
  if (servers.size() < 2 || !IsAuthUrl(servers.back())) return std::nullopt;
  Pair pair{.base = 0, .real = servers.size() - 1};
  const auto qps = [&](size_t i) {
    return Median(Of(measurements.at({cell.channels, cell.in_flight, i}), Qps));
  };
  for (size_t i = 1; i < pair.real; ++i) {
    if (qps(i) > qps(pair.base)) pair.base = i;
  }
  return pair;
}

// Both at the same rate, half of what the real server can do.
absl::StatusOr<std::map<size_t, Rounds>> MeasureLatency(const Comparison& comparison,
                                                        const Cell& cell, const Pair& pair,
                                                        double qps) {
  LoadOptions options = CommonOptions(cell.channels, 1);
  options.calls_per_second = qps / 2;
  std::map<size_t, Rounds> results;
  const absl::Status status =
      comparison.RunRounds({pair.base, pair.real}, options, absl::GetFlag(FLAGS_rounds),
                           absl::StrFormat("%.0f calls/s", qps / 2), results);
  if (!status.ok()) return status;
  absl::PrintF(
      "\nAt a fixed rate of %.0f calls/s:\n\n| server | p50 us | p99 us | p99 ratio |\n"
      "|---|---|---|---|\n",
      qps / 2);
  for (const size_t i : {pair.base, pair.real}) {
    absl::PrintF("| %s | %.0f | %.0f | %s |\n", comparison.servers()[i],
                 Median(Of(results[i], P50)), Median(Of(results[i], P99)),
                 i == pair.base
                     ? "1"
                     : MedianAndRange(Ratios(Of(results[i], P99), Of(results[pair.base], P99))));
  }
  return results;
}

absl::StatusOr<std::vector<int>> ParseNumbers(const std::vector<std::string>& texts) {
  std::vector<int> numbers;
  for (const std::string& text : texts) {
    int number = 0;
    if (!absl::SimpleAtoi(text, &number) || number < 1) {
      return absl::InvalidArgumentError(absl::StrCat("not a positive number: ", text));
    }
    numbers.push_back(number);
  }
  return numbers;
}

absl::StatusOr<std::vector<Cell>> Cells() {
  const auto channels = ParseNumbers(absl::GetFlag(FLAGS_channels));
  const auto in_flight = ParseNumbers(absl::GetFlag(FLAGS_in_flight));
  if (!channels.ok()) return channels.status();
  if (!in_flight.ok()) return in_flight.status();
  std::vector<Cell> cells;
  for (const int c : *channels) {
    for (const int f : *in_flight) cells.push_back({c, f});
  }
  return cells;
}

absl::Status Compare() {
  const absl::StatusOr<std::vector<Cell>> cells = Cells();
  if (!cells.ok()) return cells.status();
  const testing::TempDir folder;
  const auto deployment = Deployment::Make(folder.path(), {});
  if (!deployment.ok()) return deployment.status();
  Comparison comparison(*deployment, absl::GetFlag(FLAGS_servers));
  if (absl::Status status = comparison.Calibrate(); !status.ok()) return status;

  std::vector<size_t> all;
  for (size_t i = 0; i < comparison.servers().size(); ++i) all.push_back(i);
  Measurements measurements;
  for (const Cell& cell : *cells) {
    std::map<size_t, Rounds> results;
    const absl::Status status = comparison.RunRounds(
        all, CommonOptions(cell.channels, cell.in_flight), absl::GetFlag(FLAGS_rounds),
        absl::StrCat(cell.channels, " x ", cell.in_flight), results);
    if (!status.ok()) return status;
    for (auto& [i, rounds] : results) {
      measurements[{cell.channels, cell.in_flight, i}] = std::move(rounds);
    }
  }
  comparison.PrintSizes();
  PrintTable(*cells, comparison.servers(), measurements);
  if (cells->size() > 1) PrintSummary(*cells, comparison.servers(), measurements);

  const Cell& last = cells->back();
  const std::optional<Pair> pair = PairToJudge(last, comparison.servers(), measurements);
  if (!pair.has_value()) return absl::OkStatus();
  const Rounds& real = measurements.at({last.channels, last.in_flight, pair->real});
  const Rounds& base = measurements.at({last.channels, last.in_flight, pair->base});
  Figures figures = {{"qps_ratio", Median(Ratios(Of(real, Qps), Of(base, Qps)))},
                     {"cpu_ratio", Median(Ratios(Of(real, Cpu), Of(base, Cpu)))}};
  if (absl::GetFlag(FLAGS_latency)) {
    auto results = MeasureLatency(comparison, last, *pair, Median(Of(real, Qps)));
    if (!results.ok()) return results.status();
    figures.emplace_back("p99_ratio", Median(Ratios(Of((*results)[pair->real], P99),
                                                    Of((*results)[pair->base], P99))));
  }
  absl::PrintF("\n%s against %s:\n", comparison.servers()[pair->real],
               comparison.servers()[pair->base]);
  figures.emplace_back("share_of_others", ShareOfOthersSoFar());
  PrintFigures(figures);
  return absl::OkStatus();
}

}  // namespace
}  // namespace authurl::bench

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage("Compares the server with what a bare echo costs in gRPC.");
  absl::ParseCommandLine(argc, argv);
  const absl::Status status = authurl::bench::Compare();
  if (status.ok()) return 0;
  std::cerr << "rpc_floor: " << status << "\n";
  return 1;
}
