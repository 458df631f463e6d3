// uri.h: the grammar that redirect URIs must have, and RFC 3986 percent-encoding.
//
// Parsers disagree about odd URIs, and a redirect URI that two of them read differently is an open
// redirect. So we take a narrow grammar in which they agree, and refuse everything else; nothing is
// ever normalised:
//
// clang-format off
//   redirect-uri = https-uri / http-uri / private-use
//   https-uri    = "https://" host [ ":" port ] [ path [ "?" query ] ]
//   http-uri     = "http://"  host [ ":" port ] [ path [ "?" query ] ]
//   host         = DNS name / IPv4 dotted quad in canonical spelling /
//                  "[" IPv6 in RFC 5952 spelling "]"
//   DNS name     = lower-case labels of letters, digits and inner hyphens, 253 bytes at most,
//                  not beginning like an IPv4 address and the last label not numeric
//   port         = 1 to 65535 without leading zeros and not the scheme's default
//   path         = "/"-led RFC 3986 segments, none of them "." or ".." in any spelling
//   query        = as in RFC 3986, but without "'"
//   private-use  = scheme ":" path, the scheme a lower-case reversed DNS name with a dot
//                  (RFC 8252 section 7.1), the path not led by "//". Of OwnSchemes::kAny: any
//                  lower-case scheme but those that browsers run, and "//" may lead the path, with
//                  letters, digits, "-", ".", "_" and a port up to the next "/"
//   every "%"    leads two upper-case hexadecimal digits and stands for a byte that needs it
// clang-format on
//
// At most 2,048 bytes of printable ASCII. No userinfo, no fragment, no "\", no control, space or
// non-ASCII bytes. What this takes, browsers leave as it is, but for the "/" that they put where
// there is no path. They also refuse "xn--" labels that are not punycode, which this does not look
// into.
#pragma once

#include <concepts>
#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace authurl {

inline constexpr size_t kMaxRedirectUriBytes = 2048;

// kLocalhost: "localhost", and every name under it (RFC 6761 section 6.3).
enum class HostKind { kNone, kName, kLocalhost, kLoopbackIp, kIp };

// Which schemes of apps' own are taken.
enum class OwnSchemes {
  // Reversed DNS names, which nobody else has.
  kReverseDomain,
  // Whatever an app has registered, such as "fb123://authorize": for redirect URIs that somebody
  // who knows the app vouches for.
  kAny,
};

// The parts that rules are made of: views into the text.
struct RedirectUri {
  absl::string_view scheme;
  absl::string_view host;  // Without brackets; empty for private-use schemes.
  HostKind host_kind = HostKind::kNone;
  std::optional<uint16_t> port;
  absl::string_view path;                  // For private-use schemes all after the ":".
  std::optional<absl::string_view> query;  // Without "?".
};

// InvalidArgumentError if `text` is not of the grammar above. Its message is for the caller, and
// continues a sentence that begins with the name of the field: "must not have a fragment: …".
absl::StatusOr<RedirectUri> ParseRedirectUri(absl::string_view text,
                                             OwnSchemes own_schemes = OwnSchemes::kReverseDomain);
// A text that is about to die has nothing to view.
template <std::same_as<std::string> Text>
absl::StatusOr<RedirectUri> ParseRedirectUri(
    Text&& text, OwnSchemes own_schemes = OwnSchemes::kReverseDomain) = delete;

// InvalidArgumentError unless `host` is a host as above without a port: a name, or an IP literal
// (IPv6 in brackets). Messages as ParseRedirectUri()'s.
absl::Status CheckHost(absl::string_view host);
// InvalidArgumentError unless `host` is such a name that everybody can look up, as far as the name
// tells: with a dot, not under a domain for special or private use, and its "xn--" labels punycode
// of names that browsers take.
absl::Status CheckPublicHostName(absl::string_view host);

// Everything but RFC 3986's unreserved characters becomes %XX, upper case. A space becomes %20.
std::string PercentEncode(absl::string_view text);
void AppendPercentEncoded(absl::string_view text, std::string& out);

}  // namespace authurl
