#include "core/uri.h"

#include <arpa/inet.h>
#include <idn2.h>

#include <algorithm>
#include <array>
#include <boost/url/parse.hpp>
#include <boost/url/url_view.hpp>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "core/errors.h"

namespace authurl {
namespace {

constexpr size_t kMaxHostNameBytes = 253;
constexpr size_t kMaxLabelBytes = 63;
// No name under these is one that everybody can look up. From IANA's registry of special-use domain
// names, without "example", which stands for public names in documentation, and with all of "arpa",
// which has no hosts (RFC 6761, RFC 6762, RFC 7686, RFC 8375, RFC 9476); what ICANN keeps from
// being delegated because local networks use it ("internal", "corp", "home", "mail"; RFC 6762
// appendix G has more of them); and what hosts and clusters call their own.
constexpr std::array<absl::string_view, 16> kPrivateDomains = {
    "alt",  "arpa", "invalid",  "local", "localhost", "onion",   "test",        "internal",
    "corp", "home", "intranet", "lan",   "mail",      "private", "localdomain", "svc"};
// What a browser runs, opens or hands to programs of its own, so that no app can have it.
constexpr std::array<absl::string_view, 19> kBrowserSchemes = {
    "javascript",  "data",    "vbscript", "file",     "filesystem", "blob",   "about",
    "view-source", "intent",  "ws",       "wss",      "ftp",        "mailto", "tel",
    "sms",         "content", "chrome",   "resource", "jar"};
constexpr absl::string_view kHexDigits = "0123456789ABCDEF";
// Neither RFC 3986 nor WHATWG parsers leave these as they are.
constexpr absl::string_view kNeverRaw = "\"<>\\^`{|}";

constexpr std::array<bool, 256> kUnreserved = [] {
  std::array<bool, 256> unreserved{};
  for (const char c : absl::string_view("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                        "0123456789-._~")) {
    unreserved[static_cast<unsigned char>(c)] = true;
  }
  return unreserved;
}();

// What may stand anywhere in a URI, looked at byte by byte: quickly told from all that is refused.
constexpr std::array<bool, 256> kMayOccur = [] {
  std::array<bool, 256> may_occur{};
  for (int byte = 0x21; byte < 0x7f; ++byte) may_occur[static_cast<size_t>(byte)] = true;
  for (const char c : kNeverRaw) may_occur[static_cast<unsigned char>(c)] = false;
  may_occur['#'] = false;
  return may_occur;
}();

bool IsUnreserved(char c) { return kUnreserved[static_cast<unsigned char>(c)]; }
bool IsUpper(char c) { return absl::ascii_isupper(static_cast<unsigned char>(c)); }
bool IsDigit(char c) { return absl::ascii_isdigit(static_cast<unsigned char>(c)); }
bool IsSchemeByte(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '+' || c == '-' || c == '.';
}
bool IsHexDigit(char c) { return absl::ascii_isxdigit(static_cast<unsigned char>(c)); }

bool IsWeb(absl::string_view scheme) { return scheme == "https" || scheme == "http"; }

// Every message continues a sentence that begins with the name of the field.
template <typename... Parts>
absl::Status Refuse(const Parts&... parts) {
  return absl::InvalidArgumentError(absl::StrCat(parts...));
}

absl::string_view AsView(boost::core::string_view text) { return {text.data(), text.size()}; }

std::string Escape(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return {'%', kHexDigits[byte >> 4], kHexDigits[byte & 15]};
}

// What is left around a text that was copied from elsewhere, word processors' characters too.
struct End {
  absl::string_view bytes;
  absl::string_view name;
};
constexpr std::array<End, 14> kEnds = {{
    {" ", "a space"},
    {"\t", "a space"},
    {"\xc2\xa0", "a space"},  // U+00A0, which does not break.
    {"\n", "a line break"},
    {"\r", "a line break"},
    {"\"", "a quotation mark"},
    {"'", "a quotation mark"},
    {"`", "a quotation mark"},
    {"\xe2\x80\x98", "a quotation mark"},        // U+2018
    {"\xe2\x80\x99", "a quotation mark"},        // U+2019
    {"\xe2\x80\x9c", "a quotation mark"},        // U+201C
    {"\xe2\x80\x9d", "a quotation mark"},        // U+201D
    {"\xe2\x80\x8b", "an invisible character"},  // U+200B, zero width space
    {"\xef\xbb\xbf", "an invisible character"},  // U+FEFF, byte order mark
}};

absl::Status CheckEnds(absl::string_view text) {
  for (const End& end : kEnds) {
    if (absl::StartsWith(text, end.bytes)) return Refuse("begins with ", end.name, ": remove it");
  }
  for (const End& end : kEnds) {
    // "'" may end a path.
    if (end.bytes == "'" || !absl::EndsWith(text, end.bytes)) continue;
    return Refuse("ends with ", end.name, ": remove it");
  }
  return absl::OkStatus();
}

absl::Status CheckBytes(absl::string_view text) {
  if (text.empty()) return Refuse("must not be empty");
  if (absl::Status status = CheckEnds(text); !status.ok()) return status;
  if (text.size() > kMaxRedirectUriBytes) {
    return Refuse("is ", text.size(), " bytes long; at most ", kMaxRedirectUriBytes, " are taken");
  }
  if (absl::StrContains(text, "${") || absl::StrContains(text, "{{")) {
    return Refuse("has ${ or {{ in it: the variable that it is made of was not set");
  }
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (kMayOccur[byte]) continue;
    if (byte >= 0x80) {
      return Refuse(
          "must be ASCII: write the host in punycode (xn--…) and percent-encode the UTF-8 bytes of "
          "everything else");
    }
    if (c == ' ') return Refuse("must not contain a space: write %20");
    if (absl::ascii_iscntrl(byte)) return Refuse("must not contain control characters");
    if (c == '#') return Refuse("must not have a fragment: remove \"#\" and all after it");
    return Refuse("must not contain ", absl::string_view(&c, 1), " as it is: write ", Escape(c));
  }
  return absl::OkStatus();
}

absl::Status CheckEscapes(absl::string_view text) {
  for (size_t i = text.find('%'); i != text.npos; i = text.find('%', i + 1)) {
    const absl::string_view escape = text.substr(i, 3);
    if (escape.size() < 3 || !IsHexDigit(escape[1]) || !IsHexDigit(escape[2])) {
      return Refuse("has a % without two hexadecimal digits after it: write %25 for a % itself");
    }
    const std::string canonical = absl::AsciiStrToUpper(escape);
    if (canonical != escape) {
      return Refuse("must have its percent-encoding in upper case: write ", canonical, " for ",
                    escape);
    }
    const char byte =
        static_cast<char>(kHexDigits.find(escape[1]) * 16 + kHexDigits.find(escape[2]));
    if (IsUnreserved(byte)) {
      return Refuse("must not percent-encode what needs no encoding: write ",
                    absl::string_view(&byte, 1), " for ", escape);
    }
  }
  return absl::OkStatus();
}

// Whether parsers that know IPv4 addresses in odd spellings (1.2.3, 0x7f.1) take `host` for one.
bool EndsInNumber(absl::string_view host) {
  absl::string_view last = host.substr(host.rfind('.') + 1);
  if (last.empty()) return false;
  if (std::all_of(last.begin(), last.end(), IsDigit)) return true;
  return absl::ConsumePrefix(&last, "0x") && std::all_of(last.begin(), last.end(), IsHexDigit);
}

absl::Status CheckLabel(absl::string_view label) {
  if (label.empty()) return Refuse("must have no dot at its begin or end and no two in a row");
  if (label.size() > kMaxLabelBytes) {
    return Refuse("must have at most ", kMaxLabelBytes, " characters between two dots");
  }
  if (label.front() == '-' || label.back() == '-') {
    return Refuse("must have no hyphen next to a dot, at its begin or at its end");
  }
  return absl::OkStatus();
}

// Dot-separated labels of lower-case letters, digits and inner hyphens.
absl::Status CheckLabels(absl::string_view name) {
  for (const char c : name) {
    if (IsUpper(c)) {
      return Refuse("must be lower case: write ", Quoted(absl::AsciiStrToLower(name)));
    }
    if (static_cast<unsigned char>(c) >= 0x80) return Refuse("must be in punycode (xn--…)");
    if (c == '*') {
      return Refuse("must not have a wildcard: networks compare redirect URIs exactly, so name ",
                    "each one");
    }
    if (!absl::ascii_isalnum(static_cast<unsigned char>(c)) && c != '-' && c != '.') {
      return Refuse("must hold letters, digits, hyphens and dots only");
    }
  }
  for (const absl::string_view label : absl::StrSplit(name, '.')) {
    if (absl::Status status = CheckLabel(label); !status.ok()) return status;
  }
  return absl::OkStatus();
}

// Refuses what browsers refuse: punycode that does not decode, and characters that UTS 46 knows not
// in a name. They take characters that IDNA 2008 does not allow, such as emoji, so these pass.
absl::Status CheckALabel(absl::string_view label) {
  if (!absl::StartsWith(label, "xn--")) return absl::OkStatus();
  uint8_t* made = nullptr;
  const int outcome = idn2_lookup_u8(reinterpret_cast<const uint8_t*>(std::string(label).c_str()),
                                     &made, IDN2_NONTRANSITIONAL | IDN2_ALABEL_ROUNDTRIP);
  idn2_free(made);
  if (outcome == IDN2_OK || outcome == IDN2_DISALLOWED) return absl::OkStatus();
  return Refuse("has ", Quoted(label), ", which is not the punycode of a name");
}

// The address in the spelling of inet_ntop, which for IPv6 is RFC 5952's; empty if the text is not
// an address.
std::string Canonical(int family, absl::string_view address) {
  std::array<unsigned char, sizeof(in6_addr)> bytes;
  std::array<char, INET6_ADDRSTRLEN> text;
  if (inet_pton(family, std::string(address).c_str(), bytes.data()) != 1) return "";
  return inet_ntop(family, bytes.data(), text.data(), text.size());
}

// The IPv4 address that `host` begins with, such as 1.2.3.4 of "1.2.3.4.example"; empty if none.
absl::string_view LeadingIpv4(absl::string_view host) {
  size_t end = 0;
  for (int dots = 0; end < host.size(); ++end) {
    if (!IsDigit(host[end]) && (host[end] != '.' || ++dots > 3)) break;
  }
  const absl::string_view address = host.substr(0, end);
  return Canonical(AF_INET, address) == address ? address : "";
}

absl::Status NotParsed(absl::string_view text) {
  if (text.find_first_of("[]") != text.npos) {
    return Refuse("has [ or ] elsewhere than around an IPv6 address: write %5B or %5D");
  }
  return Refuse("must be an absolute URI such as https://app.example.com/callback");
}

// REQUIRES: `text` has a scheme, which is neither https nor http.
absl::Status CheckReverseDomain(absl::string_view text) {
  const size_t end = text.find(':');
  const absl::string_view scheme = text.substr(0, end);
  // The dot keeps out every scheme that means something to a browser.
  if (!absl::StrContains(scheme, '.')) {
    return Refuse("must begin with https://, or with an app's own scheme in the form of ",
                  "com.example.app:/ and not with ", Quoted(scheme));
  }
  if (absl::Status status = CheckLabels(scheme); !status.ok()) {
    return Refuse("has the scheme ", Quoted(scheme), ", which ", status.message());
  }
  const absl::string_view rest = text.substr(end + 1);
  if (!absl::StartsWith(rest, "/") || absl::StartsWith(rest, "//")) {
    return Refuse("must have one slash after the scheme: write ", scheme, ":/ and the path");
  }
  return absl::OkStatus();
}

// Without leading zeros, as browsers write it.
absl::StatusOr<uint16_t> ReadPortNumber(absl::string_view text) {
  uint32_t port = 0;
  if (text.empty() || !std::all_of(text.begin(), text.end(), IsDigit) || text.front() == '0' ||
      !absl::SimpleAtoi(text, &port) || port > 65535) {
    return Refuse("must have a port from 1 to 65535 without leading zeros");
  }
  return static_cast<uint16_t>(port);
}

// Of a scheme that somebody vouches for. What stands where the web has its host is a name for the
// app and nothing more, but still of what all parsers read alike.
absl::Status CheckAnyOwn(absl::string_view text) {
  const size_t end = text.find(':');
  const absl::string_view scheme = text.substr(0, end);
  absl::string_view rest = text.substr(end + 1);
  // "localhost:3000/cb" and "app.example.com:8443" lack https://.
  if (!absl::StartsWith(rest, "/")) {
    return Refuse("must begin with https://; where an app's own scheme is taken, it has a slash ",
                  "after it, such as com.example.app:/ and the path");
  }
  if (!absl::ConsumePrefix(&rest, "//")) return absl::OkStatus();
  absl::string_view authority = rest.substr(0, rest.find_first_of("/?"));
  if (const size_t colon = authority.find(':'); colon != authority.npos && colon != 0) {
    const auto port = ReadPortNumber(authority.substr(colon + 1));
    if (!port.ok()) return port.status();
    authority = authority.substr(0, colon);
  }
  const bool is_plain = std::all_of(authority.begin(), authority.end(), [](char c) {
    return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '-' || c == '.' || c == '_';
  });
  if (is_plain) return absl::OkStatus();
  return Refuse("must have letters, digits, \"-\", \".\" and \"_\" only after ", scheme,
                ":// and before the next slash");
}

// Those of web pages and of native apps.
absl::Status CheckScheme(absl::string_view text, OwnSchemes own_schemes) {
  const size_t end = text.find(':');
  const absl::string_view scheme = text.substr(0, end);
  if (end == text.npos || scheme.empty() || !absl::ascii_isalpha(scheme.front()) ||
      !std::all_of(scheme.begin(), scheme.end(), IsSchemeByte)) {
    return NotParsed(text);
  }
  if (std::find(kBrowserSchemes.begin(), kBrowserSchemes.end(), absl::AsciiStrToLower(scheme)) !=
      kBrowserSchemes.end()) {
    return Refuse("has the scheme ", Quoted(scheme), ", which browsers run: it is never taken");
  }
  if (std::any_of(scheme.begin(), scheme.end(), IsUpper)) {
    return Refuse("must have its scheme in lower case: write ", absl::AsciiStrToLower(scheme));
  }
  if (IsWeb(scheme)) return absl::OkStatus();
  return own_schemes == OwnSchemes::kAny ? CheckAnyOwn(text) : CheckReverseDomain(text);
}

// What versions of Boost.URL read differently is refused before they see it. 1.81 ends the host
// early in "1.2.3.4.example", "[::1]x" and ":80a", and takes the rest for the path; to 1.83 the
// first is a name like any other, and the other two are no URIs. It also knows zones in IPv6.
absl::Status CheckAuthority(absl::string_view text) {
  absl::string_view rest = text;
  const absl::string_view scheme = text.substr(0, text.find(':'));
  rest.remove_prefix(scheme.size() + 1);
  absl::string_view authority;
  if (absl::ConsumePrefix(&rest, "//")) authority = rest.substr(0, rest.find_first_of("/?"));
  rest = authority;
  if (const size_t at = rest.find('@'); at != rest.npos) {
    if (rest.substr(0, at).find_first_of("[]") != rest.npos) return NotParsed(text);
    rest.remove_prefix(at + 1);
  }
  if (rest.empty() || rest.front() == ':') return Refuse("must name a host after ", scheme, "://");
  if (rest.front() == '[') {
    const size_t end = rest.find(']');
    if (end == rest.npos || absl::StrContains(rest.substr(0, end), '%')) return NotParsed(text);
    rest.remove_prefix(end + 1);
  } else if (const absl::string_view address = LeadingIpv4(rest); !address.empty()) {
    rest.remove_prefix(address.size());
  } else {
    rest.remove_prefix(std::min(rest.find_first_of(":@[]"), rest.size()));
  }
  if (absl::ConsumePrefix(&rest, ":")) {
    while (!rest.empty() && IsDigit(rest.front())) rest.remove_prefix(1);
  }
  if (rest.empty()) return absl::OkStatus();
  if (rest.find_first_of("[]") != rest.npos) return NotParsed(text);
  authority.remove_suffix(rest.size());
  return Refuse("must have a \"/\" after ", authority, ", which is read as its host and port");
}

absl::Status CheckHostName(absl::string_view host) {
  if (host.empty()) return Refuse("must not be empty");
  if (host.size() > kMaxHostNameBytes) {
    return Refuse("is ", host.size(), " bytes long; a host name has at most ", kMaxHostNameBytes);
  }
  if (absl::Status status = CheckLabels(host); !status.ok()) return status;
  if (EndsInNumber(host)) return Refuse("must be a host name; a name does not end in a number");
  return absl::OkStatus();
}

// The host in what people copy for it, in lower case: the URL of a page, an address such as
// "me@mastodon.social", a host with its port.
std::string HostOf(absl::string_view text) {
  if (const size_t scheme = text.find("://"); scheme != text.npos) {
    text.remove_prefix(scheme + 3);
  } else {
    absl::ConsumePrefix(&text, "//");
  }
  text = text.substr(0, text.find_first_of("/?#"));
  if (const size_t at = text.rfind('@'); at != text.npos) text.remove_prefix(at + 1);
  const size_t colon = text.rfind(':');
  if (colon != text.npos &&
      std::all_of(text.begin() + static_cast<ptrdiff_t>(colon) + 1, text.end(), IsDigit)) {
    text = text.substr(0, colon);
  }
  return absl::AsciiStrToLower(text);
}

absl::StatusOr<HostKind> ReadIpv4(absl::string_view host) {
  if (Canonical(AF_INET, host) != host) {
    return Refuse(
        "ends in a number but is not an IPv4 address of four decimal numbers without leading "
        "zeros");
  }
  return absl::StartsWith(host, "127.") ? HostKind::kLoopbackIp : HostKind::kIp;
}

absl::StatusOr<HostKind> ReadIpv6(absl::string_view host) {
  const std::string canonical = Canonical(AF_INET6, host);
  if (canonical.empty()) return Refuse("is not an IPv6 address, or has a zone");
  // An IPv4 address in it is where parsers differ, and they differ about its spelling, too.
  if (absl::StrContains(canonical, '.')) return Refuse("must be written as IPv4 address");
  if (canonical != host) {
    return Refuse("must be spelled as in RFC 5952: write \"[", canonical, "]\"");
  }
  return host == "::1" ? HostKind::kLoopbackIp : HostKind::kIp;
}

// RFC 6761 section 6.3: every name under it is the local machine, too.
bool IsLocalhost(absl::string_view host) {
  return host == "localhost" || absl::EndsWith(host, ".localhost");
}

absl::StatusOr<HostKind> ReadHost(const boost::urls::url_view& url) {
  const absl::string_view host = AsView(url.encoded_host_address());
  if (url.host_type() == boost::urls::host_type::ipv6) return ReadIpv6(host);
  if (url.host_type() == boost::urls::host_type::ipvfuture) return Refuse("is of no known kind");
  if (EndsInNumber(host)) return ReadIpv4(host);
  if (absl::Status status = CheckHostName(host); !status.ok()) return status;
  return IsLocalhost(host) ? HostKind::kLocalhost : HostKind::kName;
}

absl::StatusOr<std::optional<uint16_t>> ReadPort(const boost::urls::url_view& url) {
  if (!url.has_port()) return std::nullopt;
  const absl::string_view text = AsView(url.port());
  if (text.empty()) return Refuse("has a \":\" without a port after the host: remove it");
  const absl::StatusOr<uint16_t> port = ReadPortNumber(text);
  if (!port.ok()) return port.status();
  if (*port == (url.scheme() == "https" ? 443 : 80)) {
    return Refuse("must not name the port that ", AsView(url.scheme()),
                  " has anyway: remove \":", *port, "\"");
  }
  return *port;
}

absl::Status CheckPath(absl::string_view path) {
  for (const absl::string_view segment : absl::StrSplit(path, '/')) {
    if (segment == "." || segment == "..") {
      return Refuse("must have no \".\" or \"..\" in its path: write the path that they lead to");
    }
  }
  return absl::OkStatus();
}

// https and http.
absl::Status ReadWeb(absl::string_view text, RedirectUri& uri) {
  if (absl::Status status = CheckAuthority(text); !status.ok()) return status;
  const auto parsed = boost::urls::parse_uri({text.data(), text.size()});
  if (!parsed.has_value()) return NotParsed(text);
  const boost::urls::url_view& url = *parsed;
  uri.path = AsView(url.encoded_path());
  // After CheckAuthority() no known version of Boost.URL ends the host early.
  if (!uri.path.empty() && uri.path.front() != '/') {
    return Refuse("must have a \"/\" after ", AsView(url.encoded_authority()),
                  ", which is read as its host and port");
  }
  if (url.has_userinfo()) return Refuse("must not have a user name or password before the host");
  uri.host = AsView(url.encoded_host_address());
  const absl::StatusOr<HostKind> kind = ReadHost(url);
  if (!kind.ok()) {
    return Refuse("has the host ", Quoted(uri.host), ", which ", kind.status().message());
  }
  uri.host_kind = *kind;
  const absl::StatusOr<std::optional<uint16_t>> port = ReadPort(url);
  if (!port.ok()) return port.status();
  uri.port = *port;
  if (!url.has_query()) return absl::OkStatus();
  // Some parsers read the host on to the next slash, and take what follows an "@" for it.
  if (uri.path.empty()) return Refuse("must have a path before its query: write \"/?\" for \"?\"");
  uri.query = AsView(url.encoded_query());
  // Browsers change it there, and only there.
  if (absl::StrContains(*uri.query, '\'')) return Refuse("must not have ' in its query: write %27");
  return absl::OkStatus();
}

// After the checks of bytes, escapes and scheme, only brackets keep it from being a URI.
absl::Status ReadOwn(absl::string_view text, RedirectUri& uri) {
  if (text.find_first_of("[]") != text.npos) return NotParsed(text);
  uri.path = text.substr(uri.scheme.size() + 1);
  if (!absl::StrContains(uri.path, '?')) return absl::OkStatus();
  return Refuse("must not have a query after an app's own scheme");
}

bool IsPlainPathByte(char c) {
  return absl::ascii_isalnum(static_cast<unsigned char>(c)) || c == '/' || c == '-' || c == '_';
}

// The most usual kind of redirect URI, told without the general parser, which costs ten times as
// much: "https://", a DNS name, and a path of letters, digits, "-", "_" and "/", nothing else. It
// is a part of the grammar in which there is nothing to read differently; the tests hold it against
// the general reading. Nothing where `text` is of another kind, right or wrong.
std::optional<RedirectUri> ReadPlain(absl::string_view text) {
  RedirectUri uri;
  absl::string_view rest = text;
  if (text.size() > kMaxRedirectUriBytes || !absl::ConsumePrefix(&rest, "https://")) {
    return std::nullopt;
  }
  uri.scheme = text.substr(0, 5);
  const size_t slash = rest.find('/');
  if (slash == rest.npos || slash == 0 || slash > kMaxHostNameBytes) return std::nullopt;
  uri.host = rest.substr(0, slash);
  uri.path = rest.substr(slash);
  if (!std::all_of(uri.path.begin(), uri.path.end(), IsPlainPathByte)) return std::nullopt;
  size_t label = 0;  // Where the present one begins.
  for (size_t i = 0; i <= uri.host.size(); ++i) {
    const char c = i == uri.host.size() ? '.' : uri.host[i];
    if (c == '.') {
      if (i == label || i - label > kMaxLabelBytes || uri.host[i - 1] == '-') return std::nullopt;
      if (i == uri.host.size()) break;
      label = i + 1;
    } else if (!absl::ascii_islower(static_cast<unsigned char>(c)) && !IsDigit(c) &&
               (c != '-' || i == label)) {
      return std::nullopt;
    }
  }
  // A number at the end would make it an address, and at its begin may begin one.
  if (IsDigit(uri.host[label]) || IsDigit(uri.host.front())) return std::nullopt;
  uri.host_kind = IsLocalhost(uri.host) ? HostKind::kLocalhost : HostKind::kName;
  return uri;
}

}  // namespace

absl::StatusOr<RedirectUri> ParseRedirectUri(absl::string_view text, OwnSchemes own_schemes) {
  if (const std::optional<RedirectUri> plain = ReadPlain(text)) return *plain;
  if (absl::Status status = CheckBytes(text); !status.ok()) return status;
  if (absl::Status status = CheckEscapes(text); !status.ok()) return status;
  if (absl::Status status = CheckScheme(text, own_schemes); !status.ok()) return status;
  RedirectUri uri;
  uri.scheme = text.substr(0, text.find(':'));
  const absl::Status status = IsWeb(uri.scheme) ? ReadWeb(text, uri) : ReadOwn(text, uri);
  if (!status.ok()) return status;
  if (absl::Status path = CheckPath(uri.path); !path.ok()) return path;
  return uri;
}

absl::Status CheckHost(absl::string_view host) {
  if (const std::string alone = HostOf(host); alone != absl::AsciiStrToLower(host)) {
    if (alone.empty()) return Refuse("must not be empty");
    if (CheckHostName(alone).ok()) return Refuse("must be the host alone: write ", Quoted(alone));
  }
  const bool is_name = !absl::StartsWith(host, "[") && !EndsInNumber(host);
  if (is_name) {
    if (absl::Status status = CheckHostName(host); !status.ok()) return status;
  }
  // What a parser finds behind "https://" is the whole host, or `host` is more than that.
  const std::string url = absl::StrCat("https://", host, "/");
  const absl::StatusOr<RedirectUri> uri = ParseRedirectUri(url);
  if (!uri.ok()) return uri.status();
  const std::string bracketed = absl::StrCat("[", uri->host, "]");
  if (host == uri->host || host == bracketed) return absl::OkStatus();
  return Refuse("must be a host and nothing else: no port, no path");
}

absl::Status CheckPublicHostName(absl::string_view host) {
  for (const auto check : {CheckHost, CheckHostName}) {
    if (absl::Status status = check(host); !status.ok()) return status;
  }
  const size_t dot = host.rfind('.');
  const absl::string_view top = host.substr(dot == host.npos ? 0 : dot + 1);
  if (dot == host.npos ||
      std::find(kPrivateDomains.begin(), kPrivateDomains.end(), top) != kPrivateDomains.end()) {
    return Refuse("must be the name of a public host, such as mastodon.social; ", Quoted(top),
                  " is not a public domain");
  }
  for (const absl::string_view label : absl::StrSplit(host, '.')) {
    if (absl::Status status = CheckALabel(label); !status.ok()) return status;
  }
  return absl::OkStatus();
}

std::string PercentEncode(absl::string_view text) {
  std::string encoded;
  AppendPercentEncoded(text, encoded);
  return encoded;
}

void AppendPercentEncoded(absl::string_view text, std::string& out) {
  while (true) {
    const auto kept = std::find_if_not(text.begin(), text.end(), IsUnreserved);
    absl::StrAppend(&out, absl::string_view(text.data(), static_cast<size_t>(kept - text.begin())));
    text.remove_prefix(static_cast<size_t>(kept - text.begin()));
    if (text.empty()) return;
    const auto byte = static_cast<unsigned char>(text.front());
    const char escape[] = {'%', kHexDigits[byte >> 4], kHexDigits[byte & 15]};
    out.append(escape, sizeof(escape));
    text.remove_prefix(1);
  }
}

}  // namespace authurl
