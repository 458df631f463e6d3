#include "tests/support/network_simulator.h"

#include <optional>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"

namespace authurl::testing {
namespace {

constexpr size_t kEndlessBytes = size_t{64} << 20;

ServedRequest ParseServedRequest(absl::string_view text) {
  ServedRequest request;
  const size_t end = text.find("\r\n\r\n");
  request.body = std::string(text.substr(end + 4));
  const std::vector<absl::string_view> lines = absl::StrSplit(text.substr(0, end), "\r\n");
  const std::vector<absl::string_view> first = absl::StrSplit(lines[0], ' ');
  request.method = std::string(first[0]);
  if (first.size() > 1) request.target = std::string(first[1]);
  for (size_t i = 1; i < lines.size(); ++i) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(lines[i], absl::MaxSplits(':', 1));
    const absl::string_view value = absl::StripAsciiWhitespace(parts.second);
    request.headers.push_back({std::string(parts.first), std::string(value)});
    if (!absl::EqualsIgnoreCase(parts.first, "Host")) continue;
    request.host = absl::AsciiStrToLower(value.substr(0, value.find(':')));
  }
  return request;
}

std::string HeadOf(const ServedAnswer& answer, std::optional<size_t> length) {
  std::string head = absl::StrCat("HTTP/1.1 ", answer.status, " Simulated\r\n");
  for (const HttpHeader& header : answer.headers) {
    absl::StrAppend(&head, header.name, ": ", header.value, "\r\n");
  }
  if (length.has_value() && answer.status != 204) {
    absl::StrAppend(&head, "Content-Length: ", *length, "\r\n");
  }
  return absl::StrCat(head, "\r\n");
}

// Whether the connection may be used again.
bool SendServedAnswer(const ServedAnswer& answer, SimulatedNetwork& network,
                      HostileServer::Peer& peer) {
  switch (answer.manner) {
    case ServedAnswer::Manner::kWhole:
      return peer.Send(absl::StrCat(HeadOf(answer, answer.body.size()), answer.body));
    case ServedAnswer::Manner::kByteByByte:
      if (!peer.Send(HeadOf(answer, answer.body.size()))) return false;
      for (const char byte : answer.body) {
        if (!network.Pause() || !peer.Send(absl::string_view(&byte, 1))) return false;
      }
      return true;
    case ServedAnswer::Manner::kEndless: {
      const std::string piece(size_t{64} << 10, ' ');
      if (!peer.Send(HeadOf(answer, std::nullopt))) return false;
      for (size_t sent = 0; sent < kEndlessBytes; sent += piece.size()) {
        if (!peer.Send(piece)) break;
      }
      return false;
    }
    case ServedAnswer::Manner::kNone:
      return false;
  }
  return false;
}

}  // namespace

NetworkSimulator::NetworkSimulator(const CertificateAuthority& authority, HostileServer::Kind kind)
    : server_(
          authority, [this](HostileServer::Peer& peer) { return Serve(peer); },
          {.kind = kind, .refuses = [this](const std::string& host) { return Refuses(host); }}) {}

NetworkSimulator::~NetworkSimulator() {
  const std::lock_guard lock(mutex_);
  for (const std::unique_ptr<SimulatedNetwork>& network : networks_) network->Stop();
}

SimulatedNetwork& NetworkSimulator::Add(const Vector& vector, SimulatedNetwork::Options options) {
  const std::lock_guard lock(mutex_);
  return *networks_.emplace_back(std::make_unique<SimulatedNetwork>(vector, std::move(options)));
}

std::vector<std::string> NetworkSimulator::complaints() const {
  const std::lock_guard lock(mutex_);
  std::vector<std::string> all = strays_;
  for (const std::unique_ptr<SimulatedNetwork>& network : networks_) {
    const std::vector<std::string> own = network->complaints();
    all.insert(all.end(), own.begin(), own.end());
  }
  return all;
}

bool NetworkSimulator::Serve(HostileServer::Peer& peer) {
  const ServedRequest request = ParseServedRequest(peer.request());
  SimulatedNetwork* const network = NetworkFor(request);
  if (network != nullptr) return SendServedAnswer(network->Answer(request), *network, peer);
  const absl::string_view target = request.target;
  const std::lock_guard lock(mutex_);
  strays_.push_back(absl::StrCat("nothing is at ", request.method, " ", request.host,
                                 target.substr(0, target.find('?'))));
  return peer.Send("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n");
}

SimulatedNetwork* NetworkSimulator::NetworkFor(const ServedRequest& request) const {
  const std::lock_guard lock(mutex_);
  SimulatedNetwork* surest = nullptr;
  int most = 0;
  for (const std::unique_ptr<SimulatedNetwork>& network : networks_) {
    const int claims = network->Claims(request);
    if (claims <= most) continue;
    most = claims;
    surest = network.get();
  }
  return surest;
}

bool NetworkSimulator::Refuses(const std::string& host) const {
  const std::lock_guard lock(mutex_);
  for (const std::unique_ptr<SimulatedNetwork>& network : networks_) {
    if (network->RefusesConnection(host)) return true;
  }
  return false;
}

}  // namespace authurl::testing
