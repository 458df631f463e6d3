// left_networks.h: networks that were configured and have left the catalog since: those of a
// --networks_file that no longer has them.
#pragma once

#include <mutex>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "authurl/v1/auth_url_service.pb.h"
#include "core/catalog/network_catalog.h"

namespace authurl {

// FAILED_PRECONDITION CONFIGURATION_OUTDATED, for a configuration of such a network.
absl::Status NetworkLeft(absl::string_view network);

// Whether a request that names a network which the catalog does not have may be for such a
// configuration, so that the store is worth asking. False for texts that no configuration was ever
// made with.
bool MayBeOfLeftNetwork(const NetworkCatalog& catalog, const v1::GetAuthUrlRequest& request);

// What to answer such a request: `invalid` is what the catalog says of it, `found` whether the
// store has its configuration.
absl::Status AnswerForLeftNetwork(absl::string_view network, const absl::Status& invalid,
                                  const absl::Status& found);

// Tells the operator of each such network once. Safe to use from many threads at once.
class LeftNetworksLog final {
 public:
  void Met(absl::string_view network);

 private:
  std::mutex mutex_;
  // Only what was once in a catalog can be in here.
  std::set<std::string, std::less<>> met_;
};

}  // namespace authurl
