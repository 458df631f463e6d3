// fair_queue.h: what waits of several organisations, of which each has its turn: one that has much
// waits for itself.
#pragma once

#include <cstddef>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>

namespace authurl {

// For one thread.
class FairQueue final {
 public:
  struct Item {
    std::string org_id;
    std::string id;
    std::string social_network_id = {};
  };

  // Holds `capacity` at the most. REQUIRES: above zero.
  explicit FairQueue(size_t capacity) : capacity_(capacity) {}

  // Puts it behind the others of its organisation. Where it is full, the last one of those that
  // have most gives way, which may be this; returns what is not in it by that.
  std::optional<Item> Push(Item item);
  // The first of the organisation whose turn it is. REQUIRES: it is not empty.
  Item Pop();

  size_t size() const { return size_; }
  bool empty() const { return size_ == 0; }
  size_t capacity() const { return capacity_; }

 private:
  using Waiting = std::map<std::string, std::deque<Item>>;  // By organisation; none is empty.

  // So many items fewer or more: the index by their number is kept.
  void Resized(const std::string& org_id, size_t before, size_t after);

  const size_t capacity_;
  size_t size_ = 0;
  Waiting waiting_;
  std::set<std::pair<size_t, std::string>> by_size_;
  std::string last_served_;
};

}  // namespace authurl
