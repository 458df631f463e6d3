#include "server/outbound/curl_transfer.h"

#include <openssl/ssl.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <string>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/time/clock.h"
#include "core/crypto/crypto.h"

namespace authurl {
namespace {

// Of all answers that are under way to one pool: strangers may send large ones on purpose.
constexpr size_t kMaxHeldBytes = size_t{64} << 20;
// Of an answer, with those of interim answers and trailers.
constexpr size_t kMaxHeaderBytes = size_t{64} << 10;
constexpr int kMaxHeaderLines = 256;

// As std::string does, but wipes what it outgrows.
void AppendWiping(std::string& text, absl::string_view more) {
  if (text.size() + more.size() > text.capacity()) {
    std::string larger;
    larger.reserve(std::max(2 * text.capacity(), text.size() + more.size()));
    larger = text;
    larger.swap(text);
    Wipe(larger);
  }
  text.append(more.data(), more.size());
}

}  // namespace

curl_socket_t CurlTransfer::OpenSocket(void* self, curlsocktype /*purpose*/,
                                       curl_sockaddr* address) {
  auto& transfer = *static_cast<CurlTransfer*>(self);
  if (transfer.proxy == nullptr && !transfer.rules->MayConnect(transfer.to, address->addr)) {
    transfer.is_refused_address = true;
    return CURL_SOCKET_BAD;
  }
  const int fd = socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
  if (fd >= 0) {
    transfer.has_opened_socket = true;
  } else if (errno != EAFNOSUPPORT) {
    // Not the host's fault. A family that this machine does not have is none of ours either.
    transfer.has_no_room = true;
  }
  return fd;
}

// libcurl is about to look a name up, which may take it as long as it likes: names have their
// addresses already. Addresses need no looking up, but this is asked for them as well.
int CurlTransfer::StartResolver(void* /*resolver_state*/, void* /*reserved*/, void* self) {
  const auto& transfer = *static_cast<const CurlTransfer*>(self);
  return transfer.addresses == nullptr ? 0 : 1;
}

CURLcode CurlTransfer::ConfigureTls(CURL* /*easy*/, void* tls_context, void* /*self*/) {
  // OpenSSL would keep what came last until more comes.
  SSL_CTX_set_options(static_cast<SSL_CTX*>(tls_context), SSL_OP_CLEANSE_PLAINTEXT);
  return CURLE_OK;
}

int CurlTransfer::BeforeSending(void* self, char* /*peer*/, char* /*local*/, int /*peer_port*/,
                                int /*local_port*/) {
  auto& transfer = *static_cast<CurlTransfer*>(self);
  // Again: an open connection ended before an answer came. The request may have been read.
  if (++transfer.sendings > 1 && !transfer.may_be_sent_twice()) return CURL_PREREQFUNC_ABORT;
  return CURL_PREREQFUNC_OK;
}

size_t CurlTransfer::TakeHeader(const char* data, size_t size, size_t count, void* self) {
  const absl::string_view line(data, size * count);
  return static_cast<CurlTransfer*>(self)->ReadHeader(line) ? line.size() : 0;
}

size_t CurlTransfer::TakeBody(const char* data, size_t size, size_t count, void* self) {
  auto& transfer = *static_cast<CurlTransfer*>(self);
  const absl::string_view more(data, size * count);
  if (!transfer.is_body_wanted()) {
    transfer.dropped_bytes += more.size();
    return transfer.dropped_bytes > kMaxDroppedBytes ? 0 : more.size();
  }
  if (transfer.answer.body.size() + more.size() > kMaxBodyBytes) {
    transfer.is_too_large = true;
    return 0;
  }
  if (*transfer.held_bytes_of_pool + more.size() > kMaxHeldBytes) {
    transfer.has_no_room = true;
    return 0;
  }
  transfer.held_bytes += more.size();
  *transfer.held_bytes_of_pool += more.size();
  AppendWiping(transfer.answer.body, more);
  return more.size();
}

bool CurlTransfer::ReadHeader(absl::string_view line) {
  header_bytes += line.size();
  if (++header_lines > kMaxHeaderLines || header_bytes > kMaxHeaderBytes) {
    is_too_large = true;
    return false;
  }
  // The first line of an answer; what came before was an interim one.
  if (absl::StartsWith(line, "HTTP/")) {
    answer.headers.clear();
    encodings = 0;
    is_head_whole = false;
    return true;
  }
  if (absl::StripAsciiWhitespace(line).empty()) {
    is_head_whole = true;
    if (!is_body_wanted()) head_came = absl::Now();
  }
  const size_t colon = line.find(':');
  if (colon == absl::string_view::npos) return true;
  const absl::string_view name = line.substr(0, colon);
  const absl::string_view value = absl::StripAsciiWhitespace(line.substr(colon + 1));
  const bool is_encoding = is_body_wanted() && absl::EqualsIgnoreCase(name, "Content-Encoding");
  if (is_encoding || absl::EqualsIgnoreCase(name, "Transfer-Encoding")) {
    if (IsAnyOf(value, {"", "identity", "chunked"})) return true;
    // One inside of another, a kilobyte would become a gigabyte before the body's size is seen.
    return is_encoding && ++encodings == 1 && IsAnyOf(value, {"gzip", "x-gzip", "deflate"});
  }
  const bool is_wanted = std::any_of(
      target.headers.begin(), target.headers.end(),
      [name](const std::string& wanted) { return absl::EqualsIgnoreCase(name, wanted); });
  if (is_wanted) answer.headers.push_back({std::string(name), std::string(value)});
  return true;
}

}  // namespace authurl
