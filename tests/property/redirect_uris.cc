// redirect_uris.cc: prints generated redirect URIs and what ParseRedirectUri() says of each, for
// other parsers to compare.
//
//   redirect_uris <count> <seed>
//
// One JSON array for each distinct URI: [uri, scheme, host, port, path, query] where it is
// accepted, with null for what is absent, and [uri, message] where it is refused. Half of them are
// put together from parts, one in some of which is odd; the other half are such URIs with a few
// edits.
#include <arpa/inet.h>

#include <array>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>
#include <unordered_set>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/uri.h"
#include "tests/property/dice.h"

namespace authurl::testing {
namespace {

// One part in so many is odd.
constexpr size_t kOddity = 14;

std::string Label(Dice& dice) {
  if (dice.OneIn(32)) {
    return dice.Of({"xn--bcher-kva", "xn--p1ai", "xn--nxasmq6b", "xn--a", "xn--a-ecp", "xn--zz9",
                    "xn--0", "xn--999999999"});
  }
  if (dice.OneIn(64)) return absl::StrCat("xn--", dice.Text(1, 8, kLowerAlphanumeric));
  std::string label = dice.Text(1, 12, kLowerAlphanumeric);
  if (dice.OneIn(6)) label.insert(dice.Below(label.size()), 1, '-');
  if (dice.OneIn(200)) label = std::string(60 + dice.Below(6), 'l');
  return label;
}

std::string Name(Dice& dice) {
  std::string name = Label(dice);
  for (size_t more = dice.Below(4); more > 0; --more) absl::StrAppend(&name, ".", Label(dice));
  return absl::StrCat(name, dice.Of({".example", ".com", ".co.uk", ".app", "", ".local"}));
}

std::string Ipv4(Dice& dice) {
  const size_t first = dice.OneIn(3) ? 127 : dice.Below(256);
  return absl::StrCat(first, ".", dice.Below(256), ".", dice.Below(256), ".", dice.Below(256));
}

std::string Ipv6(Dice& dice) {
  std::array<unsigned char, 16> bytes{};
  for (size_t i = 0; i < bytes.size(); i += 2) {
    if (dice.OneIn(2)) continue;
    if (dice.OneIn(2)) bytes[i] = static_cast<unsigned char>(dice.Below(256));
    bytes[i + 1] = static_cast<unsigned char>(dice.Below(256));
  }
  if (dice.OneIn(8)) bytes = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1};
  std::array<char, INET6_ADDRSTRLEN> text;
  return absl::StrCat("[", inet_ntop(AF_INET6, bytes.data(), text.data(), text.size()), "]");
}

std::string OddHost(Dice& dice) {
  switch (dice.Below(9)) {
    case 0:
      return absl::AsciiStrToUpper(Name(dice));
    case 1:
      return absl::StrCat(Name(dice), dice.Of({".", "..", "-", "_", "%2E", ",", ";x", "\\", "!"}));
    case 2:
      return absl::StrCat(dice.Of({".", "-", "_", "%61", "*.", "%2F", "\t", "\u00ad"}), Name(dice));
    case 3:
      return dice.Of({"1", "1.2.3", "127.1", "0x7f.1", "0x7F000001", "2130706433", "0177.0.0.1",
                      "127.0.0.01", "256.1.1.1", "1.2.3.4.5", "a.0x1f", "a.1", "1.2.3.4.", "0x.0x",
                      "127.0.0.1.evil.example", "09.1.1.1", "4294967296"});
    case 4:
      return absl::AsciiStrToUpper(Ipv6(dice));
    case 5:
      return dice.Of({"[::ffff:127.0.0.1]", "[::127.0.0.1]", "[0:0:0:0:0:0:0:1]", "[::1%25eth0]",
                      "[v1.fe]", "[::1]x", "[]", "[::1", "::1", "[1:2:3:4:5:6:7:8:9]", "[::01]"});
    case 6:
      return dice.Of({"b\u00fccher.example", "\u4f8b.example", "\uff41.example", "fa\u00df.example",
                      "a\u3002b.example", "\uff11\uff12\uff17.0.0.1", "\u200b",
                      "a\u200db.example"});
    case 7:
      return absl::StrCat(Name(dice), std::string(190 + dice.Below(80), 'h'), ".", Name(dice));
    default:
      return dice.Of({"", "a b", "a%20b", "a%zz", "%", "a^b", "a|b", "<a>", "a..b", "..", "."});
  }
}

std::string Host(Dice& dice) {
  if (dice.OneIn(kOddity)) return OddHost(dice);
  switch (dice.Below(8)) {
    case 0:
      return "localhost";
    case 1:
      return Ipv4(dice);
    case 2:
      return Ipv6(dice);
    default:
      return Name(dice);
  }
}

std::string Port(Dice& dice) {
  if (dice.OneIn(kOddity)) {
    return dice.Of({":", ":0", ":80", ":443", ":08", ":0443", ":65536", ":99999999999999999999",
                    ":a", ":-1", ":80a", ":+1", ": 1", "::1", ":\uff11"});
  }
  return dice.OneIn(3) ? absl::StrCat(":", 1 + dice.Below(65535)) : "";
}

// Percent-encoded, in the one spelling that is taken.
std::string Escape(Dice& dice) {
  constexpr absl::string_view kEncoded = " !\"#$%&'()*+,/:;<=>?@[\\]^`{|}\x01\x1f\x7f\x80\xc3\xff";
  return absl::StrFormat("%%%02X", static_cast<unsigned char>(dice.Of(kEncoded)));
}

std::string OddText(Dice& dice) {
  return dice.Of({"%",  "%4", "%zz", "%2f", "%c3%a9", "%41",  "%7E",    "%2E",    "%2e%2E",
                  "..", ".",  "./",  "/..", "/./",    "//",   "\\",     "/\\",    " ",
                  "\"", "'",  "<",   ">",   "^",      "`",    "{",      "|",      "}",
                  "[",  "]",  "\t",  "\n",  "\x01",   "\x7f", "\u00e9", "\u20ac", "\U0001f600",
                  "?",  "#",  "@",   ":",   "+",      "%00",  "%0A"});
}

// Up to `max` characters of `alphabet` and escapes, with something odd now and then.
std::string Text(Dice& dice, size_t max, absl::string_view alphabet) {
  std::string text;
  for (size_t left = dice.Below(max + 1); left > 0; --left) {
    absl::StrAppend(&text, dice.OneIn(16) ? Escape(dice) : dice.Text(1, 1, alphabet));
  }
  if (dice.OneIn(2 * kOddity)) absl::StrAppend(&text, OddText(dice), dice.Text(0, 3, alphabet));
  return text;
}

std::string Path(Dice& dice) {
  std::string path;
  for (size_t segments = dice.Below(5); segments > 0; --segments) {
    absl::StrAppend(&path, "/", Text(dice, 10, absl::StrCat(kAlphanumeric, "-._~!$&'()*+,;=:@")));
  }
  if (dice.OneIn(1000)) absl::StrAppend(&path, "/", std::string(1900 + dice.Below(200), 'p'));
  return path.empty() && !dice.OneIn(4) ? "/" : path;
}

std::string Query(Dice& dice) {
  if (!dice.OneIn(3)) return "";
  return absl::StrCat("?", Text(dice, 24, absl::StrCat(kAlphanumeric, "-._~!$&()*+,;=:@/?")));
}

std::string OddScheme(Dice& dice) {
  switch (dice.Below(4)) {
    case 0:
      return dice.Of({"HTTPS://", "Http://", "hTTps://", " https://", "https ://", "ht\ntps://"});
    case 1:
      return dice.Of({"https:", "https:/", "https:///", "https:\\\\", "https:/\\", "//", ":", ""});
    case 2:
      return dice.Of({"ftp://", "ws://", "wss://", "file://", "file:///", "javascript:", "data:",
                      "blob:https://", "about:", "mailto:", "urn:", "javascript://"});
    default:
      return dice.Of({"1a.b:/", "com..app:/", "Com.Example:/", "com.example.app://", "a.b+c:/",
                      "com.example.app:", "a-:/"});
  }
}

std::string Userinfo(Dice& dice) {
  if (!dice.OneIn(3 * kOddity)) return "";
  return dice.Of({"user@", "user:pw@", "@", ":@", "a.example@", "a%40b@", "a.example:443@", "@@"});
}

std::string Fragment(Dice& dice) {
  return dice.OneIn(3 * kOddity) ? dice.Of({"#", "#x", "#/../", "#_=_", "#?a"}) : "";
}

std::string PrivateUse(Dice& dice) {
  const std::string scheme = dice.Of({"com.example.app", "app.example", "com.a-b.c1", "x.y"});
  const std::string path = Path(dice);
  return absl::StrCat(scheme, dice.OneIn(kOddity) ? dice.Of({"://a", ":/", "/", ""}) : ":",
                      path.empty() ? "/" : path, dice.OneIn(kOddity) ? Query(dice) : "",
                      Fragment(dice));
}

std::string FromParts(Dice& dice) {
  if (dice.OneIn(12)) return PrivateUse(dice);
  const std::string scheme = dice.OneIn(2 * kOddity) ? OddScheme(dice)
                             : dice.OneIn(4)         ? "http://"
                                                     : "https://";
  return absl::StrCat(scheme, Userinfo(dice), Host(dice), Port(dice), Path(dice), Query(dice),
                      Fragment(dice));
}

// Always whole characters: what callers send is UTF-8.
std::string Bit(Dice& dice) {
  if (dice.OneIn(8)) return OddText(dice);
  if (dice.OneIn(16)) return dice.Of({"\u0130", "\u00ad", "\u2025", "\u2100", "\uff0f", "\uff20"});
  return std::string(1, dice.Of(kPrintableAscii));
}

// REQUIRES: at <= text.size(). So that no edit cuts a character in two.
bool IsAtBoundary(const std::string& text, size_t at) {
  return at == text.size() || (static_cast<unsigned char>(text[at]) & 0xc0) != 0x80;
}

void Edit(Dice& dice, std::string& text) {
  const size_t begin = dice.Below(text.size() + 1);
  const size_t end = begin + dice.Below(dice.OneIn(4) ? text.size() - begin + 1 : 2);
  if (end > text.size() || !IsAtBoundary(text, begin) || !IsAtBoundary(text, end)) return;
  switch (dice.Below(5)) {
    case 0:
      text.insert(begin, Bit(dice));
      return;
    case 1:
      text.replace(begin, end - begin, Bit(dice));
      return;
    case 2:
      text.erase(begin, end - begin);
      return;
    case 3:
      text.insert(begin, text.substr(begin, end - begin));
      return;
    default:
      if (begin < end && absl::ascii_isalpha(static_cast<unsigned char>(text[begin]))) {
        text[begin] = static_cast<char>(text[begin] ^ 0x20);
      }
  }
}

std::string Generate(Dice& dice) {
  std::string uri = FromParts(dice);
  if (dice.OneIn(2)) return uri;
  for (size_t edits = 1 + dice.Below(3); edits > 0; --edits) Edit(dice, uri);
  return uri;
}

nlohmann::json Answer(const std::string& text) {
  const absl::StatusOr<RedirectUri> uri = ParseRedirectUri(text);
  if (!uri.ok()) return {text, std::string(uri.status().message())};
  nlohmann::json answer = {text, uri->scheme, uri->host, nullptr, uri->path, nullptr};
  if (uri->port.has_value()) answer[3] = *uri->port;
  if (uri->query.has_value()) answer[5] = *uri->query;
  return answer;
}

int Main(int argc, char** argv) {
  size_t count = 0;
  uint64_t seed = 0;
  if (argc != 3 || !absl::SimpleAtoi(argv[1], &count) || !absl::SimpleAtoi(argv[2], &seed)) {
    std::cerr << "usage: redirect_uris <count> <seed>\n";
    return 2;
  }
  Dice dice(seed);
  std::unordered_set<std::string> seen;
  while (seen.size() < count) {
    const auto [uri, is_new] = seen.insert(Generate(dice));
    if (is_new) std::cout << Answer(*uri).dump() << '\n';
  }
  std::cout.flush();
  return std::cout.good() ? 0 : 1;
}

}  // namespace
}  // namespace authurl::testing

int main(int argc, char** argv) { return authurl::testing::Main(argc, argv); }
