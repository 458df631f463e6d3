#include "core/uri.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "tests/support/status_matchers.h"

namespace authurl {
namespace {

using ::authurl::testing::StatusIs;
using ::testing::HasSubstr;

std::string Repeat(const std::string& text, size_t times) {
  std::string repeated;
  for (size_t i = 0; i < times; ++i) repeated.append(text);
  return repeated;
}

struct Accepted {
  std::string uri;
  HostKind host_kind;
  std::string host;
};

TEST(ParseRedirectUriTest, TakesWhatEveryParserReadsAlike) {
  const std::string label(63, 'a');
  const std::string longest_host = absl::StrCat(Repeat(label + ".", 3), std::string(61, 'b'));
  ASSERT_EQ(longest_host.size(), 253u);
  const std::vector<Accepted> cases = {
      {"https://app.example.com/callback", HostKind::kName, "app.example.com"},
      {"https://a.example", HostKind::kName, "a.example"},
      {"https://a.example/?", HostKind::kName, "a.example"},
      {"https://a.example/?a=b&c=d/?:@!$()*+,;", HostKind::kName, "a.example"},
      {"https://a.example/it's/~me//x;v=1,2/@:$&()*+!", HostKind::kName, "a.example"},
      {"https://a.example/%2F%5C%00%7F%C3%A9?x=%27%20", HostKind::kName, "a.example"},
      {"https://a.example/.../.a/..b/a.", HostKind::kName, "a.example"},
      {"https://a.example:8443/", HostKind::kName, "a.example"},
      {"https://a.example:80/", HostKind::kName, "a.example"},
      {"https://a.example:65535/", HostKind::kName, "a.example"},
      {"https://xn--bcher-kva.example/", HostKind::kName, "xn--bcher-kva.example"},
      {"https://1.2.3.example/", HostKind::kName, "1.2.3.example"},
      {"https://0xg/", HostKind::kName, "0xg"},
      {"https://a--b.c-d/", HostKind::kName, "a--b.c-d"},
      {"https://sub.localhost/", HostKind::kLocalhost, "sub.localhost"},
      {"https://localhost.evil.com/", HostKind::kName, "localhost.evil.com"},
      {"https://evillocalhost/", HostKind::kName, "evillocalhost"},
      {"https://a.evillocalhost/", HostKind::kName, "a.evillocalhost"},
      {absl::StrCat("https://", longest_host, "/"), HostKind::kName, longest_host},
      {"http://localhost:3000/cb", HostKind::kLocalhost, "localhost"},
      {"https://localhost/cb", HostKind::kLocalhost, "localhost"},
      {"http://127.0.0.1/cb", HostKind::kLoopbackIp, "127.0.0.1"},
      {"http://127.255.0.9:1/cb", HostKind::kLoopbackIp, "127.255.0.9"},
      {"http://[::1]:8080/cb", HostKind::kLoopbackIp, "::1"},
      {"https://192.0.2.1/", HostKind::kIp, "192.0.2.1"},
      {"https://0.0.0.0/", HostKind::kIp, "0.0.0.0"},
      {"https://[2001:db8::1]/", HostKind::kIp, "2001:db8::1"},
      {"https://[2001:db8:0:1:1:1:1:1]/", HostKind::kIp, "2001:db8:0:1:1:1:1:1"},
      {"https://[::]/", HostKind::kIp, "::"},
      {"com.example.app:/callback", HostKind::kNone, ""},
      {"com.example.app-2:/", HostKind::kNone, ""},
      {absl::StrCat("https://a.example/", std::string(kMaxRedirectUriBytes - 18, 'a')),
       HostKind::kName, "a.example"},
  };
  for (const Accepted& accepted : cases) {
    SCOPED_TRACE(accepted.uri);
    const absl::StatusOr<RedirectUri> uri = ParseRedirectUri(accepted.uri);
    ASSERT_OK(uri);
    EXPECT_EQ(uri->host_kind, accepted.host_kind);
    EXPECT_EQ(uri->host, accepted.host);
  }
}

TEST(ParseRedirectUriTest, GivesThePartsAsTheyWereWritten) {
  ASSERT_OK_AND_ASSIGN(const RedirectUri uri,
                       ParseRedirectUri("https://app.example.com:8443/a%2Fb/?x=%20&y"));
  EXPECT_EQ(uri.scheme, "https");
  EXPECT_EQ(uri.host, "app.example.com");
  EXPECT_EQ(uri.port, 8443);
  EXPECT_EQ(uri.path, "/a%2Fb/");
  EXPECT_EQ(uri.query, "x=%20&y");

  ASSERT_OK_AND_ASSIGN(const RedirectUri bare, ParseRedirectUri("https://app.example.com"));
  EXPECT_EQ(bare.port, std::nullopt);
  EXPECT_EQ(bare.path, "");
  EXPECT_EQ(bare.query, std::nullopt);

  ASSERT_OK_AND_ASSIGN(const RedirectUri empty_query, ParseRedirectUri("https://a.example/?"));
  EXPECT_EQ(empty_query.query, "");

  ASSERT_OK_AND_ASSIGN(const RedirectUri app, ParseRedirectUri("com.example.app:/a/b"));
  EXPECT_EQ(app.scheme, "com.example.app");
  EXPECT_EQ(app.path, "/a/b");
}

struct Refused {
  std::string uri;
  std::string message;
};

void ExpectRefused(const std::vector<Refused>& cases) {
  for (const Refused& refused : cases) {
    SCOPED_TRACE(refused.uri);
    EXPECT_THAT(ParseRedirectUri(refused.uri),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(refused.message)));
  }
}

TEST(ParseRedirectUriTest, RefusesBytesThatAreNotPlainAscii) {
  using std::string_literals::operator""s;
  ExpectRefused({
      {"", "must not be empty"},
      {absl::StrCat("https://a.example/", std::string(kMaxRedirectUriBytes - 17, 'a')),
       "is 2049 bytes long; at most 2048"},
      {" https://a.example/", "begins with a space: remove it"},
      {"https://a.example/cb ", "ends with a space: remove it"},
      {"\"https://a.example/cb\"", "begins with a quotation mark: remove it"},
      {"https://a.example/a b", "write %20"},
      {"https://a.example/\t", "ends with a space: remove it"},
      {"https://a.example/\r\n", "ends with a line break: remove it"},
      {"\xc2\xa0https://a.example/", "begins with a space: remove it"},
      {"https://a.example/\xc2\xa0", "ends with a space: remove it"},
      {"https://a.example/\xe2\x80\x8b", "ends with an invisible character: remove it"},
      {"\xef\xbb\xbfhttps://a.example/", "begins with an invisible character: remove it"},
      {"\xe2\x80\x9chttps://a.example/", "begins with a quotation mark: remove it"},
      {"https://a.example/\xe2\x80\x9d", "ends with a quotation mark: remove it"},
      {"\xe2\x80\x98https://a.example/", "begins with a quotation mark: remove it"},
      {"https://a.example/\xe2\x80\x99", "ends with a quotation mark: remove it"},
      {"https://${HOST}/cb", "has ${ or {{ in it: the variable that it is made of was not set"},
      {"https://{{host}}/cb", "has ${ or {{ in it: the variable that it is made of was not set"},
      {"https://a.example/\ta", "control characters"},
      {"https://a.exa\nmple/", "control characters"},
      {"https://a.example/\0x"s, "control characters"},
      {"https://a.example/\x7f", "control characters"},
      {"https://b\xc3\xbc"
       "cher.example/",
       "punycode"},
      {"https://a.example/\xe2\x82\xac", "percent-encode"},
      {"https://a.example/\xff", "must be ASCII"},
      {"https://a.example\\@evil.example/", "write %5C"},
      {"https://a.example/\"a", "write %22"},
      {"https://a.example/<", "write %3C"},
      {"https://a.example/>", "write %3E"},
      {"https://a.example/^", "write %5E"},
      {"https://a.example/`a", "write %60"},
      {"https://a.example/{", "write %7B"},
      {"https://a.example/|", "write %7C"},
      {"https://a.example/?}", "write %7D"},
      {"https://a.example/[", "write %5B"},
      {"https://a.example/?a[]=1", "write %5B or %5D"},
      {"https://a.example/?it's", "write %27"},
  });
}

TEST(ParseRedirectUriTest, RefusesEverythingButAbsoluteUrisOfKnownKinds) {
  ExpectRefused({
      {"/callback", "must be an absolute URI such as https://"},
      {"//a.example/callback", "must be an absolute URI"},
      {"a.example", "must be an absolute URI"},
      {"?x", "must be an absolute URI"},
      {":/x", "must be an absolute URI"},
      {"1a.b:/x", "must be an absolute URI"},
      {"HTTPS://a.example/", "scheme in lower case: write https"},
      {"hTTp://localhost/", "scheme in lower case: write http"},
      {"Com.example.app:/x", "scheme in lower case: write com.example.app"},
      {"javascript:alert(1)",
       "has the scheme \"javascript\", which browsers run: it is never taken"},
      {"javascript:/x", "which browsers run"},
      {"JavaScript:/x", "has the scheme \"JavaScript\", which browsers run"},
      {"javascript://a.example/%0Aalert(1)", "which browsers run"},
      {"data:text/html,x", "which browsers run"},
      {"vbscript:x", "which browsers run"},
      {"file:///etc/passwd", "which browsers run"},
      {"blob:https://a.example/1", "which browsers run"},
      {"about:blank", "which browsers run"},
      {"intent://a#Intent;end", "must not have a fragment"},
      {"intent:/a", "which browsers run"},
      {"view-source:https://a.example/", "which browsers run"},
      {"ws://a.example/", "which browsers run"},
      {"ftp://a.example/", "which browsers run"},
      {"urn:ietf:wg:oauth:2.0:oob", "must begin with https://"},
      {"fb123://authorize", "must begin with https://"},
      {"com.example.app:callback", "write com.example.app:/ and the path"},
      {"com.example.app:", "one slash after the scheme"},
      {"com.example.app://callback", "one slash after the scheme"},
      {"com.example.app:///callback", "one slash after the scheme"},
      {"com.example.app:/callback?x=1", "must not have a query"},
      {"com.example.app:/callback#x", "must not have a fragment"},
      {"com.example.app:/a/../b", "\".\" or \"..\""},
      {"com.example.a+b:/x", "letters, digits, hyphens and dots only"},
      {"javascript.:/x", "no dot at its begin or end"},
      {"com..app:/x", "no two in a row"},
      {"https:a.example", "must name a host after https://"},
      {"https:/a.example", "must name a host after https://"},
      {"https://", "must name a host"},
      {"https:///a", "must name a host"},
      {"https://?x", "must name a host"},
      {"https://:8443/", "must name a host"},
  });
}

TEST(ParseRedirectUriTest, TakesAnyAppsOwnSchemeWhereSomebodyVouchesForIt) {
  for (const absl::string_view uri :
       {"discord-123456789012345678:/authorize/callback", "fb123://authorize", "myapp://cb",
        "myapp:///cb", "myapp:/", "com.example.app:/cb", "com.example.app://cb/x",
        "com.example.a+b:/x", "exp://127.0.0.1:8081/--/cb"}) {
    SCOPED_TRACE(uri);
    const absl::StatusOr<RedirectUri> parsed = ParseRedirectUri(uri, OwnSchemes::kAny);
    ASSERT_OK(parsed);
    EXPECT_EQ(absl::StrCat(parsed->scheme, ":", parsed->path), uri);
    EXPECT_EQ(parsed->host_kind, HostKind::kNone);
    EXPECT_EQ(parsed->host, "");
  }
  const std::vector<Refused> cases = {
      {"javascript://a.example/%0Aalert(1)", "which browsers run"},
      {"data:/x", "which browsers run"},
      {"intent:/a", "which browsers run"},
      {"file:///etc/passwd", "which browsers run"},
      {"FILE:///etc/passwd", "which browsers run"},
      {"MyApp:/x", "scheme in lower case: write myapp"},
      {"my_app:/x", "must be an absolute URI"},
      // Without https://, which is no app's.
      {"localhost:3000/cb", "must begin with https://"},
      {"app.example.com:8443/cb", "must begin with https://"},
      {"myapp:cb", "where an app's own scheme is taken, it has a slash"},
      {"fb123:authorize", "it has a slash after it, such as com.example.app:/ and the path"},
      {"myapp://user@cb", "before the next slash"},
      {"myapp://a%2Fb", "before the next slash"},
      {"myapp://:80", "before the next slash"},
      {"myapp://cb:080", "without leading zeros"},
      {"myapp://cb:x", "a port from 1 to 65535"},
      {"myapp://[::1]/", "must have a port"},
      {"myapp:/[", "write %5B or %5D"},
      {"myapp://cb?x=1", "must not have a query"},
      {"myapp://cb/../x", "\".\" or \"..\""},
      {"myapp://../x", "\".\" or \"..\""},
      {"myapp://cb#x", "must not have a fragment"},
      {"http://user@a.example/", "user name or password"},
  };
  for (const Refused& refused : cases) {
    SCOPED_TRACE(refused.uri);
    EXPECT_THAT(ParseRedirectUri(refused.uri, OwnSchemes::kAny),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(refused.message)));
  }
}

