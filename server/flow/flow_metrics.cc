#include "server/flow/flow_metrics.h"

#include <utility>

#include "server/observe/metric_family.h"

namespace authurl {
namespace {

const char* NameOf(WayBack way) {
  switch (way) {
    case WayBack::kOwn:
      return "own";
    case WayBack::kHosted:
      return "hosted";
    case WayBack::kHostedUnbound:
      return "hosted_unbound";
  }
  return "";
}

const char* NameOf(FlowOutcome outcome) {
  switch (outcome) {
    case FlowOutcome::kConnected:
      return "connected";
    case FlowOutcome::kNeedsChoice:
      return "needs_choice";
    case FlowOutcome::kHandedOut:
      return "handed_out";
    case FlowOutcome::kFailed:
      return "failed";
  }
  return "";
}

const char* NameOf(RefreshOutcome outcome) {
  switch (outcome) {
    case RefreshOutcome::kRefreshed:
      return "refreshed";
    case RefreshOutcome::kDead:
      return "dead";
    case RefreshOutcome::kFailed:
      return "failed";
  }
  return "";
}

const char* NameOf(RefreshCause cause) {
  switch (cause) {
    case RefreshCause::kCaller:
      return "caller";
    case RefreshCause::kDue:
      return "due";
  }
  return "";
}

}  // namespace

void FlowMetrics::FlowEnded(absl::string_view network, WayBack way, FlowOutcome outcome,
                            absl::string_view reason) {
  FlowLabels labels = {std::string(network), NameOf(way), NameOf(outcome), std::string(reason)};
  const std::lock_guard<std::mutex> lock(mutex_);
  ++flows_[std::move(labels)];
}

void FlowMetrics::RefreshEnded(absl::string_view network, RefreshCause cause,
                               RefreshOutcome outcome, absl::string_view reason) {
  RefreshLabels labels = {std::string(network), NameOf(cause), NameOf(outcome),
                          std::string(reason)};
  const std::lock_guard<std::mutex> lock(mutex_);
  ++refreshes_[std::move(labels)];
}

void FlowMetrics::SetStored(const Stored& stored) {
  const std::lock_guard<std::mutex> lock(mutex_);
  stored_ = stored;
}

std::vector<prometheus::MetricFamily> FlowMetrics::Collect() const {
  using prometheus::MetricType;
  prometheus::MetricFamily flows =
      MakeFamily(MetricType::Counter, "authurl_flows_total",
                 "Responses that came back from networks, by where they came and what came of it.");
  prometheus::MetricFamily refreshes =
      MakeFamily(MetricType::Counter, "authurl_refreshes_total",
                 "Refreshes that were sent to networks, by what came of it.");
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const auto& [labels, count] : flows_) {
    const auto& [network, way, outcome, reason] = labels;
    AddValue(flows, static_cast<double>(count),
             {{"network", network}, {"callback", way}, {"outcome", outcome}, {"reason", reason}});
  }
  for (const auto& [labels, count] : refreshes_) {
    const auto& [network, cause, outcome, reason] = labels;
    AddValue(refreshes, static_cast<double>(count),
             {{"network", network}, {"cause", cause}, {"outcome", outcome}, {"reason", reason}});
  }
  std::vector<prometheus::MetricFamily> families = {std::move(flows), std::move(refreshes)};
  if (!stored_) return families;
  prometheus::MetricFamily accounts =
      MakeFamily(MetricType::Gauge, "authurl_social_accounts", "Connected accounts, by status.");
  AddValue(accounts, static_cast<double>(stored_->active_accounts), {{"status", "active"}});
  AddValue(accounts, static_cast<double>(stored_->accounts_to_reconnect),
           {{"status", "needs_reconnect"}});
  families.push_back(std::move(accounts));
  families.push_back(
      MakeGauge("authurl_refresh_oldest_overdue_seconds",
                "How long ago the refresh that is most overdue was to be made; 0 where none is.",
                absl::ToDoubleSeconds(stored_->oldest_overdue)));
  return families;
}

}  // namespace authurl
