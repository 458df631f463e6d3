// event_message.h: what happened, in a sentence for people, as an event is shown. Pure.
//
// Made of what the event tells, so it is stored nowhere: events of before have it too, and a
// network that was renamed is called by its new name.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "authurl/record/v1/record.pb.h"
#include "core/catalog/network_catalog.h"

namespace authurl {

// Of the event that is made for TestWebhook.
inline constexpr absl::string_view kTestEventMessage =
    "This is a test of the webhook: nothing has happened";

// A sentence without a final stop: what happened and, where somebody has to do something, what. Any
// reason, and any network, which may have left the catalog; empty for a type that is not known.
std::string EventMessage(const NetworkCatalog& catalog, const record::v1::Event& event);

}  // namespace authurl
