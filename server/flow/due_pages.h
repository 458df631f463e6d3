// due_pages.h: what is due in the store, read page by page from a position on.
#pragma once

#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/call_context.h"
#include "core/errors.h"
#include "server/observe/log.h"
#include "storage/backend.h"

namespace authurl {

// How long the database may take for a look at what is due.
inline constexpr absl::Duration kDueLookTime = absl::Seconds(15);

// An Item has its `position`. For one thread.
template <typename Item>
class DuePages final {
 public:
  // `failure`: what the log calls it when a page can't be read; once, until one can be read again.
  DuePages(int page_size, const char* failure) : page_size_(page_size), failure_(failure) {}

  // The next page is the one behind `after`.
  void Begin(const DuePosition& after) {
    cursor_ = after;
    is_over_ = false;
  }

  // `list` is called with a context, a position and how many to list behind it. After an error the
  // same page is the next one.
  template <typename List>
  absl::StatusOr<std::vector<Item>> Read(const List& list) {
    const CallContext context(absl::Now() + kDueLookTime);
    absl::StatusOr<std::vector<Item>> page = list(context, cursor_, page_size_);
    if (std::exchange(has_failed_, !page.ok()) != has_failed_ && !page.ok()) {
      Log(LogLevel::kWarning, failure_, {{"cause", CauseOf(page.status())}});
    }
    if (!page.ok()) return page;
    is_over_ = page->size() < static_cast<size_t>(page_size_);
    if (!page->empty()) cursor_ = page->back().position;
    return page;
  }

  // There is none behind the last one that was read.
  bool is_over() const { return is_over_; }

 private:
  const int page_size_;
  const char* const failure_;
  DuePosition cursor_;
  bool is_over_ = false;
  bool has_failed_ = false;  // The last time.
};

}  // namespace authurl
