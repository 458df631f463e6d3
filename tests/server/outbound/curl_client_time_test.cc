// What takes long, what is too much, and how it ends.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <prometheus/text_serializer.h>
#include <sys/resource.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <list>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_cat.h"
#include "server/outbound/curl_client.h"
#include "tests/support/build_kind.h"
#include "tests/support/eventually.h"
#include "tests/support/metrics_page.h"
#include "tests/support/notification.h"
#include "tests/support/outbound_fixture.h"
#include "tests/support/status_matchers.h"

namespace authurl::testing {
namespace {

using ::testing::AllOf;
using ::testing::Not;

using Peer = HostileServer::Peer;
using Kind = HostileServer::Kind;

class CurlClientTimeTest : public OutboundTest {
 protected:
  CurlClientTimeTest() {
    // A name whose look-up hangs until the test is over.
    options_.lookup = [hang = hang_](const std::string& host) -> absl::StatusOr<HostAddresses> {
      if (host.starts_with("hanging")) hang->WaitForNotification();
      return HostAddresses{"127.0.0.1"};
    };
  }
  ~CurlClientTimeTest() override {
    client_.reset();
    hang_->Notify();
  }

  // Answers once `go_` is notified.
  HostileServer::Handler Held() {
    return [this](Peer& peer) {
      // Never longer, or a test that fails would hang.
      return go_.WaitForNotificationWithTimeout(kPatience) && peer.Send(kOk);
    };
  }
  static HostileServer::Handler Silent() {
    return [](Peer& peer) {
      peer.WaitUntilGone();
      return false;
    };
  }

  double Metric(absl::string_view name, const Labels& labels) const {
    const auto page = ParseMetricsPage(prometheus::TextSerializer().Serialize(metrics_.Collect()));
    EXPECT_OK(page);
    return page->Value(name, labels);
  }

