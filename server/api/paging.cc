#include "server/api/paging.h"

#include <algorithm>
#include <optional>

#include "absl/status/statusor.h"
#include "server/observe/log.h"

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
  page.limit.rows = page_size == 0 ? kDefaultPageSize : std::min(page_size, kMaxPageSize);
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
                          absl::string_view next) {
  if (next.empty()) return "";
  return Base64UrlEncode(sealer.Seal(Purpose::kPageToken, NewNonce(random), next, list));
}

void LogUnreadable(absl::string_view list, const std::vector<std::string>& ids) {
  if (ids.empty()) return;
  Log(LogLevel::kError, "unreadable_records",
      {{"list", list},
       {"records", static_cast<int64_t>(ids.size())},
       {"first_id", ids.front()},
       {"advice",
        "they were damaged, or their key is not in the key ring: restore them from a "
        "backup, or delete or revoke them"}});
}

}  // namespace authurl
