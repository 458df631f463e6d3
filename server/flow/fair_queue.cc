#include "server/flow/fair_queue.h"

namespace authurl {

std::optional<FairQueue::Item> FairQueue::Push(Item item) {
  std::optional<Item> left;
  if (size_ >= capacity_) {
    const auto found = waiting_.find(item.org_id);
    const size_t own = found == waiting_.end() ? 0 : found->second.size();
    const auto [most, org_id] = *by_size_.rbegin();
    if (own + 1 >= most) return item;
    std::deque<Item>& longest = waiting_.find(org_id)->second;
    left = std::move(longest.back());
    longest.pop_back();
    Resized(org_id, most, most - 1);
  }
  const std::string org_id = item.org_id;
  std::deque<Item>& own = waiting_[org_id];
  own.push_back(std::move(item));
  Resized(org_id, own.size() - 1, own.size());
  return left;
}

FairQueue::Item FairQueue::Pop() {
  auto served = waiting_.upper_bound(last_served_);
  if (served == waiting_.end()) served = waiting_.begin();
  last_served_ = served->first;
  Item item = std::move(served->second.front());
  served->second.pop_front();
  const size_t left = served->second.size();
  if (left == 0) waiting_.erase(served);
  Resized(last_served_, left + 1, left);
  return item;
}

void FairQueue::Resized(const std::string& org_id, size_t before, size_t after) {
  if (before != 0) by_size_.erase({before, org_id});
  if (after != 0) by_size_.emplace(after, org_id);
  size_ = size_ + after - before;
}

}  // namespace authurl
