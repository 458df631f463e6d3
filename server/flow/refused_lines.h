// refused_lines.h: the lines of events (those of one account, or one without an account) of which a
// receiver refuses the first while it may take others: when each is tried again, and when that has
// gone on for too long. Of one go at delivering (deliver_webhook.h).
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "authurl/record/v1/record.pb.h"

namespace authurl {

// For one thread at a time.
class RefusedLines final {
 public:
  using Line = record::v1::Webhook::RefusedLine;

  RefusedLines() = default;
  // As they are stored when a go begins.
  RefusedLines(const record::v1::Webhook& webhook, absl::Time now);

  // Whether nothing of the line is sent in this go (any more): it is not due, or has failed. Notes
  // that there is something of it.
  bool HoldsBack(const std::string& line);
  // It was refused before.
  bool WasRefused(absl::string_view line) const { return before_.contains(line); }
  bool were_some() const { return !before_.empty(); }

  // What came of the line's first event.
  void Delivered(const std::string& line) { delivered_.insert(line); }
  void Failed(const std::string& line, int64_t number, absl::Time now);
  // A line failed that was not refused before.
  bool has_new() const { return has_new_; }

  // What is refused now. `is_all_read`: of what was not seen nothing is left. `chance`: see
  // PauseAfter().
  std::vector<Line> Now(absl::Time now, bool is_all_read, absl::FunctionRef<double()> chance) const;
  // Whether one has failed for too long.
  bool has_given_up() const { return has_given_up_; }

 private:
  struct Attempt {
    int64_t number;
    absl::Time first_at;  // That the event failed.
  };

  const Line* Find(absl::string_view line) const;

  std::map<std::string, Line, std::less<>> before_;
  std::set<std::string> held_back_;  // Of before_: not due.
  std::set<std::string> seen_;       // Of before_: there is something of it.
  std::set<std::string> delivered_;  // Something of it was.
  std::map<std::string, Attempt> failed_;
  // The event that has failed for longest, and since when,
  int64_t first_number_ = 0;
  absl::Time first_at_;
  // and how often in a row the webhook has that was left alone as a whole.
  int failures_ = 0;
  bool has_new_ = false;
  bool has_given_up_ = false;
};

}  // namespace authurl
