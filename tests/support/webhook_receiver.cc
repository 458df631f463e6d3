#include "tests/support/webhook_receiver.h"

#include <gtest/gtest.h>

#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "tests/support/eventually.h"

namespace authurl::testing {
namespace {

std::string HeaderOf(absl::string_view head, absl::string_view name) {
  for (const absl::string_view line : absl::StrSplit(head, "\r\n")) {
    const std::pair<absl::string_view, absl::string_view> parts =
        absl::StrSplit(line, absl::MaxSplits(':', 1));
    if (absl::EqualsIgnoreCase(parts.first, name)) {
      return std::string(absl::StripAsciiWhitespace(parts.second));
    }
  }
  return "";
}

// Of JSON whose texts have nothing to escape.
std::string TextOf(absl::string_view json, absl::string_view name) {
  const std::string begin = absl::StrCat("\"", name, "\":\"");
  const size_t at = json.find(begin);
  if (at == absl::string_view::npos) return "";
  json.remove_prefix(at + begin.size());
  return std::string(json.substr(0, json.find('"')));
}

bool IsTaken(absl::string_view answer) { return absl::StartsWith(answer, "HTTP/1.1 2"); }

}  // namespace

std::string WebhookReceiver::Delivery::Data(absl::string_view name) const {
  const size_t data = body.find("\"data\":");
  return data == std::string::npos ? "" : TextOf(absl::string_view(body).substr(data), name);
}

std::string WebhookReceiver::Delivery::type() const { return TextOf(body, "type"); }

WebhookReceiver::WebhookReceiver()
    : server_(nobody_, [this](HostileServer::Peer& peer) { return Serve(peer); },
              {.kind = HostileServer::Kind::kPlain}) {
  TakeAll();
}

WebhookReceiver::~WebhookReceiver() = default;

std::string WebhookReceiver::Url() const {
  return absl::StrCat("http://", server_.address(), "/hook");
}

void WebhookReceiver::AnswerBy(Answer answer) {
  const std::lock_guard lock(mutex_);
  answer_ = std::move(answer);
  is_hanging_ = false;
}

void WebhookReceiver::AnswerWith(int status, absl::string_view more_headers) {
  std::string text = absl::StrCat("HTTP/1.1 ", status, " Whatever\r\n", more_headers,
                                  status == 204 ? "" : "Content-Length: 0\r\n", "\r\n");
  AnswerBy([text = std::move(text)](const Delivery&) { return text; });
}

void WebhookReceiver::Hang() {
  const std::lock_guard lock(mutex_);
  is_hanging_ = true;
}

std::vector<WebhookReceiver::Delivery> WebhookReceiver::received() const {
  const std::lock_guard lock(mutex_);
  return received_;
}

std::vector<WebhookReceiver::Delivery> WebhookReceiver::taken() const {
  const std::lock_guard lock(mutex_);
  return taken_;
}

bool WebhookReceiver::WaitForReceived(size_t count) const {
  return Eventually([&] { return received().size() >= count; });
}

bool WebhookReceiver::WaitForTaken(size_t count) const {
  return Eventually([&] { return taken().size() >= count; });
}

bool WebhookReceiver::Serve(HostileServer::Peer& peer) {
  const std::string& request = peer.request();
  const size_t end = request.find("\r\n\r\n");
  const absl::string_view head = absl::string_view(request).substr(0, end);
  Delivery delivery = {.request = request,
                       .id = HeaderOf(head, "webhook-id"),
                       .timestamp = HeaderOf(head, "webhook-timestamp"),
                       .signature = HeaderOf(head, "webhook-signature"),
                       .body = end == std::string::npos ? "" : request.substr(end + 4)};
  Answer answer;
  {
    const std::lock_guard lock(mutex_);
    received_.push_back(delivery);
    if (!is_hanging_) answer = answer_;
  }
  if (!answer) {
    peer.WaitUntilGone();
    return false;
  }
  const std::string text = answer(delivery);
  if (IsTaken(text)) {
    const std::lock_guard lock(mutex_);
    taken_.push_back(std::move(delivery));
  }
  return !text.empty() && peer.Send(text);
}

}  // namespace authurl::testing