TEST(ParseRedirectUriTest, RefusesAuthoritiesThatParsersReadDifferently) {
  ExpectRefused({
      {"https://*.vercel.app/cb",
       "has the host \"*.vercel.app\", which must not have a wildcard: networks compare redirect "
       "URIs exactly, so name each one"},
      {"https://app-*.vercel.app/cb", "must not have a wildcard"},
      {"https://user@a.example/", "user name or password"},
      {"https://a.example:443@evil.example/", "user name or password"},
      {"https://@a.example/", "user name or password"},
      {"https://:@a.example/", "user name or password"},
      {"https://App.Example.com/cb", "must be lower case: write \"app.example.com\""},
      {"https://a.example%2Eevil.example/", "write . for %2E"},
      {"https://a%2Fb.example/", "letters, digits, hyphens and dots only"},
      {"https://a_b.example/", "letters, digits, hyphens and dots only"},
      {"https://a.example;x/", "letters, digits, hyphens and dots only"},
      {"https://a.example,b/", "letters, digits, hyphens and dots only"},
      {"https://a.example!/", "letters, digits, hyphens and dots only"},
      {"https://a.example./", "no dot at its begin or end"},
      {"https://.a.example/", "no dot at its begin or end"},
      {"https://a..example/", "no two in a row"},
      {"https://a.example?x", "write \"/?\" for \"?\""},
      {"https://a.example?@evil.example/", "write \"/?\" for \"?\""},
      {"https://-a.example/", "no hyphen next to a dot"},
      {"https://a-.example/", "no hyphen next to a dot"},
      {"https://xn--a-.example/", "no hyphen next to a dot"},
      {absl::StrCat("https://", std::string(64, 'a'), ".example/"), "at most 63"},
      {absl::StrCat("https://", Repeat(std::string(63, 'a') + ".", 3), std::string(62, 'b'), "/"),
       "is 254 bytes long; a host name has at most 253"},
      {"https://a.example:/", "without a port"},
      {"https://a.example:443/", "remove \":443\""},
      {"http://localhost:80/", "remove \":80\""},
      {"https://a.example:0/", "from 1 to 65535"},
      {"https://a.example:0443/", "from 1 to 65535"},
      {"https://a.example:65536/", "from 1 to 65535"},
      {"https://a.example:99999999999999999999/", "from 1 to 65535"},
      {"https://a.example:-1/", "must have a \"/\" after a.example:, which is read as its host"},
      {"https://a.example:80a/", "must have a \"/\" after a.example:80, which"},
  });
}

