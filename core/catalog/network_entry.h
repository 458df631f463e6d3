// network_entry.h: one entry of the catalog: its defaults, its variants, and whether it is sound.
#pragma once

#include <cstddef>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "authurl/catalog/v1/network.pb.h"

namespace authurl {

// Every network that takes a state must carry at least a reference to a stored one
// (core/flow/auth_state.h): 160 random bits in hexadecimal.
inline constexpr size_t kStateReferenceChars = 40;

// The entry with the defaults that the schema names. InvalidArgumentError naming every faulty field
// and the reason: "authorization_endpoint: must begin with https://; status: …".
absl::StatusOr<catalog::v1::Network> CompleteEntry(catalog::v1::Network written);

// The variant as an entry of its own, under the network's id and the variant's display name. Errors
// likewise, each naming the variant.
absl::StatusOr<catalog::v1::Network> CompleteVariant(const catalog::v1::Network& written,
                                                     const catalog::v1::Variant& variant);

// Whether there is an authorization URL to hand out.
bool HasAuthUrl(const catalog::v1::Network& network);

}  // namespace authurl
