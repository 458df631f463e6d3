// named_network.h: the network, the instance and the variant that a caller names. Each function
// adds what is wrong to `violations` and says nothing when all is well.
#pragma once

#include <optional>

#include "absl/strings/string_view.h"
#include "authurl/catalog/v1/network.pb.h"
#include "core/catalog/network_catalog.h"
#include "core/errors.h"

namespace authurl {

// `^[a-z0-9_]{1,32}$` and in the catalog; another one is answered with the nearest known. Null
// after a violation.
const catalog::v1::Network* CheckNetwork(const NetworkCatalog& catalog, absl::string_view network,
                                         FieldViolations& violations);
// A host, given if and only if the network has instances: a public host name, or any host where the
// catalog allows local instances. No port and no path.
void CheckInstance(const NetworkCatalog& catalog, const catalog::v1::Network& network,
                   std::optional<absl::string_view> instance, FieldViolations& violations);
// One of the network's variants, or unset for the network itself. Returns the variant as an entry
// of its own, the network itself when unset; null after a violation.
const catalog::v1::Network* CheckVariant(const NetworkCatalog& catalog,
                                         const catalog::v1::Network& network,
                                         std::optional<absl::string_view> variant,
                                         FieldViolations& violations);

}  // namespace authurl
