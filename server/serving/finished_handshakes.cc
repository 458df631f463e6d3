#include "server/serving/finished_handshakes.h"

#include <arpa/inet.h>
#include <grpc/grpc.h>
#include <grpc/support/alloc.h>
#include <netinet/in.h>

#include <algorithm>
#include <memory>
#include <nlohmann/json.hpp>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/strip.h"

namespace authurl {
namespace {

using nlohmann::json;
using std::chrono::steady_clock;

// Longer than a thread of gRPC's takes from one line to the next.
constexpr std::chrono::seconds kPatience(2);
constexpr intptr_t kAllOfThem = 1'000'000;

// What channelz answered; it writes numbers as text.
json Parsed(char* answer) {
  const std::unique_ptr<char, decltype(&gpr_free)> owner(answer, &gpr_free);
  if (answer == nullptr) return json::object();
  json parsed = json::parse(answer, nullptr, /*allow_exceptions=*/false);
  return parsed.is_object() ? parsed : json::object();
}

const json& Member(const json& object, const char* name) {
  static const json* const kNone = new json();
  const auto found = object.find(name);
  return object.is_object() && found != object.end() ? *found : *kNone;
}

std::string Text(const json& value) {
  return value.is_string() ? value.get<std::string>() : std::string();
}

int64_t Number(const json& value) {
  int64_t number = 0;
  return absl::SimpleAtoi(Text(value), &number) ? number : 0;
}

}  // namespace

FinishedHandshakes::FinishedHandshakes() : moved_at_(steady_clock::now()) {
  const json answer = Parsed(grpc_channelz_get_servers(0));
  for (const json& server : Member(answer, "server")) {
    servers_.push_back(Number(Member(Member(server, "ref"), "serverId")));
  }
}

std::set<PeerBytes> FinishedHandshakes::Ask() {
  const auto now = steady_clock::now();
  if (now - moved_at_ >= kPatience) {
    ask_from_ = newest_before_ + 1;
    newest_before_ = newest_;
    moved_at_ = now;
  }
  std::set<PeerBytes> peers;
  for (const int64_t server : servers_) {
    const json answer = Parsed(grpc_channelz_get_server_sockets(server, ask_from_, kAllOfThem));
    for (const json& socket : Member(answer, "socketRef")) {
      newest_ = std::max(newest_, Number(Member(socket, "socketId")));
      peers.insert(PeerOfSocketName(Text(Member(socket, "name"))));
    }
  }
  peers.erase(PeerBytes());
  return peers;
}

PeerBytes PeerOfSocketName(absl::string_view name) {
  const size_t space = name.rfind(' ');
  if (space != absl::string_view::npos) name.remove_prefix(space + 1);
  const bool v6 = absl::ConsumePrefix(&name, "ipv6:");
  if (!v6 && !absl::ConsumePrefix(&name, "ipv4:")) return {};
  const size_t colon = name.rfind(':');
  uint32_t port = 0;
  if (colon == absl::string_view::npos || !absl::SimpleAtoi(name.substr(colon + 1), &port)) {
    return {};
  }
  std::string host =
      absl::StrReplaceAll(name.substr(0, colon), {{"%5B", ""}, {"%5D", ""}, {"[", ""}, {"]", ""}});
  // An interface's name ("%25eth0") is no part of the address.
  host.erase(std::min(host.find('%'), host.size()));
  in6_addr address = {};
  if (inet_pton(v6 ? AF_INET6 : AF_INET, host.c_str(), &address) != 1) return {};
  PeerBytes peer(reinterpret_cast<const char*>(&address), v6 ? sizeof(in6_addr) : sizeof(in_addr));
  const uint16_t network_port = htons(static_cast<uint16_t>(port));
  peer.append(reinterpret_cast<const char*>(&network_port), sizeof(network_port));
  return peer;
}

}  // namespace authurl