TEST(ParseRedirectUriTest, RefusesIpAddressesInOddSpellings) {
  for (const absl::string_view host :
       {"1", "1.2.3", "127.1", "0x7f.1", "0x7f.0.0.0x1", "0x7f000001", "2130706433", "0177.0.0.1",
        "127.0.0.01", "256.1.1.1", "a.1", "a.0x", "a.0x1f"}) {
    SCOPED_TRACE(host);
    const std::string uri = absl::StrCat("https://", host, "/");
    EXPECT_THAT(ParseRedirectUri(uri),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         HasSubstr("four decimal numbers without leading zeros")));
  }
  ExpectRefused({
      {"https://[2001:DB8::1]/", "write \"[2001:db8::1]\""},
      {"https://[2001:db8::0001]/", "write \"[2001:db8::1]\""},
      {"https://[2001:db8:0:0:0:0:0:1]/", "write \"[2001:db8::1]\""},
      {"https://[2001:db8::1:1:1:1:1]/", "write \"[2001:db8:0:1:1:1:1:1]\""},
      {"https://[0:0:0:0:0:0:0:1]/", "write \"[::1]\""},
      {"https://[::ffff:127.0.0.1]/", "must be written as IPv4 address"},
      {"https://[::ffff:7f00:1]/", "must be written as IPv4 address"},
      {"https://[::127.0.0.1]/", "must be written as IPv4 address"},
      {"https://[::7f00:1]/", "must be written as IPv4 address"},
      {"https://[v1.fe]/", "is of no known kind"},
      {"https://[fe80::1%25eth0]/", "[ or ] elsewhere"},
      {"https://[::1/", "[ or ] elsewhere"},
      {"https://[::1]x/", "must have a \"/\" after [::1], which"},
      {"https://[]/", "[ or ] elsewhere"},
      {"https://1.2.3.4.5/", "must have a \"/\" after 1.2.3.4, which"},
      {"https://127.0.0.1.evil.example/", "must have a \"/\" after 127.0.0.1, which"},
      {"https://127.0.0.1x/", "must have a \"/\" after 127.0.0.1, which"},
      {"https://user@127.0.0.1.evil.example/", "must have a \"/\" after user@127.0.0.1, which"},
      {"https://a.example@127.0.0.1@evil.example/", "must have a \"/\" after a.example@127.0.0.1"},
      {"https://::1/", "must name a host"},
  });
}

