#include "storage/states_not_before.h"

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "storage/digest_id.h"

namespace authurl {
namespace {

constexpr absl::string_view kStatesNotBeforeName = "states_not_before";

// Milliseconds, and a digest of them that tells damage. Not sealed: it must outlive any key, and
// whoever can write to the database can as well remove the flows that it stands for.
std::string TextOf(int64_t unix_ms) {
  const std::string number = absl::StrCat(unix_ms);
  return absl::StrCat(number, " ", DigestId(absl::StrCat(kStatesNotBeforeName, " ", number)));
}

}  // namespace

absl::StatusOr<absl::Time> GetStatesNotBefore(Backend& backend) {
  const absl::StatusOr<std::optional<std::string>> stored = backend.GetMeta(kStatesNotBeforeName);
  if (!stored.ok()) return stored.status();
  if (!*stored) return absl::InfinitePast();
  const std::pair<absl::string_view, absl::string_view> parts = absl::StrSplit(**stored, ' ');
  int64_t unix_ms = 0;
  if (!absl::SimpleAtoi(parts.first, &unix_ms) || **stored != TextOf(unix_ms)) {
    return absl::InternalError(
        "the time before which no OAuth state is good was damaged; restore it from a backup, or "
        "set it again");
  }
  return absl::FromUnixMillis(unix_ms);
}

absl::Status SetStatesNotBefore(Backend& backend, absl::Time time) {
  const absl::StatusOr<absl::Time> before = GetStatesNotBefore(backend);
  if (!before.ok() && !absl::IsInternal(before.status())) return before.status();
  const int64_t unix_ms = absl::ToUnixMillis(time + absl::Milliseconds(1) - absl::Nanoseconds(1));
  if (before.ok() && absl::FromUnixMillis(unix_ms) <= *before) return absl::OkStatus();
  return backend.PutMeta(kStatesNotBeforeName, TextOf(unix_ms));
}

}  // namespace authurl
