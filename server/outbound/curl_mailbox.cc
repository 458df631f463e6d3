#include "server/outbound/curl_mailbox.h"

#include <algorithm>
#include <utility>

namespace authurl {

bool CurlMailbox::Post(std::unique_ptr<CurlTransfer>& transfer) {
  const std::lock_guard lock(mutex_);
  if (mail_.stop_at.has_value()) return false;
  mail_.transfers.push_back(std::move(transfer));
  WakeUpThread();
  return true;
}

void CurlMailbox::Post(Resolved resolved) {
  const std::lock_guard lock(mutex_);
  if (loop_ == nullptr) return;
  mail_.resolved.push_back(std::move(resolved));
  WakeUpThread();
}

void CurlMailbox::Stop(absl::Time at) {
  const std::lock_guard lock(mutex_);
  mail_.stop_at = std::min(mail_.stop_at.value_or(at), at);
  WakeUpThread();
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
  loop_ = nullptr;
}

void CurlMailbox::WakeUpThread() {
  if (loop_ != nullptr) loop_->WakeUpThread();
}

}  // namespace authurl
