#include "tests/support/metrics_page.h"

#include <netdb.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <fstream>
#include <limits>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/strip.h"

namespace authurl::testing {
namespace {

constexpr char kNameCharacters[] =
    "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_:";

// Takes a name from the front of `text`; empty if there is none.
std::string TakeName(absl::string_view& text) {
  const size_t end = std::min(text.find_first_not_of(kNameCharacters), text.size());
  std::string name(text.substr(0, end));
  text.remove_prefix(end);
  return name;
}

// Takes a quoted value with its escapes from the front of `text`.
bool TakeQuoted(absl::string_view& text, std::string& value) {
  if (!absl::ConsumePrefix(&text, "\"")) return false;
  while (!text.empty() && text[0] != '"') {
    if (text[0] == '\\') text.remove_prefix(1);
    if (text.empty()) return false;
    value.push_back(text[0]);
    text.remove_prefix(1);
  }
  return absl::ConsumePrefix(&text, "\"");
}

bool TakeLabels(absl::string_view& text, Labels& labels) {
  if (!absl::ConsumePrefix(&text, "{")) return true;
  while (!absl::ConsumePrefix(&text, "}")) {
    const std::string name = TakeName(text);
    std::string value;
    if (name.empty() || !absl::ConsumePrefix(&text, "=") || !TakeQuoted(text, value)) return false;
    if (!labels.emplace(name, value).second) return false;
    if (!absl::ConsumePrefix(&text, ",") && !absl::StartsWith(text, "}")) return false;
  }
  return true;
}

bool ParseSample(absl::string_view line, Sample& sample) {
  sample.name = TakeName(line);
  return !sample.name.empty() && TakeLabels(line, sample.labels) &&
         absl::ConsumePrefix(&line, " ") && absl::SimpleAtod(line, &sample.value);
}

// Whether a series of that name may stand under the family.
bool BelongsTo(const MetricsPage& page, absl::string_view family, absl::string_view name) {
  if (!absl::ConsumePrefix(&name, family)) return false;
  if (name.empty()) return true;
  const std::string& type = page.types.at(std::string(family));
  return type == "histogram" && (name == "_bucket" || name == "_sum" || name == "_count");
}

bool Includes(const Labels& all, const Labels& some) {
  return std::all_of(some.begin(), some.end(), [&](const auto& label) {
    const auto found = all.find(label.first);
    return found != all.end() && found->second == label.second;
  });
}

absl::StatusOr<int> Connect(const std::string& address) {
  const size_t colon = address.rfind(':');
  absl::string_view host = absl::string_view(address).substr(0, colon);
  if (absl::ConsumePrefix(&host, "[")) absl::ConsumeSuffix(&host, "]");
  addrinfo hints = {};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (getaddrinfo(std::string(host).c_str(), address.substr(colon + 1).c_str(), &hints, &found) !=
      0) {
    return absl::UnavailableError(absl::StrCat("no such address: ", address));
  }
  const absl::Cleanup free_found = [found] { freeaddrinfo(found); };
  for (const addrinfo* each = found; each != nullptr; each = each->ai_next) {
    const int fd = socket(each->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const timeval patience = {30, 0};
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience));
    if (connect(fd, each->ai_addr, each->ai_addrlen) == 0) return fd;
    close(fd);
  }
  return absl::UnavailableError(absl::StrCat("nobody answers at ", address));
}

}  // namespace

double MetricsPage::Value(absl::string_view name, const Labels& labels) const {
  for (const Sample& sample : samples) {
    if (sample.name == name && sample.labels == labels) return sample.value;
  }
  return std::numeric_limits<double>::quiet_NaN();
}

double MetricsPage::Sum(absl::string_view name, const Labels& labels) const {
  double sum = 0;
  for (const Sample& sample : samples) {
    if (sample.name == name && Includes(sample.labels, labels)) sum += sample.value;
  }
  return sum;
}

