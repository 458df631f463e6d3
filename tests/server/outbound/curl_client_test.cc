// What is asked, what is taken for an answer, and what is not done whatever a server says.
#include "server/outbound/curl_client.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "server/observe/log.h"
#include "tests/support/eventually.h"
#include "tests/support/outbound_fixture.h"
#include "tests/support/status_matchers.h"
#include "tests/support/stderr_pipe.h"

namespace authurl::testing {
namespace {

using ::testing::AllOf;
using ::testing::EndsWith;
using ::testing::HasSubstr;
using ::testing::Not;
using ::testing::StartsWith;

using Peer = HostileServer::Peer;
using Kind = HostileServer::Kind;

constexpr size_t kMebibyte = size_t{1} << 20;

std::string WithLength(absl::string_view headers, absl::string_view body) {
  return absl::StrCat("HTTP/1.1 200 OK\r\n", headers, "Content-Length: ", body.size(), "\r\n\r\n",
                      body);
}

class CurlClientTest : public OutboundTest {
 protected:
  // What the answer of a server that sends `bytes` and hangs up is taken for.
  absl::StatusOr<HttpAnswer> AnswerTo(const std::string& bytes) {
    HostileServer server(authority_, [&](Peer& peer) {
      peer.Send(bytes);
      return false;
    });
    return Ask(Get(server.Url("/")));
  }
};

TEST_F(CurlClientTest, GetsWhatIsThere) {
  std::string seen;
  HostileServer server(authority_, [&](Peer& peer) {
    seen = peer.request();
    return peer.Send(
        WithLength("DPoP-Nonce: n1\r\ncontent-type: application/json\r\nSet-Cookie: a=b\r\n"
                   "Retry-After:  7 \r\nDate: today\r\n",
                   "{\"a\":1}"));
  });
  HttpRequest request = Get(server.Url("/a/../b?c=d%20e", "api.network.example"));
  request.headers.push_back({"Authorization", "Bearer token"});
  request.headers.push_back({"X-Empty", ""});
  ASSERT_OK_AND_ASSIGN(const HttpAnswer answer, Ask(std::move(request)));
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, "{\"a\":1}");
  EXPECT_EQ(answer.Header("dpop-nonce"), "n1");
  EXPECT_EQ(answer.Header("Content-Type"), "application/json");
  EXPECT_EQ(answer.Header("Retry-After"), "7");
  EXPECT_EQ(answer.Header("Date"), "today");
  EXPECT_EQ(answer.Header("Set-Cookie"), "") << "was not asked for";
  // The path as it was given, and no headers of which nobody knows.
  EXPECT_EQ(absl::StrReplaceAll(seen, {{absl::StrCat(":", server.port()), ""}}),
            "GET /a/../b?c=d%20e HTTP/1.1\r\n"
            "Host: api.network.example\r\n"
            "User-Agent: authurl/1.2.3\r\n"
            "Accept: */*\r\n"
            "Accept-Encoding: gzip, deflate\r\n"
            "Authorization: Bearer token\r\n"
            "X-Empty:\r\n\r\n");
}

TEST_F(CurlClientTest, PostsABodyOfAnySize) {
  std::string seen;
  HostileServer server(authority_, [&](Peer& peer) {
    seen = peer.request();
    return peer.Send(kOk);
  });
  ASSERT_OK(Ask(Post(server.Url("/token"), "code=1&b=2")));
  EXPECT_THAT(seen, AllOf(StartsWith("POST /token HTTP/1.1\r\n"),
                          HasSubstr("\r\nContent-Type: application/x-www-form-urlencoded\r\n"),
                          HasSubstr("\r\nContent-Length: 10\r\n"), EndsWith("\r\n\r\ncode=1&b=2")));
  // libcurl would ask first whether it may send one that is large.
  ASSERT_OK(Ask(Post(server.Url("/token"), std::string(3 * kMebibyte, 'a'))));
  EXPECT_THAT(seen, AllOf(Not(HasSubstr("Expect")), EndsWith("aaa")));
  HttpRequest empty = Get(server.Url("/"));
  empty.method = "POST";
  ASSERT_OK(Ask(std::move(empty)));
  EXPECT_THAT(seen, AllOf(StartsWith("POST / "), HasSubstr("\r\nContent-Length: 0\r\n"),
                          Not(HasSubstr("Content-Type"))));
  HttpRequest removal = Get(server.Url("/it"));
  removal.method = "DELETE";
  removal.headers.push_back({"User-Agent", "web:1"});
  ASSERT_OK(Ask(std::move(removal)));
  EXPECT_THAT(seen, AllOf(StartsWith("DELETE /it HTTP/1.1\r\n"), Not(HasSubstr("Content-")),
                          HasSubstr("\r\nUser-Agent: web:1\r\n"), Not(HasSubstr("authurl"))));
}

TEST_F(CurlClientTest, EveryStatusIsAnAnswer) {
  for (const int status : {201, 301, 400, 401, 404, 429, 500, 503}) {
    const absl::StatusOr<HttpAnswer> answer =
        AnswerTo(absl::StrCat("HTTP/1.1 ", status, " Word\r\nContent-Length: 5\r\n\r\nwords"));
    ASSERT_OK(answer);
    EXPECT_EQ(answer->status, status);
    EXPECT_EQ(answer->body, "words");
  }
}

TEST_F(CurlClientTest, RedirectsAreNotFollowed) {
  HostileServer other(authority_, Answer(kOk));
  for (const std::string& target :
       {other.Url("/"), std::string("/again"), std::string("http://169.254.169.254/latest/"),
        std::string("file:///etc/passwd")}) {
    HostileServer server(authority_, Answer(absl::StrCat("HTTP/1.1 302 Found\r\nLocation: ", target,
                                                         "\r\nContent-Length: 0\r\n\r\n")));
    ASSERT_OK_AND_ASSIGN(const HttpAnswer answer, Ask(Post(server.Url("/"), "code=1")));
    EXPECT_EQ(answer.status, 302);
    EXPECT_EQ(server.requests(), 1);
  }
  EXPECT_EQ(other.connections(), 0);
}

TEST_F(CurlClientTest, BodiesEndAtTheLimit) {
  const std::string largest(kMebibyte, 'a');
  ASSERT_OK_AND_ASSIGN(const HttpAnswer answer, AnswerTo(WithLength("", largest)));
  EXPECT_EQ(answer.body, largest);
  EXPECT_THAT(AnswerTo(WithLength("", largest + "a")), IsUnavailable("too large"));
  // One that lies about it.
  EXPECT_THAT(AnswerTo("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\na"),
              IsUnavailable("too large"));
}

TEST_F(CurlClientTest, BodiesOfUnknownLengthEndAtTheLimit) {
  HostileServer server(authority_, [](Peer& peer) {
    bool there = peer.Send("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    const std::string chunk = absl::StrCat("1000\r\n", std::string(4096, 'a'), "\r\n");
    while (there) there = peer.Send(chunk);
    return false;
  });
  EXPECT_THAT(Ask(Get(server.Url("/"))), AllOf(IsUnavailable("too large"), Not(IsSafeToRepeat())));
  HostileServer without_end(authority_, [](Peer& peer) {
    bool there = peer.Send("HTTP/1.0 200 OK\r\n\r\n");
    while (there) there = peer.Send(std::string(4096, 'a'));
    return false;
  });
  EXPECT_THAT(Ask(Get(without_end.Url("/"))), IsUnavailable("too large"));
}

// A gzip file of zeros, about a thousandth as long: one block of DEFLATE (RFC 1951) with fixed
// codes, in which one zero is repeated. Its checksum is wrong.
std::string Bomb(size_t zeros) {
  std::string bits_out("\x1f\x8b\x08\0\0\0\0\0\0\xff", 10);
  unsigned bits = 0;
  int count = 0;
  const auto put = [&](unsigned bit) {
    bits |= bit << count;
    if (++count == 8) {
      bits_out.push_back(static_cast<char>(bits));
      bits = 0;
      count = 0;
    }
  };
  // Codes begin with their highest bit, other numbers with their lowest.
  const auto code = [&](unsigned value, int size) {
    for (int bit = size - 1; bit >= 0; --bit) put((value >> bit) & 1U);
  };
  put(1);          // The last block,
  put(1), put(0);  // of kind 1.
  code(0x30, 8);   // A zero;
  for (size_t made = 1; made < zeros; made += 258) {
    code(0xc5, 8);  // 258 bytes
    code(0, 5);     // like the one before.
  }
  code(0, 7);  // The end.
  while (count != 0) put(0);
  return bits_out + std::string(8, '\0');
}

TEST_F(CurlClientTest, CompressedBodiesAreDecodedAndCountedThen) {
  // As Python's gzip makes it of "hello".
  const std::string hello(
      "\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff\xcb\x48\xcd\xc9\xc9\x07\x00\x86\xa6\x10\x36\x05\x00"
      "\x00\x00",
      25);
  ASSERT_OK_AND_ASSIGN(const HttpAnswer answer,
                       AnswerTo(WithLength("Content-Encoding: gzip\r\n", hello)));
  EXPECT_EQ(answer.body, "hello");

  const std::string bomb = Bomb(64 * kMebibyte);
  ASSERT_LT(bomb.size(), kMebibyte / 2);
  EXPECT_THAT(AnswerTo(WithLength("Content-Encoding: gzip\r\n", bomb)), IsUnavailable("too large"));
}

TEST_F(CurlClientTest, OnlyOneEncodingThatWasAskedForIsTaken) {
  const std::string bomb = Bomb(64 * kMebibyte);
  for (const char* header :
       {"Content-Encoding: gzip, gzip\r\n", "Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n",
        "Content-Encoding: br\r\n", "Content-Encoding: zstd\r\n", "Content-Encoding: odd\r\n",
        "Transfer-Encoding: gzip\r\n", "Transfer-Encoding: gzip, chunked\r\n"}) {
    EXPECT_THAT(AnswerTo(WithLength(header, bomb)), IsUnavailable("sent no HTTP")) << header;
  }
  EXPECT_OK(AnswerTo(WithLength("Content-Encoding: identity\r\n", "as it is")));
  // What is no gzip.
  EXPECT_THAT(AnswerTo(WithLength("Content-Encoding: gzip\r\n", "hello")),
              IsUnavailable("sent no HTTP"));
}

TEST_F(CurlClientTest, HeadersEndAtTheLimit) {
  std::string many = "HTTP/1.1 200 OK\r\n";
  for (int i = 0; i < 300; ++i) absl::StrAppend(&many, "X-", i, ": a\r\n");
  EXPECT_THAT(AnswerTo(absl::StrCat(many, "\r\n")), IsUnavailable("too large"));
  std::string large = "HTTP/1.1 200 OK\r\n";
  for (int i = 0; i < 20; ++i) absl::StrAppend(&large, "X: ", std::string(4096, 'a'), "\r\n");
  EXPECT_THAT(AnswerTo(absl::StrCat(large, "\r\n")), IsUnavailable("too large"));

  // One that never ends, and interim answers for ever.
  HostileServer endless(authority_, [](Peer& peer) {
    bool there = peer.Send("HTTP/1.1 200 OK\r\nX: ");
    while (there) there = peer.Send(std::string(4096, 'a'));
    return false;
  });
  EXPECT_THAT(Ask(Get(endless.Url("/"))), IsUnavailable("too large"));
  HostileServer interim(authority_, [](Peer& peer) {
    while (peer.Send("HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n")) {
    }
    return false;
  });
  EXPECT_THAT(Ask(Get(interim.Url("/"))), IsUnavailable("too large"));
}

TEST_F(CurlClientTest, InterimAnswersAreNone) {
  ASSERT_OK_AND_ASSIGN(
      const HttpAnswer answer,
      AnswerTo(absl::StrCat("HTTP/1.1 100 Continue\r\nDPoP-Nonce: early\r\n\r\n"
                            "HTTP/1.1 103 Early Hints\r\nContent-Type: a/b\r\n\r\n",
                            WithLength("DPoP-Nonce: late\r\n", "body"))));
  EXPECT_EQ(answer.status, 200);
  EXPECT_EQ(answer.body, "body");
  EXPECT_EQ(answer.headers.size(), 1u);
  EXPECT_EQ(answer.Header("DPoP-Nonce"), "late");
}

TEST_F(CurlClientTest, HalfAnswersAndOtherProtocolsAreErrors) {
  for (const std::string& bytes :
       {std::string(), std::string("HTTP/1.1 200 OK\r\nContent-"),
        std::string("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"),
        std::string("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhal"),
        std::string("SSH-2.0-OpenSSH_9.2\r\n"), std::string("\0\0\0\0", 4)}) {
    EXPECT_THAT(AnswerTo(bytes), AllOf(HasReason("NETWORK_UNAVAILABLE"), Not(IsSafeToRepeat())))
        << bytes;
  }
}

TEST_F(CurlClientTest, CertificatesMustBeOfTheHostAndOfAKnownAuthority) {
  HostileServer server(authority_, Answer(kOk), {.hosts = {"other.example", "*.wild.example"}});
  EXPECT_OK(Ask(Get(server.Url("/", "other.example"))));
  EXPECT_OK(Ask(Get(server.Url("/", "a.wild.example"))));
  for (const char* host : {"network.example", "a.b.wild.example", "wild.example", "127.0.0.1"}) {
    EXPECT_THAT(Ask(Get(server.Url("/", host))),
                AllOf(IsUnavailable("no secure connection"), IsSafeToRepeat()))
        << host;
  }
  const CertificateAuthority unknown("unknown");
  HostileServer stranger(unknown, Answer(kOk));
  EXPECT_THAT(Ask(Get(stranger.Url("/"))),
              AllOf(IsUnavailable("no secure connection"), IsSafeToRepeat()));
  HostileServer old(authority_, Answer(kOk), {.kind = Kind::kOldTls});
  EXPECT_THAT(Ask(Get(old.Url("/"))),
              AllOf(IsUnavailable("no secure connection"), IsSafeToRepeat()));
  EXPECT_EQ(server.requests() + stranger.requests() + old.requests(), 2);
}

TEST_F(CurlClientTest, HostsThatAreNotThereAreToldApart) {
  EXPECT_THAT(Ask(Get("https://nowhere.invalid/")),
              AllOf(IsUnavailable("x can't be reached: there is no host nowhere.invalid"),
                    IsSafeToRepeat()));
  int port = 0;
  { port = HostileServer(authority_, Answer(kOk)).port(); }
  EXPECT_THAT(
      Ask(Get(absl::StrCat("https://network.example:", port, "/"))),
      AllOf(IsUnavailable("no connection to network.example came about"), IsSafeToRepeat()));
}

TEST_F(CurlClientTest, OnlyHttpsIsAsked) {
  HostileServer plain(authority_, Answer(kOk), {.kind = Kind::kPlain});
  for (const std::string& url :
       {plain.Url("/"), plain.Url("/", "127.0.0.1"), plain.Url("/", "localhost"),
        std::string("ftp://network.example/"), std::string("file:///etc/passwd"),
        std::string("gopher://network.example/"), std::string("network.example"),
        std::string("https://user:password@network.example/"), std::string("https://"),
        std::string("https://n\xc3\xa9twork.example/"),
        std::string("https://network.example/\r\nX"), std::string("https://[fe80::1%25eth0]/"),
        std::string("https://net work.example/"), std::string("https://network.example./"),
        std::string("https://.network.example/"), std::string("https://network.example:0x1/"),
        std::string("https://%00.example/"),
        absl::StrCat("https://network.example/", std::string(70'000, 'a'))}) {
    for (const CallTarget& target : {Catalog(), Stranger()}) {
      EXPECT_THAT(Ask(Get(url), target), AllOf(IsUnavailable("URL is not"), IsSafeToRepeat()))
          << url.substr(0, 100);
    }
  }
  EXPECT_EQ(plain.connections(), 0);
}

TEST_F(CurlClientTest, PlainHttpStaysOnThisMachine) {
  options_.allow_local = true;
  options_.lookup = [](const std::string& host) -> absl::StatusOr<HostAddresses> {
    // A name that says it is this machine, of a name server that says otherwise.
    if (host == "far.localhost") return HostAddresses{"198.51.100.1", "10.0.0.1"};
    return HostAddresses{"127.0.0.1"};
  };
  HostileServer plain(authority_, Answer(kOk), {.kind = Kind::kPlain});
  for (const CallTarget& target : {Catalog(), Stranger()}) {
    for (const char* host : {"127.0.0.1", "localhost", "tenant.localhost"}) {
      EXPECT_OK(Ask(Get(plain.Url("/", host)), target)) << host;
    }
    EXPECT_THAT(Ask(Get(plain.Url("/", "far.localhost")), target),
                IsUnavailable("its URL is not https, and it is not this machine"));
    EXPECT_THAT(Ask(Get(plain.Url("/", "network.example")), target),
                IsUnavailable("its URL is not https"));
  }
}

TEST_F(CurlClientTest, StrangersMustHaveAPublicAddressWhateverTheirNameSays) {
  const HostileServer server(authority_, Answer(kOk));
  const std::string addresses[] = {
      "127.0.0.1",       "::1",           "10.0.0.1", "169.254.169.254",
      "::ffff:10.0.0.1", "fd00:ec2::254", "0.0.0.0",  "64:ff9b::a9fe:a9fe"};
  std::string resolved;
  options_.lookup = [&](const std::string&) -> absl::StatusOr<HostAddresses> {
    return HostAddresses{resolved};
  };
  for (size_t i = 0; i < std::size(addresses); ++i) {
    resolved = addresses[i];
    // As an address, and as a name that led elsewhere when it was looked at before.
    const bool is_ipv6 = absl::StrContains(resolved, ':');
    for (const std::string& host :
         {is_ipv6 ? absl::StrCat("[", resolved, "]") : resolved, absl::StrCat("h", i, ".test")}) {
      EXPECT_THAT(Ask(Get(absl::StrCat("https://", host, "/")), Stranger()),
                  AllOf(IsUnavailable("it has no public address"), IsSafeToRepeat()))
          << host;
    }
  }
  // Numbers that mean addresses.
  for (const char* host : {"2130706433", "0x7f.1", "127.1", "0177.0.0.1"}) {
    resolved = "127.0.0.1";
    EXPECT_FALSE(Ask(Get(absl::StrCat("https://", host, "/")), Stranger()).ok()) << host;
  }
  EXPECT_THAT(Ask(Get(server.Url("/")), Stranger()), IsUnavailable("another port than 443"));
  EXPECT_EQ(server.connections(), 0);
}

TEST_F(CurlClientTest, ReceiversMayBeInTheNetworksThatAreNamedForThem) {
  options_.receiver_networks = ParseAddressNetworks("127.0.0.0/8,169.254.0.0/16").value();
  HostileServer server(authority_, Answer(kOk));
  HostileServer plain(authority_, Answer(kOk), {.kind = Kind::kPlain});
  CallTarget receiver = Stranger();
  receiver.trust = HostTrust::kReceiver;
  EXPECT_OK(Ask(Get(server.Url("/")), receiver));
  // Nobody else may, whoever is connected to it already; nor by plain http, or elsewhere.
  EXPECT_THAT(Ask(Get(server.Url("/")), Stranger()), IsUnavailable("another port than 443"));
  EXPECT_THAT(Ask(Get("https://network.example/"), Stranger()),
              IsUnavailable("it has no public address"));
  EXPECT_THAT(Ask(Get(plain.Url("/", "127.0.0.1")), receiver),
              IsUnavailable("its URL is not https"));
  // Where clouds hand out credentials is never one of them.
  for (const char* url : {"https://10.0.0.1:8443/", "https://169.254.169.254/", "https://[::1]/"}) {
    EXPECT_THAT(Ask(Get(url), receiver), IsUnavailable("it has no public address")) << url;
  }
  EXPECT_EQ(server.connections(), 1);
}

TEST_F(CurlClientTest, ReceiversWithoutSuchNetworksAreStrangers) {
  const HostileServer server(authority_, Answer(kOk));
  CallTarget receiver = Stranger();
  receiver.trust = HostTrust::kReceiver;
  EXPECT_THAT(Ask(Get(server.Url("/")), receiver), IsUnavailable("another port than 443"));
  EXPECT_THAT(Ask(Get("https://network.example/"), receiver),
              IsUnavailable("it has no public address"));
  EXPECT_EQ(server.connections(), 0);
}

// What a receiver says is said with the head; the body is its own business.
TEST_F(CurlClientTest, AnswersOfReceiversAreTheirHeads) {
  options_.allow_local = true;
  options_.timeout = absl::Seconds(20);
  CallTarget receiver = Stranger();
  receiver.trust = HostTrust::kReceiver;
  const std::string large(2 * kMebibyte, 'a');
  for (const std::string& bytes :
       {WithLength("", large), absl::StrCat("HTTP/1.1 200 OK\r\n\r\n", large),
        std::string("HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\na"),
        std::string("HTTP/1.1 200 OK\r\nContent-Encoding: zstd\r\nContent-Length: 1\r\n\r\na"),
        std::string("HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 1\r\n\r\na")}) {
    HostileServer server(authority_, Answer(bytes));
    ASSERT_OK_AND_ASSIGN(const HttpAnswer answer, Ask(Post(server.Url("/"), "event"), receiver));
    EXPECT_EQ(answer.status, 200);
    EXPECT_EQ(answer.body, "");
  }
  // One that never ends, and one that breaks off.
  HostileServer slow(authority_, [](Peer& peer) {
    if (peer.number() == 1) peer.Send("HTTP/1.1 103 Early Hints\r\n\r\n");
    peer.Send("HTTP/1.1 200 OK\r\nRetry-After: 7\r\nContent-Length: 10\r\n\r\na");
    peer.WaitUntilGone();
    return false;
  });
  const absl::Time begun = absl::Now();
  ASSERT_OK_AND_ASSIGN(const HttpAnswer of_slow, Ask(Post(slow.Url("/"), "event"), receiver));
  EXPECT_EQ(of_slow.status, 200);
  EXPECT_EQ(of_slow.Header("Retry-After"), "7");
  EXPECT_LT(absl::Now() - begun, absl::Seconds(15));
  HostileServer broken(authority_, [](Peer& peer) {
    peer.Send("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\na");
    return false;
  });
  EXPECT_OK(Ask(Post(broken.Url("/"), "event"), receiver));
  // A head that does not end is none, and an interim one says nothing.
  for (const char* bytes : {"HTTP/1.1 200 OK\r\nContent-Le", "HTTP/1.1 103 Early Hints\r\n\r\n"}) {
    HostileServer half(authority_, [bytes](Peer& peer) {
      peer.Send(bytes);
      return false;
    });
    EXPECT_FALSE(Ask(Post(half.Url("/"), "event"), receiver).ok()) << bytes;
  }
  // Where it is small the connection is used again.
  HostileServer small(authority_, Answer(kOk));
  for (int i = 0; i < 3; ++i) EXPECT_OK(Ask(Post(small.Url("/"), "event"), receiver));
  EXPECT_EQ(small.connections(), 1);
}

TEST_F(CurlClientTest, ReceiversThatFailAreCalledAgain) {
  options_.allow_local = true;
  options_.breaker.failures_to_open = 2;
  HostileServer server(authority_, Answer("HTTP/1.1 500 No\r\nContent-Length: 0\r\n\r\n"));
  CallTarget receiver = Stranger();
  receiver.trust = HostTrust::kReceiver;
  for (int i = 0; i < 5; ++i) EXPECT_OK(Ask(Get(server.Url("/")), receiver));
  EXPECT_EQ(server.requests(), 5);
}

TEST_F(CurlClientTest, HostsOfTheCatalogMayBeAnywhere) {
  HostileServer server(authority_, Answer(kOk));
  EXPECT_OK(Ask(Get(server.Url("/"))));
  EXPECT_OK(Ask(Get(server.Url("/", "127.0.0.1"))));
}

TEST_F(CurlClientTest, StrangersMayBeOnThisMachineWhereThatIsAllowed) {
  options_.allow_local = true;
  HostileServer server(authority_, Answer(kOk));
  EXPECT_OK(Ask(Get(server.Url("/")), Stranger()));
  EXPECT_THAT(Ask(Get("https://169.254.169.254/"), Stranger()),
              IsUnavailable("it has no public address"));
}

TEST_F(CurlClientTest, ResolversAnswerIsWhatIsConnectedTo) {
  // Each is asked once, and no name of the system's.
  std::atomic<int> asked = 0;
  options_.lookup = [&](const std::string& host) -> absl::StatusOr<HostAddresses> {
    ++asked;
    if (host == "two.test") return HostAddresses{"127.0.0.1", "::1"};
    return HostAddresses{"127.0.0.1"};
  };
  HostileServer server(authority_, [](Peer& peer) {
    peer.Send(kOk);
    return false;
  });
  EXPECT_OK(Ask(Get(server.Url("/", "two.test"))));
  EXPECT_OK(Ask(Get(server.Url("/", "TWO.test"))));
  EXPECT_OK(Ask(Get(server.Url("/", "localhost"))));
  EXPECT_EQ(asked, 2);
  EXPECT_EQ(server.requests(), 3);
}

TEST_F(CurlClientTest, EverythingCanBeMappedToOneServer) {
  options_.allow_local = true;
  HostileServer server(authority_, Answer(kOk));
  options_.connect_to = server.address();
  options_.lookup = [](const std::string& host) -> absl::StatusOr<HostAddresses> {
    ADD_FAILURE() << host << " is looked up";
    return absl::NotFoundError("there is no such name");
  };
  EXPECT_OK(Ask(Get("https://api.x.com/2/oauth2/token")));
  EXPECT_OK(Ask(Get("https://mastodon.social/oauth/token"), Stranger()));
  EXPECT_EQ(server.requests(), 2);
}

// Sets a variable of the environment for as long as it lives.
class ScopedVariable final {
 public:
  ScopedVariable(const char* name, const std::string& value) : name_(name) {
    setenv(name, value.c_str(), 1);
  }
  ~ScopedVariable() { unsetenv(name_); }
  ScopedVariable(const ScopedVariable&) = delete;
  ScopedVariable& operator=(const ScopedVariable&) = delete;

 private:
  const char* const name_;
};

TEST_F(CurlClientTest, EnvironmentHasNoSay) {
  HostileServer proxy(authority_, Answer(kOk), {.kind = Kind::kPlain});
  const std::string url = absl::StrCat("http://", proxy.address());
  const ScopedVariable variables[] = {{"https_proxy", url},       {"HTTPS_PROXY", url},
                                      {"http_proxy", url},        {"all_proxy", url},
                                      {"ALL_PROXY", url},         {"SSL_CERT_FILE", "/dev/null"},
                                      {"CURL_HOME", dir_.path()}, {"HOME", dir_.path()}};
  dir_.Write(".netrc", "machine network.example login me password secret\n");
  std::string seen;
  HostileServer server(authority_, [&](Peer& peer) {
    seen = peer.request();
    return peer.Send(kOk);
  });
  EXPECT_OK(Ask(Get(server.Url("/"))));
  EXPECT_THAT(seen, Not(HasSubstr("Authorization")));
  EXPECT_EQ(proxy.connections(), 0);
}

TEST_F(CurlClientTest, NoCookieIsKept) {
  std::vector<std::string> seen;
  HostileServer server(authority_, [&](Peer& peer) {
    seen.push_back(peer.request());
    return peer.Send(
        WithLength("Set-Cookie: a=b\r\nAlt-Svc: h2=\":1\"\r\n"
                   "Strict-Transport-Security: max-age=1000\r\n",
                   ""));
  });
  EXPECT_OK(Ask(Get(server.Url("/"))));
  EXPECT_OK(Ask(Get(server.Url("/"))));
  ASSERT_EQ(seen.size(), 2u);
  EXPECT_EQ(seen[0], seen[1]);
}

TEST_F(CurlClientTest, ProxyIsTheOneOfTheOperator) {
  std::vector<std::string> seen;
  HostileServer proxy(
      authority_,
      [&](Peer& peer) {
        seen.push_back(peer.request());
        return peer.Send("HTTP/1.1 403 No\r\nDPoP-Nonce: a\r\nContent-Length: 0\r\n\r\n");
      },
      {.kind = Kind::kPlain});
  options_.proxy = absl::StrCat("http://proxy.example:", proxy.port());
  const ScopedVariable everybody("no_proxy", "*");
  // Nobody looks up the host: that is the proxy's.
  EXPECT_THAT(Ask(Get("https://nowhere.invalid/secret?code=1")),
              AllOf(IsUnavailable("no connection to nowhere.invalid"), IsSafeToRepeat()));
  ASSERT_EQ(seen.size(), 1u);
  EXPECT_THAT(seen[0], AllOf(StartsWith("CONNECT nowhere.invalid:443 HTTP/1.1\r\n"),
                             Not(HasSubstr("secret"))));
  EXPECT_THAT(Ask(Get("https://nowhere.invalid/"), Stranger()),
              AllOf(IsUnavailable("--outbound_proxy_is_guarded"), IsSafeToRepeat()));
  EXPECT_EQ(proxy.requests(), 1);
}

TEST_F(CurlClientTest, StrangersAreAskedThroughAProxyThatIsGuarded) {
  HostileServer proxy(authority_, Answer("HTTP/1.1 403 No\r\nContent-Length: 0\r\n\r\n"),
                      {.kind = Kind::kPlain});
  options_.proxy = absl::StrCat("http://127.0.0.1:", proxy.port());
  options_.proxy_is_guarded = true;
  EXPECT_THAT(Ask(Get("https://nowhere.invalid/"), Stranger()), IsUnavailable("no connection"));
  EXPECT_EQ(proxy.requests(), 1);
}

TEST_F(CurlClientTest, ConnectionsAreUsedAgainButNotForOthers) {
  options_.allow_local = true;
  HostileServer server(authority_, Answer(kOk));
  for (int i = 0; i < 3; ++i) EXPECT_OK(Ask(Get(server.Url("/"))));
  EXPECT_EQ(server.connections(), 1);
  for (int i = 0; i < 3; ++i) EXPECT_OK(Ask(Get(server.Url("/")), Stranger()));
  EXPECT_EQ(server.connections(), 2) << "one for the catalog's, one for strangers'";
}

TEST_F(CurlClientTest, WhatMayHaveBeenReadIsNotSentAgain) {
  // The second request of a connection is read and never answered.
  HostileServer server(authority_, [](Peer& peer) { return peer.number() == 1 && peer.Send(kOk); });
  EXPECT_OK(Ask(Post(server.Url("/"), "code=1")));
  EXPECT_THAT(Ask(Post(server.Url("/"), "code=2")),
              AllOf(HasReason("NETWORK_UNAVAILABLE"), Not(IsSafeToRepeat())));
  EXPECT_EQ(server.requests(), 2);
  // Reading twice does no harm.
  EXPECT_OK(Ask(Get(server.Url("/"))));
  EXPECT_OK(Ask(Get(server.Url("/"))));
  EXPECT_EQ(server.requests(), 5);
}

TEST_F(CurlClientTest, WhatWouldBeAnotherRequestIsOurFault) {
  HostileServer server(authority_, Answer(kOk));
  const auto expect_refused = [&](HttpRequest request) {
    const absl::StatusOr<HttpAnswer> answer = Ask(std::move(request));
    EXPECT_THAT(answer, AllOf(StatusIs(absl::StatusCode::kInternal, Not(HasSubstr("canary"))),
                              IsSafeToRepeat()));
  };
  for (const char* method : {"", "GET /", "GET\r\nX: y", "G T"}) {
    HttpRequest request = Get(server.Url("/"));
    request.method = method;
    expect_refused(std::move(request));
  }
  for (const HttpHeader& header :
       {HttpHeader{"", "canary"}, HttpHeader{"X Y", "canary"}, HttpHeader{"X:", "canary"},
        HttpHeader{"X", "canary\r\nY: z"}, HttpHeader{"X", std::string("canary\0", 7)},
        HttpHeader{"Host", "canary"}, HttpHeader{"content-length", "1"},
        HttpHeader{"Transfer-Encoding", "chunked"}, HttpHeader{"Proxy-Authorization", "canary"}}) {
    HttpRequest request = Get(server.Url("/"));
    request.headers.push_back(header);
    expect_refused(std::move(request));
  }
  HttpRequest body = Get(server.Url("/"));
  body.body = "canary";
  expect_refused(std::move(body));
  EXPECT_EQ(server.connections(), 0);
}

TEST_F(CurlClientTest, NoSecretIsInErrorsOrLog) {
  StderrPipe output;
  StartLog("debug");
  options_.timeout = absl::Milliseconds(200);
  HostileServer broken(authority_, [](Peer&) { return false; });
  HostileServer silent(authority_, [](Peer& peer) {
    peer.WaitUntilGone();
    return false;
  });
  HostileServer chatty(authority_,
                       Answer("HTTP/1.1 200 canary\r\nX: canary\r\nContent-Length: 9\r\n"
                              "Content-Encoding: canary\r\n\r\ncanary"));
  HostileServer other(authority_, Answer(kOk), {.hosts = {"canary.test"}});
  const std::string targets[] = {broken.Url("/canary?canary"),
                                 silent.Url("/canary?canary"),
                                 chatty.Url("/canary?canary"),
                                 other.Url("/canary?canary"),
                                 "https://nowhere.invalid/canary?canary#canary",
                                 "https://canary:canary@network.example/",
                                 "http://network.example/canary?canary"};
  for (const std::string& url : targets) {
    HttpRequest request = Post(url, "code=canary");
    request.headers.push_back({"Authorization", "Bearer canary"});
    const absl::Status status = Ask(std::move(request)).status();
    EXPECT_THAT(status.ToString(), AllOf(HasSubstr("can't be reached"), Not(HasSubstr("canary"))));
  }
  EXPECT_TRUE(Eventually([&] { return absl::StrContains(output.Text(), "nowhere.invalid"); }));
  EXPECT_TRUE(StopLog());
  EXPECT_THAT(output.Text(), AllOf(HasSubstr("outbound_call_failed"), HasSubstr("request-7"),
                                   Not(HasSubstr("canary"))));
}

TEST_F(CurlClientTest, WhatCanNotWorkIsAnErrorOfTheStart) {
  options_.ca_file = dir_.File("missing.pem");
  EXPECT_THAT(CurlClient::Start(options_, metrics_).status(),
              StatusIs(absl::StatusCode::kInvalidArgument, StartsWith("--outbound_ca_file /")));
  options_.ca_file = dir_.Write("empty.pem", "nothing");
  EXPECT_FALSE(CurlClient::Start(options_, metrics_).ok());
  options_.ca_file.clear();
  for (const char* proxy : {"proxy", "https://proxy:1", "socks5://proxy:1", "http://a:b@proxy:1"}) {
    options_.proxy = proxy;
    EXPECT_THAT(CurlClient::Start(options_, metrics_).status(),
                StatusIs(absl::StatusCode::kInvalidArgument, StartsWith("--outbound_proxy ")));
  }
}

}  // namespace
}  // namespace authurl::testing
