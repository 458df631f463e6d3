// Compares the frames in which an asynchronous gRPC server can be written by what a bare echo
// costs in each. See README.md.
//
// The program plays three roles. The driver (default) starts one server and one client process
// for each measurement and never touches gRPC itself; the other two roles are not meant to be
// started by hand. A fresh pair for each measurement keeps the heap and the thread pools of one
// frame from colouring the next.

#include <algorithm>
#include <cmath>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <thread>
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
#include "absl/strings/str_split.h"
#include "absl/time/time.h"
#include "child_process.h"
#include "echo.pb.h"
#include "echo_server.h"
#include "load_client.h"
#include "process_usage.h"

ABSL_FLAG(std::vector<std::string>, frames, (std::vector<std::string>{"callback", "cq"}),
          "frames to compare: callback, cq[:threads], cq-shared[:threads]; ratios are taken to "
          "the first one; naming it again at the end shows how far noise alone moves a ratio");
ABSL_FLAG(std::vector<std::string>, channels, (std::vector<std::string>{"1", "4", "16"}),
          "numbers of connections");
ABSL_FLAG(std::vector<std::string>, in_flight, (std::vector<std::string>{"1", "64", "256"}),
          "numbers of calls in flight on each connection");
ABSL_FLAG(int, rounds, 3, "how often to measure every frame in every cell");
ABSL_FLAG(absl::Duration, duration, absl::Seconds(2), "measured time of one measurement");
ABSL_FLAG(absl::Duration, warmup, absl::Milliseconds(300), "time before it");
ABSL_FLAG(absl::Duration, call_deadline, absl::Seconds(10), "deadline of a single call");
ABSL_FLAG(int, client_threads, 0, "threads of the load client; 0: one for each core");
ABSL_FLAG(int, requests_posted, 128, "calls a cq frame keeps ready to accept, for each thread");
// The defaults make messages of 60 and 300 bytes.
ABSL_FLAG(uint32_t, request_payload_bytes, 55, "length of the text in the request");
ABSL_FLAG(uint32_t, response_payload_bytes, 297, "length of the text in the response");

ABSL_FLAG(std::string, role, "driver", "internal: driver, server or client");
ABSL_FLAG(std::string, target, "", "internal: address the client connects to");