std::map<std::string, std::set<std::string>> MetricsPage::LabelNames() const {
  std::map<std::string, std::set<std::string>> names;
  for (const Sample& sample : samples) {
    std::set<std::string>& labels = names[sample.name];
    for (const auto& [label, value] : sample.labels) labels.insert(label);
  }
  return names;
}

absl::StatusOr<MetricsPage> ParseMetricsPage(absl::string_view text) {
  MetricsPage page;
  std::set<std::pair<std::string, Labels>> seen;
  std::string family;
  if (!absl::ConsumeSuffix(&text, "\n")) return absl::InvalidArgumentError("no newline at the end");
  for (const absl::string_view line : absl::StrSplit(text, '\n')) {
    const absl::Status wrong = absl::InvalidArgumentError(absl::StrCat("wrong line: ", line));
    absl::string_view rest = line;
    if (absl::ConsumePrefix(&rest, "# HELP ")) {
      family = TakeName(rest);
      if (!absl::ConsumePrefix(&rest, " ") || !page.helps.emplace(family, rest).second)
        return wrong;
      continue;
    }
    if (absl::ConsumePrefix(&rest, "# TYPE ")) {
      const std::string name = TakeName(rest);
      if (name != family || !absl::ConsumePrefix(&rest, " ") ||
          !page.types.emplace(name, rest).second)
        return wrong;
      continue;
    }
    Sample sample;
    if (!ParseSample(line, sample) || !page.types.contains(family) ||
        !BelongsTo(page, family, sample.name) || !seen.emplace(sample.name, sample.labels).second) {
      return wrong;
    }
    page.samples.push_back(std::move(sample));
  }
  return page;
}

absl::StatusOr<std::string> ExchangeHttp(const std::string& address, absl::string_view request) {
  const absl::StatusOr<int> fd = Connect(address);
  if (!fd.ok()) return fd.status();
  const absl::Cleanup close_fd = [fd = *fd] { close(fd); };
  if (send(*fd, request.data(), request.size(), MSG_NOSIGNAL) !=
      static_cast<ssize_t>(request.size())) {
    return absl::UnavailableError("the server took only a part of the request");
  }
  std::string reply;
  std::array<char, 4096> buffer;
  while (true) {
    const ssize_t size = recv(*fd, buffer.data(), buffer.size(), 0);
    if (size == 0) return reply;
    if (size < 0) return absl::UnavailableError(absl::StrCat("cut off after: ", reply));
    reply.append(buffer.data(), static_cast<size_t>(size));
  }
}

absl::StatusOr<MetricsPage> ScrapeMetrics(const std::string& address) {
  const absl::StatusOr<std::string> reply =
      ExchangeHttp(address, "GET /metrics HTTP/1.1\r\nHost: test\r\n\r\n");
  if (!reply.ok()) return reply.status();
  const std::pair<absl::string_view, absl::string_view> parts =
      absl::StrSplit(*reply, absl::MaxSplits("\r\n\r\n", 1));
  if (!absl::StartsWith(parts.first, "HTTP/1.1 200 OK\r\n")) {
    return absl::UnavailableError(parts.first);
  }
  return ParseMetricsPage(parts.second);
}

std::map<std::string, std::string> DocumentedMetrics() {
  std::map<std::string, std::string> types;
  std::ifstream file(AUTHURL_SOURCE_DIR "/deploy/prometheus/README.md");
  for (std::string line; std::getline(file, line);) {
    // | `name` | type | labels | meaning |
    const std::vector<std::string> cells = absl::StrSplit(line, '|');
    if (cells.size() != 6 || !absl::StartsWith(cells[1], " `")) continue;
    types.emplace(absl::StripPrefix(absl::StripSuffix(cells[1], "` "), " `"),
                  absl::StripAsciiWhitespace(cells[2]));
  }
  return types;
}

}  // namespace authurl::testing
