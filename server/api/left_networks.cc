#include "server/api/left_networks.h"

#include "absl/strings/str_cat.h"
#include "core/errors.h"
#include "core/field_rules.h"
#include "core/uri.h"
#include "server/observe/log.h"

namespace authurl {

absl::Status NetworkLeft(absl::string_view network) {
  return MakeError(
      absl::StatusCode::kFailedPrecondition, "CONFIGURATION_OUTDATED",
      absl::StrCat("The configuration of ", network,
                   " no longer fits: authurl's catalog has no such network any more; put it back "
                   "into --networks_file, or delete the configuration"));
}

bool MayBeOfLeftNetwork(const NetworkCatalog& catalog, const v1::GetAuthUrlRequest& request) {
  if (!IsNetworkId(request.network()) || catalog.Find(request.network()) != nullptr) return false;
  if (request.has_instance() && !CheckHost(request.instance()).ok()) return false;
  FieldViolations violations;
  if (request.has_configuration()) CheckConfiguration(request.configuration(), violations);
  return violations.empty();
}

absl::Status AnswerForLeftNetwork(absl::string_view network, const absl::Status& invalid,
                                  const absl::Status& found) {
  if (found.ok()) return NetworkLeft(network);
  // Where the store can't tell, neither can we.
  return absl::IsNotFound(found) ? invalid : found;
}

void LeftNetworksLog::Met(absl::string_view network) {
  {
    const std::lock_guard lock(mutex_);
    if (!met_.emplace(network).second) return;
  }
  Log(LogLevel::kWarning, "configuration_outdated",
      {{"network", network},
       {"text",
        "configurations are kept for a network that the catalog does not have: put it back into "
        "--networks_file, or have them deleted"}});
}

}  // namespace authurl
