#include "server/outbound/curl_mailbox.h"

#include <algorithm>
#include <utility>

namespace authurl {

bool CurlMailbox::Post(std::unique_ptr<CurlTransfer>& transfer) {
  const std::lock_guard lock(mutex_);
  if (mail_.stop_at.has_value()) return false;
  mail_.transfers.push_back(std::move(transfer));
  WakeUpLoop();
  return true;
}

void CurlMailbox::Post(Resolved resolved) {
  const std::lock_guard lock(mutex_);
  if (multi_ == nullptr) return;
  mail_.resolved.push_back(std::move(resolved));
  WakeUpLoop();
}

void CurlMailbox::Stop(absl::Time at) {
  const std::lock_guard lock(mutex_);
  mail_.stop_at = std::min(mail_.stop_at.value_or(at), at);
  WakeUpLoop();
}

CurlMailbox::Mail CurlMailbox::Take() {
  const std::lock_guard lock(mutex_);
  Mail taken;
  taken.stop_at = mail_.stop_at;
  std::swap(taken, mail_);
  return taken;
}

void CurlMailbox::Close() {
  const std::lock_guard lock(mutex_);
  multi_ = nullptr;
}

void CurlMailbox::WakeUpLoop() {
  if (multi_ != nullptr) curl_multi_wakeup(multi_);
}

}  // namespace authurl