TEST(ParseRedirectUriTest, RefusesEscapesThatHaveAnotherSpelling) {
  ExpectRefused({
      {"https://a.example/%", "write %25"},
      {"https://a.example/%4", "write %25"},
      {"https://a.example/%zz", "write %25"},
      {"https://a.example/%2%46", "write %25"},
      {"https://a.example/?100%", "write %25"},
      {"https://a.example/%c3%A9", "write %C3 for %c3"},
      {"https://a.example/%2f", "write %2F for %2f"},
      {"https://a.example/%41", "write A for %41"},
      {"https://a.example/%7E", "write ~ for %7E"},
      {"https://a.example/?%5F", "write _ for %5F"},
      {"https://a.example/%2E%2E/x", "write . for %2E"},
      {"https://a.example/.%2e/x", "write %2E for %2e"},
      {"https://a.example/./x", "\".\" or \"..\""},
      {"https://a.example/x/..", "\".\" or \"..\""},
      {"https://a.example/..", "\".\" or \"..\""},
      {"https://a.example/../?x", "\".\" or \"..\""},
  });
}

// Whatever bytes come, there is an answer, and what is taken holds none of the bytes that are not.
TEST(ParseRedirectUriTest, NeverTakesAnOddByteInAMutatedUri) {
  std::mt19937 random(20261123);
  const std::string seed = "https://app.example.com:8443/a/b?c=d";
  const std::string odd = "\\@#%[]{}|^`\"<>:/?.-'\x01\x7f\x80\xff A0";
  int taken = 0;
  for (int i = 0; i < 20000; ++i) {
    std::string uri = seed;
    for (int edits = static_cast<int>(random() % 3) + 1; edits > 0; --edits) {
      const char c = odd[random() % odd.size()];
      const size_t at = random() % uri.size();
      if (random() % 2 == 0) {
        uri[at] = c;
      } else {
        uri.insert(at, 1, c);
      }
    }
    const absl::StatusOr<RedirectUri> parsed = ParseRedirectUri(uri);
    if (!parsed.ok()) {
      EXPECT_FALSE(parsed.status().message().empty());
      continue;
    }
    ++taken;
    // "@" is a character of paths and queries like any other.
    EXPECT_EQ(uri.find_first_of("\\#[]{}|^`\"<> \x01\x7f\x80\xff"), uri.npos) << uri;
    EXPECT_EQ(uri.substr(0, uri.find('/', 8)).find('@'), uri.npos) << uri;
    EXPECT_EQ(absl::AsciiStrToLower(parsed->host), parsed->host) << uri;
  }
  EXPECT_GT(taken, 500);
}

