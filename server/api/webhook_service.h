// webhook_service.h: the handlers of authurl.v1.WebhookService.
#pragma once

#include <vector>

#include "absl/status/status.h"
#include "authurl/v1/webhook_service.pb.h"
#include "core/crypto/crypto.h"
#include "server/flow/deliver_events.h"
#include "server/flow/webhook_delivery.h"
#include "server/serving/method.h"
#include "server/system/clock.h"
#include "server/system/thread_pool.h"
#include "storage/credential_store.h"

namespace authurl {

// Safe to use from many threads at once. Everything it refers to must outlive it.
class WebhookService final {
 public:
  // `pool`: its threads wait for the database on the way of a test.
  WebhookService(CredentialStore& store, EventDeliverer& deliverer, ThreadPool& pool, Clock clock,
                 RandomSource random, ReceiverRules rules);

  absl::Status CreateWebhook(const Caller& caller, const v1::CreateWebhookRequest& request,
                             v1::CreateWebhookResponse& response) const;
  absl::Status GetWebhook(const Caller& caller, const v1::GetWebhookRequest& request,
                          v1::GetWebhookResponse& response) const;
  absl::Status ListWebhooks(const Caller& caller, const v1::ListWebhooksRequest& request,
                            v1::ListWebhooksResponse& response) const;
  absl::Status UpdateWebhook(const Caller& caller, const v1::UpdateWebhookRequest& request,
                             v1::UpdateWebhookResponse& response) const;
  absl::Status DeleteWebhook(const Caller& caller, const v1::DeleteWebhookRequest& request,
                             v1::DeleteWebhookResponse& response) const;
  absl::Status RotateWebhookSecret(const Caller& caller,
                                   const v1::RotateWebhookSecretRequest& request,
                                   v1::RotateWebhookSecretResponse& response) const;
  void TestWebhook(const Caller& caller, const v1::TestWebhookRequest& request,
                   ResponseCompletion<v1::TestWebhookResponse> completion) const;
  absl::Status ReplayEvents(const Caller& caller, const v1::ReplayEventsRequest& request,
                            v1::ReplayEventsResponse& response) const;

  std::vector<Method> Methods() const;

 private:
  CredentialStore& store_;
  EventDeliverer& deliverer_;
  ThreadPool& pool_;
  const Clock clock_;
  const RandomSource random_;
  const ReceiverRules rules_;
};

}  // namespace authurl