namespace authurl::bench {
namespace {

// --- server role ---

int ServerMain() {
  const absl::StatusOr<Frame> frame = ParseFrame(absl::GetFlag(FLAGS_frames).at(0));
  if (!frame.ok()) {
    std::cerr << frame.status() << "\n";
    return 1;
  }
  const auto server = StartEchoServer(*frame, absl::GetFlag(FLAGS_requests_posted));
  if (!server.ok()) {
    std::cerr << server.status() << "\n";
    return 1;
  }
  std::cout << (*server)->port() << std::endl;
  // Every line asks for a sample; the end of input asks to stop. Calls and time are sampled
  // together, so that their quotient does not depend on when exactly the question arrived.
  for (std::string line; std::getline(std::cin, line);) {
    const ProcessUsage usage = CurrentProcessUsage();
    const uint64_t calls = (*server)->calls_answered();
    std::cout << calls << ' ' << usage.user_us << ' ' << usage.system_us << ' '
              << usage.context_switches << std::endl;
  }
  (*server)->Shutdown();
  return 0;
}

// --- client role ---

int ClientMain() {
  v1::EchoRequest request;
  request.set_payload(std::string(absl::GetFlag(FLAGS_request_payload_bytes), 'q'));
  request.set_response_payload_bytes(absl::GetFlag(FLAGS_response_payload_bytes));

  LoadOptions options;
  options.target = absl::GetFlag(FLAGS_target);
  options.method = "/authurl.bench.v1.EchoService/Echo";
  options.serialized_requests = {request.SerializeAsString()};
  options.threads = absl::GetFlag(FLAGS_client_threads);
  if (options.threads <= 0) {
    options.threads = std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
  }
  options.warmup = absl::GetFlag(FLAGS_warmup);
  options.duration = absl::GetFlag(FLAGS_duration);
  options.call_deadline = absl::GetFlag(FLAGS_call_deadline);
  options.on_window_begin = [] { std::cout << "begin" << std::endl; };
  options.on_window_end = [] { std::cout << "end" << std::endl; };
  if (!absl::SimpleAtoi(absl::GetFlag(FLAGS_channels).at(0), &options.channels) ||
      !absl::SimpleAtoi(absl::GetFlag(FLAGS_in_flight).at(0), &options.in_flight_per_channel)) {
    std::cerr << "--channels and --in_flight take numbers\n";
    return 1;
  }

  const absl::StatusOr<LoadResult> result = RunLoad(options);
  if (!result.ok()) {
    std::cerr << result.status() << "\n";
    return 1;
  }
  if (result->failed > 0) {
    std::cerr << result->failed << " calls failed, the first with " << result->first_failure
              << "\n";
    return 1;
  }
  std::cout << result->succeeded << ' ' << result->CallsPerSecond() << ' '
            << result->latency.Quantile(0.50) << ' ' << result->latency.Quantile(0.99) << ' '
            << result->client_cpu_us << std::endl;
  return 0;
}

// --- driver role ---

struct Measurement {
  double calls_per_second = 0;
  double p50_us = 0;
  double p99_us = 0;
  double server_us_per_call = 0;
  double server_switches_per_call = 0;
  double client_us_per_call = 0;
};

absl::StatusOr<std::vector<double>> ReadNumbers(ChildProcess& child, size_t count) {
  const std::optional<std::string> line = child.ReadLine();
  if (!line) return absl::UnavailableError("a child process ended early");
  std::vector<double> numbers;
  for (const auto& word : absl::StrSplit(*line, ' ')) {
    double number = 0;
    if (!absl::SimpleAtod(word, &number)) break;
    numbers.push_back(number);
  }
  if (numbers.size() != count) {
    return absl::InternalError(absl::StrCat("unexpected line from a child: ", *line));
  }
  return numbers;
}

// Samples the server when the client says `signal`.
absl::StatusOr<std::vector<double>> SampleOn(const std::string& signal, ChildProcess& client,
                                             ChildProcess& server) {
  const std::optional<std::string> line = client.ReadLine();
  if (line != signal) return absl::UnavailableError("the client ended early");
  server.WriteLine("sample");
  return ReadNumbers(server, 4);
}

absl::StatusOr<Measurement> Measure(const std::string& frame, int channels, int in_flight) {
  auto server = ChildProcess::Start(
      {"--role=server", absl::StrCat("--frames=", frame),
       absl::StrCat("--requests_posted=", absl::GetFlag(FLAGS_requests_posted))});
  if (!server.ok()) return server.status();
  const auto port = ReadNumbers(**server, 1);
  if (!port.ok()) return port.status();

  auto client = ChildProcess::Start(
      {"--role=client", absl::StrCat("--target=127.0.0.1:", static_cast<int>(port->at(0))),
       absl::StrCat("--channels=", channels), absl::StrCat("--in_flight=", in_flight),
       absl::StrCat("--client_threads=", absl::GetFlag(FLAGS_client_threads)),
       absl::StrCat("--warmup=", absl::FormatDuration(absl::GetFlag(FLAGS_warmup))),
       absl::StrCat("--duration=", absl::FormatDuration(absl::GetFlag(FLAGS_duration))),
       absl::StrCat("--call_deadline=", absl::FormatDuration(absl::GetFlag(FLAGS_call_deadline))),
       absl::StrCat("--request_payload_bytes=", absl::GetFlag(FLAGS_request_payload_bytes)),
       absl::StrCat("--response_payload_bytes=", absl::GetFlag(FLAGS_response_payload_bytes))});
  if (!client.ok()) return client.status();

  const auto before = SampleOn("begin", **client, **server);
  if (!before.ok()) return before.status();
  const auto after = SampleOn("end", **client, **server);
  if (!after.ok()) return after.status();
  const auto result = ReadNumbers(**client, 5);
  if (!result.ok()) return result.status();
  const int client_exit = (*client)->CloseAndWait();
  const int server_exit = (*server)->CloseAndWait();
  if (client_exit != 0 || server_exit != 0) {
    return absl::InternalError(
        absl::StrCat("exit status: client ", client_exit, ", server ", server_exit));
  }

  const double server_calls = std::max(1.0, after->at(0) - before->at(0));
  const double server_us = after->at(1) - before->at(1) + after->at(2) - before->at(2);
  return Measurement{
      .calls_per_second = result->at(1),
      .p50_us = result->at(2) / 1000,
      .p99_us = result->at(3) / 1000,
      .server_us_per_call = server_us / server_calls,
      .server_switches_per_call = (after->at(3) - before->at(3)) / server_calls,
      .client_us_per_call = result->at(4) / std::max(1.0, result->at(0)),
  };
}

double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

double MedianOf(const std::vector<Measurement>& rounds, double Measurement::*field) {
  std::vector<double> values;
  for (const Measurement& round : rounds) values.push_back(round.*field);
  return Median(std::move(values));
}

// "1.10 (1.05-1.12)": median and range over the rounds. Both measurements of a ratio come from
// the same round, seconds apart, so slow drift of the machine cancels out.
std::string Ratio(const std::vector<Measurement>& rounds, const std::vector<Measurement>& base,
                  double Measurement::*field) {
  std::vector<double> ratios;
  for (size_t i = 0; i < rounds.size(); ++i) ratios.push_back(rounds[i].*field / base[i].*field);
  const auto [low, high] = std::minmax_element(ratios.begin(), ratios.end());
  return absl::StrFormat("%.2f (%.2f-%.2f)", Median(ratios), *low, *high);
}

// Geometric mean, so that a halved and a doubled value cancel out.
double MeanRatio(const std::vector<double>& ratios) {
  double sum = 0;
  for (const double ratio : ratios) sum += std::log(ratio);
  return std::exp(sum / static_cast<double>(ratios.size()));
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

using Key = std::tuple<int, int, size_t>;  // channels, in flight, index of the frame

void PrintTable(const std::vector<int>& channel_counts, const std::vector<int>& in_flight_counts,
                const std::vector<std::string>& frames,
                const std::map<Key, std::vector<Measurement>>& measurements) {
  absl::PrintF(
      "| ch | in flight | frame | calls/s | QPS ratio (range) | p50 us | p99 us | server us/call "
      "| CPU ratio (range) | server switches/call | client us/call |\n"
      "|---|---|---|---|---|---|---|---|---|---|---|\n");
  for (const int channels : channel_counts) {
    for (const int in_flight : in_flight_counts) {
      const auto& base = measurements.at({channels, in_flight, 0});
      for (size_t frame = 0; frame < frames.size(); ++frame) {
        const auto& rounds = measurements.at({channels, in_flight, frame});
        const bool is_base = frame == 0;
        absl::PrintF("| %d | %d | %s | %.0f | %s | %.0f | %.0f | %.1f | %s | %.2f | %.1f |\n",
                     channels, in_flight, frames[frame],
                     MedianOf(rounds, &Measurement::calls_per_second),
                     is_base ? "1" : Ratio(rounds, base, &Measurement::calls_per_second),
                     MedianOf(rounds, &Measurement::p50_us), MedianOf(rounds, &Measurement::p99_us),
                     MedianOf(rounds, &Measurement::server_us_per_call),
                     is_base ? "1" : Ratio(rounds, base, &Measurement::server_us_per_call),
                     MedianOf(rounds, &Measurement::server_switches_per_call),
                     MedianOf(rounds, &Measurement::client_us_per_call));
      }
    }
  }
}

// One line for each frame over the whole matrix: single cells are noisy, their mean much less so.
void PrintSummary(const std::vector<std::string>& frames,
                  const std::map<Key, std::vector<Measurement>>& measurements) {
  absl::PrintF(
      "\n| frame | mean QPS ratio | mean server CPU ratio | mean client CPU ratio |\n"
      "|---|---|---|---|\n");
  for (size_t frame = 1; frame < frames.size(); ++frame) {
    std::vector<double> calls, server, client;
    for (const auto& [key, rounds] : measurements) {
      const auto& [channels, in_flight, index] = key;
      if (index != frame) continue;
      const auto& base = measurements.at({channels, in_flight, 0});
      for (size_t i = 0; i < rounds.size(); ++i) {
        calls.push_back(rounds[i].calls_per_second / base[i].calls_per_second);
        server.push_back(rounds[i].server_us_per_call / base[i].server_us_per_call);
        client.push_back(rounds[i].client_us_per_call / base[i].client_us_per_call);
      }
    }
    absl::PrintF("| %s | %.2f | %.2f | %.2f |\n", frames[frame], MeanRatio(calls),
                 MeanRatio(server), MeanRatio(client));
  }
}

int DriverMain() {
  // A child that died shows up as a failed read, with a message.
  std::signal(SIGPIPE, SIG_IGN);
  const std::vector<std::string> frames = absl::GetFlag(FLAGS_frames);
  const auto channel_counts = ParseNumbers(absl::GetFlag(FLAGS_channels));
  const auto in_flight_counts = ParseNumbers(absl::GetFlag(FLAGS_in_flight));
  const int rounds = absl::GetFlag(FLAGS_rounds);
  absl::Status status = channel_counts.status();
  status.Update(in_flight_counts.status());
  for (const std::string& frame : frames) status.Update(ParseFrame(frame).status());
  if (frames.empty() || channel_counts->empty() || in_flight_counts->empty() || rounds < 1) {
    status.Update(absl::InvalidArgumentError("nothing to measure"));
  }
  if (!status.ok()) {
    std::cerr << status << "\n";
    return 1;
  }

  std::map<Key, std::vector<Measurement>> measurements;
  for (int round = 0; round < rounds; ++round) {
    for (const int channels : *channel_counts) {
      for (const int in_flight : *in_flight_counts) {
        for (size_t i = 0; i < frames.size(); ++i) {
          // Every round begins with another frame, so that none always follows the same one.
          const size_t frame = (i + static_cast<size_t>(round)) % frames.size();
          const auto measurement = Measure(frames[frame], channels, in_flight);
          if (!measurement.ok()) {
            std::cerr << frames[frame] << ": " << measurement.status() << "\n";
            return 1;
          }
          measurements[{channels, in_flight, frame}].push_back(*measurement);
          absl::FPrintF(stderr, "round %d, %d x %d, %s: %.0f calls/s, server %.1f us/call\n",
                        round + 1, channels, in_flight, frames[frame],
                        measurement->calls_per_second, measurement->server_us_per_call);
        }
      }
    }
  }
  PrintTable(*channel_counts, *in_flight_counts, frames, measurements);
  PrintSummary(frames, measurements);
  return 0;
}

int Main() {
  const std::string role = absl::GetFlag(FLAGS_role);
  if (role == "driver") return DriverMain();
  if (role == "server") return ServerMain();
  if (role == "client") return ClientMain();
  std::cerr << "unknown --role: " << role << "\n";
  return 1;
}

}  // namespace
}  // namespace authurl::bench

int main(int argc, char** argv) {
  absl::SetProgramUsageMessage("Measures what a bare echo costs in each asynchronous gRPC frame.");
  absl::ParseCommandLine(argc, argv);
  return authurl::bench::Main();
}