// The short way in uri.cc for the most usual URIs yields what the general parser does: a query
// that is empty keeps a URI off the short way and changes nothing else.
TEST(ParseRedirectUriTest, TheShortWayReadsWhatTheGeneralParserReads) {
  std::mt19937 random(11);
  const absl::string_view alphabet = "aaabz09--..//__AZ%:@";
  const auto text = [&](size_t max) {
    std::string made;
    for (size_t n = random() % max; n > 0; --n)
      made.push_back(alphabet[random() % alphabet.size()]);
    return made;
  };
  int taken = 0;
  for (int i = 0; i < 200'000; ++i) {
    const std::string uri =
        absl::StrCat("https://", text(12), random() % 2 == 0 ? ".example" : "", "/", text(12));
    const std::string with_query = absl::StrCat(uri, "?");
    const absl::StatusOr<RedirectUri> direct = ParseRedirectUri(uri);
    const absl::StatusOr<RedirectUri> general = ParseRedirectUri(with_query);
    ASSERT_EQ(direct.ok(), general.ok()) << uri;
    if (!direct.ok()) continue;
    ++taken;
    EXPECT_EQ(direct->scheme, general->scheme) << uri;
    EXPECT_EQ(direct->host, general->host) << uri;
    EXPECT_EQ(direct->host_kind, general->host_kind) << uri;
    EXPECT_EQ(direct->port, general->port) << uri;
    EXPECT_EQ(direct->path, general->path) << uri;
  }
  EXPECT_GT(taken, 10'000);
}

TEST(CheckPublicHostNameTest, TakesPublicNamesOnly) {
  // The third is an emoji, which IDNA 2008 does not allow and browsers take.
  for (const absl::string_view host :
       {"mastodon.social", "xn--bcher-kva.example", "xn--i-7iq.ws", "a-1.b2", "r3---sn-ab.example",
        "xn--fa-hia.de", "local.example", "home.social", "test.com"}) {
    EXPECT_OK(CheckPublicHostName(host)) << host;
  }
  const std::vector<Refused> cases = {
      {"", "must not be empty"},
      {"Mastodon.social", "must be lower case: write \"mastodon.social\""},
      {"https://mastodon.social", "must be the host alone: write \"mastodon.social\""},
      {"mastodon.social/x", "must be the host alone: write \"mastodon.social\""},
      {"mastodon.social:443", "must be the host alone: write \"mastodon.social\""},
      {"me@mastodon.social", "must be the host alone: write \"mastodon.social\""},
      {"@me@mastodon.social", "must be the host alone: write \"mastodon.social\""},
      {"acct:me@mastodon.social", "must be the host alone: write \"mastodon.social\""},
      {"mastodon.social/@me", "must be the host alone: write \"mastodon.social\""},
      {"https://mastodon.social/@me", "must be the host alone: write \"mastodon.social\""},
      {"https://mastodon.social:443/x", "must be the host alone: write \"mastodon.social\""},
      {"https://MASTODON.social", "must be the host alone: write \"mastodon.social\""},
      {"//mastodon.social", "must be the host alone: write \"mastodon.social\""},
      {"https://", "must not be empty"},
      {"mastodon.social:x", "letters, digits, hyphens and dots only"},
      {"[::1]", "letters, digits, hyphens and dots only"},
      {std::string("a\0b", 3), "letters, digits, hyphens and dots only"},
      {"b\xc3\xbc"
       "cher.example",
       "punycode"},
      {"127.0.0.1", "a name does not end in a number"},
      {"127.0.0.1.evil.example", "\"/\" after 127.0.0.1, which"},
      {"a.0x7f", "ends in a number"},
      {"a.", "no dot at its begin or end"},
      {std::string(254, 'a'), "at most 253"},
      {"localhost", "public host"},
      {"db", "public host"},
      {"db.localhost", "public host"},
      {"printer.local", "public host"},
      {"social.internal", "public host"},
      {"router.home.arpa", "public host"},
      {"kubernetes.default.svc", "\"svc\" is not a public domain"},
      {"a.svc.cluster.local", "public host"},
      {"router.lan", "public host"},
      {"db.corp", "public host"},
      {"printer.home", "public host"},
      {"a.mail", "public host"},
      {"a.intranet", "public host"},
      {"a.private", "public host"},
      {"localhost.localdomain", "public host"},
      {"x.test", "public host"},
      {"x.invalid", "public host"},
      {"x.onion", "public host"},
      {"x.alt", "public host"},
      {"a.in-addr.arpa", "public host"},
      {"xn--a.com", "\"xn--a\", which is not the punycode of a name"},
      {"a.xn--bcher-kv.de", "not the punycode of a name"},
      {"xn--zzzzzzzzzzz.com", "not the punycode of a name"},
      {"xn--1ug.com", "not the punycode of a name"},
  };
  for (const Refused& refused : cases) {
    EXPECT_THAT(CheckPublicHostName(refused.uri),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(refused.message)));
  }
}

