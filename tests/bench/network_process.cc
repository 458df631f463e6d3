#include "tests/bench/network_process.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <new>
#include <optional>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "tests/support/hostile_server.h"

namespace authurl::bench {
namespace {

using testing::HostileServer;

constexpr char kNotFound[] = "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n";

std::string AnswerWith(absl::string_view json) {
  return absl::StrCat(
      "HTTP/1.1 200 OK\r\nContent-Type: application/json; charset=utf-8\r\nContent-Length: ",
      json.size(), "\r\n\r\n", json);
}

// As long as X's. Each consent is another person's, whose number is the token.
std::string TokensOf(int64_t person) {
  return absl::StrFormat(
      R"({"token_type":"bearer","expires_in":7200,"access_token":"%091d",)"
      R"("scope":"tweet.read tweet.write users.read media.write offline.access",)"
      R"("refresh_token":"%091d"})",
      person, person);
}

std::string ProfileOf(int64_t person) {
  return absl::StrFormat(
      R"({"data":{"id":"%d","name":"Example Person","username":"example_%d",)"
      R"("profile_image_url":"https://pbs.twimg.com/profile_images/%d/a_normal.jpg"}})",
      person, person, person);
}

// Nothing where the request shows no token of ours.
std::optional<int64_t> PersonIn(absl::string_view request) {
  constexpr absl::string_view kBefore = "\r\nAuthorization: Bearer ";
  const size_t found = request.find(kBefore);
  if (found == absl::string_view::npos) return std::nullopt;
  request.remove_prefix(found + kBefore.size());
  int64_t person = 0;
  if (!absl::SimpleAtoi(request.substr(0, request.find('\r')), &person)) return std::nullopt;
  return person;
}

bool Answer(HostileServer::Peer& peer, absl::Duration exchange_takes,
            NetworkProcess::Counters& counters) {
  if (peer.number() == 1) ++counters.connections;
  const absl::string_view request = peer.request();
  if (absl::StartsWith(request, "POST /2/oauth2/token ")) {
    const int64_t person = ++counters.exchanges;
    if (exchange_takes > absl::ZeroDuration()) {
      ++counters.waiting;
      absl::SleepFor(exchange_takes);
      --counters.waiting;
    }
    return peer.Send(AnswerWith(TokensOf(person)));
  }
  if (!absl::StartsWith(request, "GET /2/users/me?")) return peer.Send(kNotFound);
  const std::optional<int64_t> person = PersonIn(request);
  if (!person.has_value()) return peer.Send(kNotFound);
  ++counters.profiles;
  return peer.Send(AnswerWith(ProfileOf(*person)));
}

int Serve(const testing::CertificateAuthority& authority, absl::Duration exchange_takes,
          NetworkProcess::Counters& counters, FILE* to_parent) {
  const HostileServer server(
      authority, [&](HostileServer::Peer& peer) { return Answer(peer, exchange_takes, counters); },
      {.hosts = {"api.x.com"}});
  fprintf(to_parent, "%s\n", server.address().c_str());
  fflush(to_parent);
  // Until a signal ends the process.
  while (true) pause();
}

}  // namespace

absl::StatusOr<std::unique_ptr<NetworkProcess>> NetworkProcess::Start(
    absl::Duration exchange_takes) {
  void* const memory = mmap(nullptr, sizeof(Counters), PROT_READ | PROT_WRITE,
                            MAP_SHARED | MAP_ANONYMOUS, /*fd=*/-1, /*offset=*/0);
  if (memory == MAP_FAILED) return absl::ErrnoToStatus(errno, "mmap");
  std::unique_ptr<NetworkProcess> network(new NetworkProcess(new (memory) Counters));
  network->folder_.Write("ca.pem", network->authority_.certificate());
  auto process = ChildProcess::Fork([&](FILE* to_parent) {
    return Serve(network->authority_, exchange_takes, *network->counters_, to_parent);
  });
  if (!process.ok()) return process.status();
  network->process_ = *std::move(process);
  const std::optional<std::string> address = network->process_->ReadLine();
  if (!address.has_value()) return absl::UnavailableError("the network did not start");
  network->address_ = *address;
  return network;
}

NetworkProcess::~NetworkProcess() {
  process_.reset();
  munmap(counters_, sizeof(Counters));
}

}  // namespace authurl::bench