  const std::shared_ptr<Notification> hang_ = std::make_shared<Notification>();
  Notification go_;
};

TEST_F(CurlClientTimeTest, SilenceAtEachStageEnds) {
  options_.connect_timeout = absl::Milliseconds(300);
  options_.timeout = absl::Milliseconds(600);
  HostileServer unconnected(authority_, Silent(), {.kind = Kind::kNeverConnected});
  EXPECT_THAT(Ask(Get(unconnected.Url("/"))),
              AllOf(IsUnavailable("no connection"), IsSafeToRepeat()));
  HostileServer wordless(authority_, Silent(), {.kind = Kind::kSilent});
  EXPECT_THAT(Ask(Get(wordless.Url("/", "a.example"))),
              AllOf(IsUnavailable("no connection"), IsSafeToRepeat()));
  EXPECT_EQ(wordless.connections(), 1);
  EXPECT_THAT(Ask(Get("https://hanging.example/")),
              AllOf(IsUnavailable("could not be found out"), IsSafeToRepeat()));
  // On a connection that is there already, however long its handshake takes on this machine.
  HostileServer silent(authority_, [](Peer& peer) {
    if (peer.number() == 1) return peer.Send(kOk);
    peer.WaitUntilGone();
    return false;
  });
  ASSERT_TRUE(Eventually([&] { return Ask(Get(silent.Url("/", "b.example"))).ok(); }));
  EXPECT_THAT(Ask(Get(silent.Url("/", "b.example"))),
              AllOf(IsUnavailable("did not answer in time"), Not(IsSafeToRepeat())));
  HostileServer slow(authority_, [](Peer& peer) {
    if (peer.number() == 1) return peer.Send(kOk);
    bool there = peer.Send("HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
    while (there) {
      there = peer.Send("a");
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return false;
  });
  ASSERT_TRUE(Eventually([&] { return Ask(Get(slow.Url("/", "c.example"))).ok(); }));
  EXPECT_THAT(Ask(Get(slow.Url("/", "c.example"))),
              AllOf(IsUnavailable("did not answer in time"), Not(IsSafeToRepeat())));
}

TEST_F(CurlClientTimeTest, CancelledContextEndsTheCallAtOnce) {
  options_.timeout = absl::Hours(1);
  options_.connect_timeout = absl::Hours(1);
  HostileServer silent(authority_, Silent());
  SentCall call;
  call.Send(Client(), Get(silent.Url("/")), Catalog());
  EXPECT_TRUE(Eventually([&] { return silent.requests() == 1; }));
  EXPECT_FALSE(call.has_ended());
  call.context().Cancel();
  EXPECT_THAT(call.answer(), AllOf(HasReason("CALL_CANCELLED"), Not(IsSafeToRepeat())));

  SentCall nameless;
  nameless.Send(Client(), Get("https://hanging.example/"), Catalog());
  EXPECT_FALSE(nameless.has_ended());
  nameless.context().Cancel();
  EXPECT_THAT(nameless.answer(), AllOf(HasReason("CALL_CANCELLED"), IsSafeToRepeat()));

  SentCall never;
  never.context().Cancel();
  never.Send(Client(), Get(silent.Url("/")), Catalog());
  EXPECT_TRUE(never.has_ended()) << "before Send() returned";
  EXPECT_THAT(never.answer(), AllOf(HasReason("CALL_CANCELLED"), IsSafeToRepeat()));
  EXPECT_EQ(silent.requests(), 1);
  EXPECT_EQ(Client().under_way(), 0);
}

TEST_F(CurlClientTimeTest, DeadlineOfTheContextEndsTheCall) {
  options_.timeout = absl::Hours(1);
  options_.connect_timeout = absl::Hours(1);
  HostileServer silent(authority_, Silent());
  EXPECT_THAT(Ask(Get(silent.Url("/")), Catalog(), absl::Now() + absl::Milliseconds(300)),
              HasReason("DEADLINE_EXCEEDED"));
  EXPECT_THAT(
      Ask(Get("https://hanging.example/"), Catalog(), absl::Now() + absl::Milliseconds(100)),
      AllOf(HasReason("DEADLINE_EXCEEDED"), IsSafeToRepeat()));
  EXPECT_THAT(Ask(Get(silent.Url("/")), Catalog(), absl::Now() - absl::Seconds(1)),
              AllOf(HasReason("DEADLINE_EXCEEDED"), IsSafeToRepeat()));
}

TEST_F(CurlClientTimeTest, NamesThatHangHoldUpNobody) {
  options_.connect_timeout = absl::Hours(1);
  options_.timeout = absl::Hours(1);
  options_.allow_local = true;
  HostileServer server(authority_, Answer(kOk));
  std::list<SentCall> hanging(20);
  int number = 0;
  for (SentCall& call : hanging) {
    call.Send(Client(), Get(absl::StrCat("https://hanging", ++number, ".example/")), Stranger());
  }
  // Names of other organisations' strangers, and those of the catalog.
  CallTarget other = Stranger();
  other.org_id = "other";
  EXPECT_OK(Ask(Get(server.Url("/")), other));
  EXPECT_OK(Ask(Get(server.Url("/"))));
  for (const SentCall& call : hanging) EXPECT_FALSE(call.has_ended());
  // Nor the end.
  Client().Stop(absl::InfinitePast());
  for (SentCall& call : hanging) {
    EXPECT_THAT(call.answer(), AllOf(IsUnavailable("being stopped"), IsSafeToRepeat()));
  }
}

TEST_F(CurlClientTimeTest, StopLetsEndWhatIsUnderWay) {
  options_.timeout = absl::Hours(1);
  HostileServer server(authority_, Held());
  SentCall call;
  call.Send(Client(), Post(server.Url("/"), "code=1"), Catalog());
  EXPECT_TRUE(Eventually([&] { return server.requests() == 1; }));
  std::atomic<bool> stopped = false;
  std::thread stopper([&] {
    Client().Stop(absl::InfiniteFuture());
    stopped = true;
  });
  // Nothing new is begun.
  EXPECT_TRUE(Eventually([&] {
    SentCall late(absl::Now() + absl::Milliseconds(20));
    late.Send(Client(), Get("https://hanging.example/"), Catalog());
    return IsUnsent(late.answer().status()) && absl::IsUnavailable(late.answer().status());
  }));
  EXPECT_FALSE(stopped || call.has_ended());
  go_.Notify();
  EXPECT_OK(call.answer());
  stopper.join();
}

TEST_F(CurlClientTimeTest, StopEndsWhatTakesLonger) {
  options_.timeout = absl::Hours(1);
  HostileServer silent(authority_, Silent());
  SentCall call;
  call.Send(Client(), Get(silent.Url("/")), Catalog());
  EXPECT_TRUE(Eventually([&] { return silent.requests() == 1; }));
  Client().Stop(absl::Now() + absl::Milliseconds(50));
  EXPECT_TRUE(call.has_ended());
  EXPECT_THAT(call.answer(), AllOf(IsUnavailable("being stopped"), Not(IsSafeToRepeat())));
  EXPECT_EQ(Client().under_way(), 0);
}

TEST_F(CurlClientTimeTest, CallbacksMaySendAgain) {
  HostileServer server(authority_, Answer(kOk));
  SentCall second;
  const CallContext context(absl::InfiniteFuture());
  Client().Send(Post(server.Url("/token"), "code=1"), Catalog(), context,
                [&](const absl::StatusOr<HttpAnswer>& answer) {
                  EXPECT_OK(answer);
                  second.Send(Client(), Get(server.Url("/me")), Catalog());
                });
  EXPECT_OK(second.answer());
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(CurlClientTimeTest, HostsThatFailAreLeftAloneAndTriedAgain) {
  options_.breaker = {
      .failures_to_open = 3, .first_pause = absl::Hours(1), .longest_pause = absl::Hours(1)};
  std::atomic<bool> works = false;
  HostileServer server(authority_, [&](Peer& peer) {
    return peer.Send(works ? kOk : "HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n");
  });
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Ask(Get(server.Url("/")))->status, 500);
  const absl::StatusOr<HttpAnswer> refused = Ask(Get(server.Url("/")));
  EXPECT_THAT(refused, AllOf(IsUnavailable("is left alone"), IsSafeToRepeat()));
  EXPECT_GT(RetryAfterOf(refused.status()), absl::Minutes(50));
  EXPECT_EQ(server.requests(), 3);
  EXPECT_EQ(Metric("authurl_outbound_open_breakers", {{"network", "x"}}), 1);
  EXPECT_EQ(Metric("authurl_outbound_calls_total", {{"network", "x"}, {"outcome", "breaker_open"}}),
            1);
  // Another host of the same server, or another network.
  EXPECT_OK(Ask(Get(server.Url("/", "other.example"))));
  CallTarget other = Catalog();
  other.network = "mastodon";
  EXPECT_OK(Ask(Get(server.Url("/")), other));

  options_.breaker.first_pause = absl::Milliseconds(1);
  options_.breaker.longest_pause = absl::Milliseconds(1);
  client_.reset();
  for (int i = 0; i < 3; ++i) EXPECT_EQ(Ask(Get(server.Url("/")))->status, 500);
  works = true;
  EXPECT_TRUE(Eventually([&] { return Ask(Get(server.Url("/"))).ok(); }));
  for (int i = 0; i < 10; ++i) EXPECT_OK(Ask(Get(server.Url("/"))));
}

TEST_F(CurlClientTimeTest, RefusalsAndSlownessOfOursOpenNoBreaker) {
  options_.breaker.failures_to_open = 1;
  options_.timeout = absl::Hours(1);
  options_.connect_timeout = absl::Hours(1);
  HostileServer server(authority_, Answer("HTTP/1.1 404 No\r\nContent-Length: 0\r\n\r\n"));
  EXPECT_OK(Ask(Get(server.Url("/"))));
  HostileServer silent(authority_, Silent());
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(Ask(Get(silent.Url("/")), Catalog(), absl::Now() + absl::Milliseconds(300)),
                HasReason("DEADLINE_EXCEEDED"));
  }
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(Ask(Get("https://127.0.0.1/"), Stranger()), IsUnavailable("no public address"));
  }
}

TEST_F(CurlClientTimeTest, EachHostAndOrganizationHasItsShare) {
  options_.max_calls_per_host = 4;
  options_.max_calls_per_organization = 8;
  options_.max_calls = 10;
  options_.timeout = absl::Hours(1);
  HostileServer server(authority_, Held());
  std::list<SentCall> calls;
  const auto send = [&](const std::string& host, const std::string& org) -> SentCall& {
    CallTarget target = Catalog();
    target.org_id = org;
    calls.emplace_back().Send(Client(), Get(server.Url("/", host)), target);
    return calls.back();
  };
  const auto is_refused = [](SentCall& call) {
    return call.has_ended() && absl::IsUnavailable(call.answer().status()) &&
           IsUnsent(call.answer().status());
  };
  for (int i = 0; i < 2; ++i) EXPECT_FALSE(send("a.example", "acme").has_ended());
  EXPECT_TRUE(is_refused(send("a.example", "acme"))) << "half of what goes to a host";
  for (int i = 0; i < 2; ++i) EXPECT_FALSE(send("a.example", "globex").has_ended());
  EXPECT_TRUE(is_refused(send("a.example", "initech"))) << "as many as go to a host";
  for (const char* host : {"b.example", "c.example", "d.example"}) {
    for (int i = 0; i < 2; ++i) EXPECT_FALSE(send(host, "acme").has_ended());
  }
  EXPECT_TRUE(is_refused(send("e.example", "acme"))) << "as many as an organisation may";
  EXPECT_TRUE(is_refused(send("e.example", "umbrella"))) << "as many as there may be";
  EXPECT_EQ(Client().under_way(), 10);
  EXPECT_EQ(Metric("authurl_outbound_in_flight", {{"network", "x"}}), 10);
  go_.Notify();
  int answered = 0;
  for (SentCall& call : calls) answered += call.answer().ok() ? 1 : 0;
  EXPECT_EQ(answered, 10);
  EXPECT_EQ(Client().under_way(), 0);
}

TEST_F(CurlClientTimeTest, AnswersUnderWayTakeNoMoreMemoryThanTheyMay) {
  options_.timeout = absl::Hours(1);
  options_.connect_timeout = absl::Hours(1);
  // All but the last byte of the largest answer there may be, and then nothing.
  HostileServer server(authority_, [](Peer& peer) {
    peer.Send("HTTP/1.1 200 OK\r\nContent-Length: 1048576\r\n\r\n");
    peer.Send(std::string((1 << 20) - 1, 'a'));
    peer.WaitUntilGone();
    return false;
  });
  std::list<SentCall> calls(80);
  for (SentCall& call : calls) call.Send(Client(), Get(server.Url("/")), Catalog());
  const auto ended = [&] {
    return std::count_if(calls.begin(), calls.end(),
                         [](const SentCall& call) { return call.has_ended(); });
  };
  // One that is refused holds its part until it has ended, so a few more may be.
  EXPECT_TRUE(Eventually([&] { return ended() >= 16; })) << "64 MiB are held by the others";
  for (SentCall& call : calls) {
    if (!call.has_ended()) continue;
    EXPECT_THAT(call.answer(), IsUnavailable("too many calls are under way"));
  }
  EXPECT_LE(ended(), 24);
  for (SentCall& call : calls) call.context().Cancel();
}

// How many sockets of both ends of a connection fit, of so many that are wanted.
int ConnectionsThatFit(int wanted) {
  rlimit limit = {};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 8192);
  setrlimit(RLIMIT_NOFILE, &limit);
  return std::min(wanted, static_cast<int>(limit.rlim_cur / 2) - 100);
}

TEST_F(CurlClientTimeTest, AThousandSlowCallsHoldUpNoOther) {
  options_.timeout = absl::Hours(1);
  options_.connect_timeout = absl::Hours(1);
  options_.max_calls_per_host = 4096;
  options_.max_calls_per_organization = 4096;
  const int count = ConnectionsThatFit(kSanitized ? 200 : 1000);
  HostileServer slow(authority_, Held());
  HostileServer fast(authority_, Answer(kOk));
  std::list<SentCall> calls(static_cast<size_t>(count));
  for (SentCall& call : calls) call.Send(Client(), Get(slow.Url("/")), Catalog());
  EXPECT_TRUE(Eventually([&] { return slow.requests() == count; }));
  EXPECT_EQ(Client().under_way(), count);
  for (int i = 0; i < 10; ++i) EXPECT_OK(Ask(Get(fast.Url("/"))));
  EXPECT_EQ(Client().under_way(), count);
  go_.Notify();
  for (SentCall& call : calls) EXPECT_OK(call.answer());
  EXPECT_EQ(Metric("authurl_outbound_calls_total", {{"network", "x"}, {"outcome", "2xx"}}),
            count + 10);
}

TEST_F(CurlClientTimeTest, IsUsedByManyThreadsAndStoppedMeanwhile) {
  options_.allow_local = true;
  options_.max_calls_per_host = 64;
  HostileServer server(authority_, Answer(kOk));
  HostileServer broken(authority_,
                       [](Peer& peer) { return peer.number() % 2 == 1 && peer.Send(kOk); });
  Client();
  std::atomic<int> sent = 0;
  std::atomic<int> ended = 0;
  std::vector<std::thread> threads;
  for (int i = 0; i < 4; ++i) {
    threads.emplace_back([&, i] {
      std::list<CallContext> contexts;
      std::atomic<int> open = 0;
      for (int j = 0; j < 50; ++j) {
        CallContext& context = contexts.emplace_back(absl::Now() + kPatience);
        const HostileServer& to = j % 5 == 0 ? broken : server;
        ++open;
        ++sent;
        client_->Send(j % 3 == 0 ? Post(to.Url("/"), "code=1") : Get(to.Url("/")),
                      (i + j) % 2 == 0 ? Catalog() : Stranger(), context,
                      [&](const absl::StatusOr<HttpAnswer>&) {
                        ++ended;
                        --open;
                      });
        if (j % 7 == 0) context.Cancel();
        if (j % 10 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
      }
      EXPECT_TRUE(Eventually([&] { return open == 0; }));
    });
  }
  EXPECT_TRUE(Eventually([&] { return ended >= 50; }));
  client_->Stop(absl::Now() + absl::Milliseconds(20));
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(sent, ended);
  EXPECT_EQ(client_->under_way(), 0);
}

}  // namespace
}  // namespace authurl::testing
