// webhook_body.h: an event as receivers of webhooks get it (authurl.v1.WebhookService).
//
// Pure; safe to call from many threads at once.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "authurl/record/v1/record.pb.h"

namespace authurl {

// {"type": …, "timestamp": …, "data": {…}}: the data has the members that are not empty, by their
// REST names. `id` and `type` are what callers know the event by: "ev_…", "account.connected";
// `message` says it in a sentence.
std::string WebhookBody(absl::string_view id, absl::string_view type, absl::string_view message,
                        const record::v1::Event& event);

}  // namespace authurl
