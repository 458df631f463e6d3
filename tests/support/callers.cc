#include "tests/support/callers.h"

#include <utility>

namespace authurl::testing {

Callers::Callers(int threads, std::function<absl::Status(int)> call) : call_(std::move(call)) {
  for (int i = 0; i < threads; ++i) threads_.emplace_back([this, i] { Run(i); });
}

Callers::~Callers() { Stop(); }

Callers::Endings Callers::Stop() {
  stopping_ = true;
  for (std::thread& thread : threads_) {
    if (thread.joinable()) thread.join();
  }
  const std::lock_guard lock(mutex_);
  return endings_;
}

void Callers::Run(int thread) {
  Endings mine;
  while (!stopping_) {
    const absl::Status status = call_(thread);
    Ending& ending = mine[status.code()];
    if (ending.calls++ == 0) ending.first_message = std::string(status.message());
    ++ended_;
  }
  const std::lock_guard lock(mutex_);
  for (auto& [code, ending] : mine) {
    Ending& all = endings_[code];
    all.calls += ending.calls;
    if (all.first_message.empty()) all.first_message = std::move(ending.first_message);
  }
}

}  // namespace authurl::testing
