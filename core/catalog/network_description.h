// network_description.h: a network of the catalog as callers are shown it.
#pragma once

#include <string>

#include "authurl/v1/auth_url_service.pb.h"
#include "core/catalog/network_catalog.h"

namespace authurl {

// All but `configured`.
v1::Network DescribeNetwork(const NetworkCatalog& catalog, const catalog::v1::Network& network);

// What the network takes as redirect URI, on top of core/uri.h's grammar: in one sentence without a
// final stop, and rule by rule.
v1::RedirectUriRules DescribeRedirectUriRules(const catalog::v1::Network& network);

}  // namespace authurl
