#include "server/observe/http_server.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "server/observe/log.h"
#include "tests/support/build_kind.h"
#include "tests/support/eventually.h"
#include "tests/support/file_limit.h"
#include "tests/support/metrics_page.h"
#include "tests/support/raw_connection.h"
#include "tests/support/status_matchers.h"
#include "tests/support/stderr_pipe.h"

namespace authurl::testing {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

constexpr size_t kBigBody = 8 << 20;

HttpReply ReplyTo(absl::string_view path) {
  if (path == "/throws") throw std::runtime_error("a secret");
  if (path == "/big") return {.body = std::string(kBigBody, 'x')};
  if (path == "/page") return {.content_type = "text/x", .body = "the page"};
  return {.status = 404, .body = "nothing here"};
}

absl::StatusOr<std::unique_ptr<HttpServer>> Start(const std::string& listen = "127.0.0.1:0") {
  absl::StatusOr<BoundSockets> sockets = BoundSockets::BindTcp(listen, "listen");
  if (!sockets.ok()) return sockets.status();
  return HttpServer::Start(*std::move(sockets), ReplyTo);
}

std::string Get(const HttpServer& server, const std::string& target) {
  const auto reply =
      ExchangeHttp(server.address(), absl::StrCat("GET ", target, " HTTP/1.1\r\nHost: a\r\n\r\n"));
  EXPECT_OK(reply);
  return reply.value_or("");
}

TEST(HttpServerTest, GetIsAnsweredByTheHandler) {
  ASSERT_OK_AND_ASSIGN(const auto server, Start());
  EXPECT_THAT(Get(*server, "/page"),
              AllOf(StartsWith("HTTP/1.1 200 OK\r\n"), HasSubstr("\r\nContent-Type: text/x\r\n"),
                    HasSubstr("\r\nContent-Length: 8\r\n"), HasSubstr("\r\nConnection: close\r\n"),
                    EndsWith("\r\n\r\nthe page")));
  EXPECT_THAT(Get(*server, "/page?name=value"), EndsWith("\r\n\r\nthe page"));
  EXPECT_THAT(Get(*server, "/other"), StartsWith("HTTP/1.1 404 Not Found\r\n"));
}

TEST(HttpServerTest, HeadHasTheHeadersAndNoBody) {
  ASSERT_OK_AND_ASSIGN(const auto server, Start());
  ASSERT_OK_AND_ASSIGN(const std::string reply,
                       ExchangeHttp(server->address(), "HEAD /page HTTP/1.1\r\n\r\n"));
  EXPECT_THAT(reply, AllOf(HasSubstr("\r\nContent-Length: 8\r\n"), EndsWith("\r\n\r\n")));
}

TEST(HttpServerTest, OtherMethodsAreRefused) {
  ASSERT_OK_AND_ASSIGN(const auto server, Start());
  for (const char* method : {"POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "TRACE", "G", "GETX"}) {
    ASSERT_OK_AND_ASSIGN(
        const std::string reply,
        ExchangeHttp(server->address(),
                     absl::StrCat(method, " /page HTTP/1.1\r\n", "Content-Length: 4\r\n\r\nbody")));
    EXPECT_THAT(reply, AllOf(StartsWith("HTTP/1.1 405 Method Not Allowed\r\n"),
                             HasSubstr("\r\nAllow: GET, HEAD\r\n")));
  }
}

TEST(HttpServerTest, WhatIsNoRequestIsRefused) {
  ASSERT_OK_AND_ASSIGN(const auto server, Start());
  const std::string no_requests[] = {
      "GET\r\n\r\n",
      "GET /page\r\n\r\n",
      "GET  HTTP/1.1\r\n\r\n",
      "GET /page HTTP/2.0\r\n\r\n",
      "GET /page with spaces HTTP/1.1\r\n\r\n",
      "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
      "get /page HTTP/1.1\r\n\r\n",
      "\r\n\r\n",
      "\x16\x03\x01 a TLS hello",
      std::string("\0\0\0", 3),
      absl::StrCat("GET", std::string(200, '\0'), "\r\n\r\n"),
  };
  for (const std::string& request : no_requests) {
    EXPECT_THAT(ExchangeHttp(server->address(), request).value_or("no reply"),
                StartsWith("HTTP/1.1 400 Bad Request\r\n"))
        << request;
  }
  EXPECT_THAT(Get(*server, "/page"), EndsWith("the page"));
}

TEST(HttpServerTest, RequestThatNeverEndsIsCutOff) {
  ASSERT_OK_AND_ASSIGN(const auto server, Start());
  const std::string request =
      absl::StrCat("GET /page HTTP/1.1\r\nCookie: ", std::string(20'000, 'a'));  // And no end.
  EXPECT_THAT(ExchangeHttp(server->address(), request).value_or("no reply"),
              StartsWith("HTTP/1.1 431 Request Header Fields Too Large\r\n"));
}

TEST(HttpServerTest, RequestMayComeInPieces) {
  ASSERT_OK_AND_ASSIGN(const auto server, Start());
  RawConnection slow(server->address());
  ASSERT_TRUE(slow.Send("GET /pa"));
  // The server has seen the first piece by the time it answers somebody who came later.
  EXPECT_THAT(Get(*server, "/page"), EndsWith("the page"));
  ASSERT_TRUE(slow.Send("ge HTTP/1.1\r\n\r\n"));
  EXPECT_TRUE(slow.WaitUntilClosed(kPatience));
}

TEST(HttpServerTest, BigReplyArrivesWhole) {
  ASSERT_OK_AND_ASSIGN(const auto server, Start());
  const std::string reply = Get(*server, "/big");
  EXPECT_EQ(reply.size() - reply.find("\r\n\r\n") - 4, kBigBody);
}

TEST(HttpServerTest, HandlerThatThrowsTellsNobodyWhy) {
  ASSERT_OK_AND_ASSIGN(const auto server, Start());
  EXPECT_THAT(Get(*server, "/throws"), AllOf(StartsWith("HTTP/1.1 500 Internal Server Error\r\n"),
                                             Not(HasSubstr("secret"))));
}

TEST(HttpServerTest, ClientsThatSayNothingDoNotKeepOthersOut) {
  ASSERT_OK_AND_ASSIGN(const auto server, Start());
  std::vector<RawConnection> silent;
  for (int i = 0; i < 100; ++i) {
    silent.emplace_back(server->address());
    ASSERT_TRUE(silent.back().Send(i % 2 == 0 ? "GET /page HTT" : ""));
  }
  EXPECT_THAT(Get(*server, "/page"), EndsWith("the page"));
  // Those that came first made room.
  EXPECT_TRUE(silent.front().WaitUntilClosed(kPatience));
}

TEST(HttpServerTest, ClientsThatHangUpAtOnceDoNoHarm) {
  ASSERT_OK_AND_ASSIGN(const auto server, Start());
  for (int i = 0; i < 50; ++i) {
    const RawConnection gone(server->address());
    // The reply is too big for the socket's buffer, so there is something left to send.
    EXPECT_TRUE(gone.Send(i % 2 == 0 ? "GET /big HTTP/1.1\r\n\r\n" : ""));
  }
  EXPECT_THAT(Get(*server, "/page"), EndsWith("the page"));
}

TEST(HttpServerTest, RandomBytesDoNoHarm) {
  ASSERT_OK_AND_ASSIGN(const auto server, Start());
  std::mt19937 random(5);
  constexpr char kAlphabet[] = "GET HEAD/page? HTTP/1.1\r\n\r\n:\0\xff";
  for (int i = 0; i < 500; ++i) {
    std::string request = i % 2 == 0 ? "GET " : "";
    for (unsigned size = random() % 100; size > 0; --size) {
      request.push_back(kAlphabet[random() % sizeof(kAlphabet)]);
    }
    // An end, so that there is a reply.
    EXPECT_THAT(ExchangeHttp(server->address(), absl::StrCat(request, "\r\n\r\n")).value_or(""),
                StartsWith("HTTP/1.1 "))
        << request;
  }
}

TEST(HttpServerTest, StopsWhileConnectionsAreOpen) {
  std::vector<RawConnection> open;
  std::string address;
  {
    ASSERT_OK_AND_ASSIGN(const auto server, Start());
    address = server->address();
    for (int i = 0; i < 10; ++i) open.emplace_back(address);
    ASSERT_TRUE(open[0].Send("GET /pa"));
    ASSERT_TRUE(open[1].Send("GET /big HTTP/1.1\r\n\r\n"));
    EXPECT_THAT(Get(*server, "/page"), EndsWith("the page"));
  }
  EXPECT_FALSE(RawConnection(address).connected());
  EXPECT_OK(Start(address));
}

TEST(HttpServerTest, Ipv6IsServed) {
  const auto server = Start("[::1]:0");
  if (!server.ok()) GTEST_SKIP() << "this machine has no IPv6";
  EXPECT_THAT(Get(**server, "/page"), EndsWith("the page"));
}

// A socket that connects once it may: at a time when no new file can be opened.
class LateClient final {
 public:
  LateClient() : fd_(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {}
  ~LateClient() { close(fd_); }
  LateClient(const LateClient&) = delete;
  LateClient& operator=(const LateClient&) = delete;

  bool Connect(const std::string& address) const {
    int port = 0;
    if (!absl::SimpleAtoi(address.substr(address.rfind(':') + 1), &port)) return false;
    sockaddr_in to = {};
    to.sin_family = AF_INET;
    to.sin_port = htons(static_cast<uint16_t>(port));
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return connect(fd_, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) == 0;
  }
  // What the server answers to a request for /page, until it hangs up.
  std::string Get() const {
    constexpr absl::string_view kRequest = "GET /page HTTP/1.1\r\n\r\n";
    if (send(fd_, kRequest.data(), kRequest.size(), MSG_NOSIGNAL) < 0) return "";
    std::string reply;
    char buffer[1024];
    for (ssize_t size; (size = recv(fd_, buffer, sizeof(buffer), 0)) > 0;) {
      reply.append(buffer, static_cast<size_t>(size));
    }
    return reply;
  }

 private:
  const int fd_;
};

TEST(HttpServerTest, RunningOutOfFileDescriptorsIsNotTheEnd) {
  ASSERT_OK_AND_ASSIGN(const auto server, Start());
  const LateClient first;
  const LateClient second;
  const LateClient late;
  ASSERT_TRUE(first.Connect(server->address()));
  ASSERT_TRUE(second.Connect(server->address()));
  // Both are accepted by the time that a third one has its answer.
  EXPECT_THAT(Get(*server, "/page"), EndsWith("the page"));

  rlimit limit = {};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
  const int lowest_free = dup(0);
  close(lowest_free);
  const rlimit none = {static_cast<rlim_t>(lowest_free), limit.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
  EXPECT_TRUE(late.Connect(server->address()));
  // The server goes on with what it has; once it has answered twice, it has also tried to accept.
  EXPECT_THAT(first.Get(), EndsWith("the page"));
  EXPECT_THAT(second.Get(), EndsWith("the page"));
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
  EXPECT_THAT(late.Get(), EndsWith("the page"));
}

TEST(HttpServerTest, LackOfFileDescriptorsIsAnErrorOfTheStart) {
  absl::StatusOr<BoundSockets> sockets = BoundSockets::BindTcp("127.0.0.1:0", "listen");
  ASSERT_OK(sockets);
  absl::Status status;
  {
    const FileLimit limit(NextDescriptor());
    status = HttpServer::Start(*std::move(sockets), ReplyTo).status();
  }
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable, HasSubstr("Too many open files")));
}

TEST(HttpServerTest, ItGoesOnServingAfterPollHasFailed) {
  if (kNeedsFileDescriptors) GTEST_SKIP() << "the sanitizer needs file descriptors";
  ASSERT_OK_AND_ASSIGN(const auto server, Start());
  StderrPipe output;
  StartLog("info");
  const RawConnection caller;
  {
    const FileLimit limit(1);
    ASSERT_TRUE(caller.Connect(server->address()));
    EXPECT_TRUE(Eventually([&] { return absl::StrContains(output.Text(), "poll_failed"); }));
  }
  EXPECT_THAT(Get(*server, "/page"), EndsWith("the page"));
  EXPECT_TRUE(StopLog());
}

TEST(HttpServerTest, ItStopsAlthoughPollFails) {
  if (kNeedsFileDescriptors) GTEST_SKIP() << "the sanitizer needs file descriptors";
  ASSERT_OK_AND_ASSIGN(auto server, Start());
  StderrPipe output;
  StartLog("info");
  const RawConnection caller;
  {
    const FileLimit limit(1);
    ASSERT_TRUE(caller.Connect(server->address()));
    EXPECT_TRUE(Eventually([&] { return absl::StrContains(output.Text(), "poll_failed"); }));
    server.reset();
  }
  EXPECT_TRUE(StopLog());
}

}  // namespace
}  // namespace authurl::testing
