#include "server/flow/delivery_slots.h"

#include <tuple>

namespace authurl {

void DeliverySlots::Take(absl::string_view org_id, Granted granted) {
  std::unique_lock<std::mutex> lock(mutex_);
  shares_[std::string(org_id)].waiting.push_back({turns_++, std::move(granted)});
  Grant(lock);
}

bool DeliverySlots::TryTake(absl::string_view org_id) {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto share = shares_.find(org_id);
  const int under_way = share == shares_.end() ? 0 : share->second.under_way;
  if (all_ >= limits_.all || under_way >= limits_.per_organization) return false;
  ++all_;
  ++shares_[std::string(org_id)].under_way;
  return true;
}

void DeliverySlots::Release(absl::string_view org_id) {
  std::unique_lock<std::mutex> lock(mutex_);
  const auto share = shares_.find(org_id);
  --all_;
  --share->second.under_way;
  if (share->second.under_way == 0 && share->second.waiting.empty()) shares_.erase(share);
  Grant(lock);
}

int DeliverySlots::under_way() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return all_;
}

DeliverySlots::Granted DeliverySlots::Next() {
  if (all_ >= limits_.all) return nullptr;
  Share* next = nullptr;
  const auto rank = [](const Share& share) {
    return std::make_tuple(share.under_way, share.waiting.front().turn);
  };
  for (auto& [org_id, share] : shares_) {
    if (share.waiting.empty() || share.under_way >= limits_.per_organization) continue;
    if (next == nullptr || rank(share) < rank(*next)) next = &share;
  }
  if (next == nullptr) return nullptr;
  ++all_;
  ++next->under_way;
  Granted granted = std::move(next->waiting.front().granted);
  next->waiting.pop_front();
  return granted;
}

void DeliverySlots::Grant(std::unique_lock<std::mutex>& lock) {
  if (is_granting_) return;
  is_granting_ = true;
  while (Granted granted = Next()) {
    lock.unlock();
    granted();
    granted = nullptr;
    lock.lock();
  }
  is_granting_ = false;
}

}  // namespace authurl
