// completion_rules.h: what the completing half of a catalog entry
// (proto/authurl/catalog/v1/completion.proto) must look like, and what it leaves unsaid.
#pragma once

#include "absl/functional/function_ref.h"
#include "absl/strings/string_view.h"
#include "authurl/catalog/v1/network.pb.h"
#include "core/errors.h"

namespace authurl {

// Of a text of an entry, in bytes.
inline constexpr size_t kMaxTextBytes = 512;

// Writes out what the entry leaves to completion.proto's defaults, so that nobody else need know
// them: what a step takes from the exchange, the selectors of the RFCs, methods and encodings.
void FillInCompletion(catalog::v1::Network& network);

// Adds what is wrong with an entry that was filled in.
void CheckCompletion(const catalog::v1::Network& network, FieldViolations& faults);

// Every request of the entry that has a URL, with the name of its field.
void ForEachRequest(
    const catalog::v1::Network& network,
    absl::FunctionRef<void(absl::string_view field, const catalog::v1::Request& request)> visit);

}  // namespace authurl
