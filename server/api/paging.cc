#include "server/api/paging.h"

#include <algorithm>
#include <optional>

#include "absl/status/statusor.h"

namespace authurl {
namespace {

constexpr int kDefaultPageSize = 100;
constexpr int kMaxPageSize = 1000;
constexpr size_t kMaxTokenChars = 512;

}  // namespace

Page ReadPage(const Sealer& sealer, absl::string_view list, int page_size,
              absl::string_view page_token, FieldViolations& violations) {
  Page page;
  if (page_size < 0) violations.Add("page_size", "must not be negative");
  page.size = page_size == 0 ? kDefaultPageSize : std::min(page_size, kMaxPageSize);
  if (page_token.empty()) return page;
  std::optional<std::string> sealed;
  if (page_token.size() <= kMaxTokenChars) sealed = Base64UrlDecode(page_token);
  if (sealed.has_value()) {
    absl::StatusOr<std::string> after = sealer.Open(Purpose::kPageToken, *sealed, list);
    if (after.ok()) {
      page.after = *std::move(after);
      return page;
    }
  }
  violations.Add("page_token", "is not a page token of this list; start again without one");
  return page;
}

std::string NextPageToken(const Sealer& sealer, const RandomSource& random, absl::string_view list,
                          absl::string_view last) {
  return Base64UrlEncode(sealer.Seal(Purpose::kPageToken, NewNonce(random), last, list));
}

}  // namespace authurl
