// Any bytes as a redirect URI, and as a host. What is taken is plain ASCII whose parts, put
// together, are the same bytes again; percent-encoding has exactly one way back.
#include <cstddef>
#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "core/uri.h"
#include "tests/fuzz/must.h"
#include "tests/fuzz/percent_decode.h"

namespace authurl::fuzz {
namespace {

std::string PutTogether(const RedirectUri& uri) {
  std::string text = absl::StrCat(uri.scheme, ":");
  if (uri.host_kind != HostKind::kNone) {
    const bool bracketed = absl::StrContains(uri.host, ':');
    absl::StrAppend(&text, "//", bracketed ? "[" : "", uri.host, bracketed ? "]" : "");
  }
  if (uri.port.has_value()) absl::StrAppend(&text, ":", *uri.port);
  absl::StrAppend(&text, uri.path);
  if (uri.query.has_value()) absl::StrAppend(&text, "?", *uri.query);
  return text;
}

// What holds of every URI that is taken, whoever vouches for it.
void MustBePlain(absl::string_view text, const RedirectUri& uri) {
  for (const char c : text) Must(c > ' ' && c < '\x7f', "printable ASCII without space");
  Must(text.find_first_of("\\#\"<>^`{|}") == text.npos, "none of what browsers change");
  Must(PutTogether(uri) == text, "the parts are the whole: ", PutTogether(uri), " ", text);
}

void CheckRedirectUri(absl::string_view text) {
  const absl::StatusOr<RedirectUri> uri = ParseRedirectUri(text);
  if (!uri.ok()) return MustBeText(uri.status().message());
  Must(text.size() <= kMaxRedirectUriBytes, "not too long");
  MustBePlain(text, *uri);
  const bool web = uri->scheme == "https" || uri->scheme == "http";
  Must(web == (uri->host_kind != HostKind::kNone), "a host exactly where the web is");
  Must(web || absl::StrContains(uri->scheme, '.'), "an app's scheme has a dot");
  Must(web || !absl::StartsWith(uri->path, "//"), "an app's scheme has no host");
}

// An app's own scheme of any form, where somebody vouches for it.
void CheckListed(absl::string_view text) {
  const absl::StatusOr<RedirectUri> plain = ParseRedirectUri(text);
  const absl::StatusOr<RedirectUri> uri = ParseRedirectUri(text, OwnSchemes::kAny);
  if (!uri.ok()) {
    Must(!plain.ok(), "what anybody may have, somebody who vouches for it may have: ", text);
    return MustBeText(uri.status().message());
  }
  MustBePlain(text, *uri);
  for (const absl::string_view run : {"javascript", "data", "file", "intent", "blob"}) {
    Must(uri->scheme != run, "nothing that browsers run: ", text);
  }
  const bool web = uri->scheme == "https" || uri->scheme == "http";
  Must(web == plain.ok() || !web, "for the web it makes no difference: ", text);
  Must(web || absl::StartsWith(uri->path, "/"), "a slash after an app's scheme");
}

void CheckHosts(absl::string_view host) {
  if (CheckPublicHostName(host).ok()) {
    Must(CheckHost(host).ok(), "a public host is a host");
    Must(absl::StrContains(host, '.') && host.find_first_of(":[]") == host.npos, "a dotted name");
  }
  if (!CheckHost(host).ok()) return MustBeText(CheckHost(host).message());
  const std::string text = absl::StrCat("https://", host, "/callback");
  const absl::StatusOr<RedirectUri> uri = ParseRedirectUri(text);
  Must(uri.ok(), "a host makes a URI");
  Must(!uri->port.has_value() && uri->path == "/callback", "a host is a host and nothing else");
}

void CheckPercentEncoding(absl::string_view text) {
  const std::string encoded = PercentEncode(text);
  Must(PercentDecode(encoded) == text, "decoding undoes encoding");
  const std::string uri = absl::StrCat("https://a.example/?", encoded);
  Must(uri.size() > kMaxRedirectUriBytes || ParseRedirectUri(uri).ok(), "a URI can hold it");
}

}  // namespace
}  // namespace authurl::fuzz

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view text(reinterpret_cast<const char*>(data), size);
  authurl::fuzz::CheckRedirectUri(text);
  authurl::fuzz::CheckListed(text);
  authurl::fuzz::CheckHosts(text);
  authurl::fuzz::CheckPercentEncoding(text);
  return 0;
}