TEST(CheckHostTest, TakesNamesAndAddressesWithoutPort) {
  for (const absl::string_view host : {"mastodon.social", "localhost", "db", "10.0.0.1", "[::1]"}) {
    EXPECT_OK(CheckHost(host)) << host;
  }
  for (const absl::string_view host :
       {"", "a.example:8443", "a.example:443", "a.example/x", "a.example?x", "a.example#x",
        "u@a.example", "A.example", "127.0.0.1.example", "::1", "[::1]:1", "[::1]x", "10.1", "a b",
        "a.example/.."}) {
    EXPECT_FALSE(CheckHost(host).ok()) << host;
  }
}

TEST(PercentEncodeTest, EncodesAsRfc3986Says) {
  EXPECT_EQ(PercentEncode(""), "");
  EXPECT_EQ(PercentEncode("AZaz09-._~"), "AZaz09-._~");
  EXPECT_EQ(PercentEncode(" %&+\xc2\xa3\xe2\x82\xac"), "%20%25%26%2B%C2%A3%E2%82%AC");
  EXPECT_EQ(PercentEncode("https://a.example/?x=1#y"), "https%3A%2F%2Fa.example%2F%3Fx%3D1%23y");
  EXPECT_EQ(PercentEncode(absl::string_view("\0\n\x7f\xff", 4)), "%00%0A%7F%FF");
}

TEST(PercentEncodeTest, KeepsUnreservedCharactersAndEncodesEveryOtherByte) {
  const absl::string_view unreserved =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~";
  for (int byte = 0; byte < 256; ++byte) {
    const std::string text(1, static_cast<char>(byte));
    const std::string expected =
        unreserved.find(text) != unreserved.npos
            ? text
            : absl::AsciiStrToUpper(absl::StrCat("%", absl::Hex(byte, absl::kZeroPad2)));
    EXPECT_EQ(PercentEncode(text), expected);
  }
}

}  // namespace
}  // namespace authurl
