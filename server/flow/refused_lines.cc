#include "server/flow/refused_lines.h"

#include <algorithm>

#include "server/flow/webhook_delivery.h"
#include "storage/webhook_store.h"

namespace authurl {

RefusedLines::RefusedLines(const record::v1::Webhook& webhook, absl::Time now) {
  for (const Line& line : webhook.refused()) {
    before_.emplace(line.line(), line);
    const bool is_held_back =
        !HasFailedLater(webhook, now) && IsAhead(line.next_attempt_at_ms(), now, kLongestPause);
    if (is_held_back) held_back_.insert(line.line());
  }
  if (webhook.failures() == 0) return;
  first_number_ = webhook.first_failed_number();
  first_at_ = absl::FromUnixMillis(webhook.first_failed_at_ms());
  if (before_.empty()) failures_ = webhook.failures();
}

const RefusedLines::Line* RefusedLines::Find(absl::string_view line) const {
  const auto found = before_.find(line);
  return found == before_.end() ? nullptr : &found->second;
}

bool RefusedLines::HoldsBack(const std::string& line) {
  if (WasRefused(line)) seen_.insert(line);
  return held_back_.contains(line) || failed_.contains(line);
}

void RefusedLines::Failed(const std::string& line, int64_t number, absl::Time now) {
  Attempt attempt = {.number = number, .first_at = now};
  const Line* const before = Find(line);
  if (before == nullptr) has_new_ = true;
  if (before != nullptr && before->number() == number) {
    attempt.first_at = absl::FromUnixMillis(before->first_failed_at_ms());
  } else if (number == first_number_) {
    attempt.first_at = first_at_;
  }
  // A clock that was ahead.
  attempt.first_at = std::min(attempt.first_at, now);
  if (now >= attempt.first_at + kMaxFailingTime) has_given_up_ = true;
  failed_.insert_or_assign(line, attempt);
}

std::vector<RefusedLines::Line> RefusedLines::Now(absl::Time now, bool is_all_read,
                                                  absl::FunctionRef<double()> chance) const {
  std::vector<Line> lines;
  const int failures_as_a_whole = delivered_.empty() ? failures_ : 0;
  for (const auto& [id, line] : before_) {
    if (failed_.contains(id) || delivered_.contains(id)) continue;
    if (!is_all_read || seen_.contains(id)) lines.push_back(line);
  }
  for (const auto& [id, attempt] : failed_) {
    const Line* const before = Find(id);
    Line line;
    line.set_line(id);
    line.set_number(attempt.number);
    const int before_it = before == nullptr ? failures_as_a_whole : before->failures();
    line.set_failures(delivered_.contains(id) ? 1 : before_it + 1);
    line.set_first_failed_at_ms(absl::ToUnixMillis(attempt.first_at));
    line.set_next_attempt_at_ms(
        absl::ToUnixMillis(NextAttempt(now, attempt.first_at, line.failures(), chance())));
    lines.push_back(std::move(line));
  }
  return lines;
}

}  // namespace authurl
