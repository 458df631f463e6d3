#include "core/catalog/named_network.h"

#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "core/catalog/endpoint.h"
#include "core/field_rules.h"
#include "core/uri.h"

namespace authurl {
namespace {

// What to write instead, if anything is near.
std::string DidYouMean(const NetworkCatalog& catalog, absl::string_view network) {
  const std::string nearest = catalog.Nearest(network);
  return nearest.empty() ? "" : absl::StrCat("; did you mean \"", nearest, "\"?");
}

}  // namespace

const catalog::v1::Network* CheckNetwork(const NetworkCatalog& catalog, absl::string_view network,
                                         FieldViolations& violations) {
  if (network.empty()) {
    violations.Add("network", "Required");
    return nullptr;
  }
  if (!IsNetworkId(network)) {
    violations.Add("network",
                   absl::StrCat(Quoted(network),
                                " is not a valid network id: 1 to 32 characters of a-z, 0-9 and _",
                                DidYouMean(catalog, network)));
    return nullptr;
  }
  const catalog::v1::Network* found = catalog.Find(network);
  if (found == nullptr) {
    violations.Add("network", absl::StrCat(Quoted(network), " is not a known network",
                                           DidYouMean(catalog, network)));
  }
  return found;
}

void CheckInstance(const NetworkCatalog& catalog, const catalog::v1::Network& network,
                   std::optional<absl::string_view> instance, FieldViolations& violations) {
  if (!HasInstances(network)) {
    if (instance.has_value()) {
      violations.Add("instance", absl::StrCat("must be left out: ", network.display_name(),
                                              " has no instances"));
    }
    return;
  }
  if (!instance.has_value() || instance->empty()) {
    violations.Add("instance", absl::StrCat("Required: the host name of the ",
                                            network.display_name(), " instance"));
    return;
  }
  const absl::Status status =
      catalog.allow_local_instances() ? CheckHost(*instance) : CheckPublicHostName(*instance);
  if (!status.ok()) violations.Add("instance", status.message());
}

const catalog::v1::Network* CheckVariant(const NetworkCatalog& catalog,
                                         const catalog::v1::Network& network,
                                         std::optional<absl::string_view> variant,
                                         FieldViolations& violations) {
  if (!variant.has_value()) return &network;
  if (variant->empty()) {
    violations.Add("variant", "must not be empty: leave it out for none");
    return nullptr;
  }
  const catalog::v1::Network* found = catalog.FindVariant(network.id(), *variant);
  if (found != nullptr) return found;
  const std::string known = absl::StrJoin(
      network.variants(), ", ",
      [](std::string* out, const auto& each) { absl::StrAppend(out, "\"", each.id(), "\""); });
  violations.Add(
      "variant",
      absl::StrCat(Quoted(*variant), " is not a variant of ", network.display_name(), ": ",
                   known.empty() ? "it has none" : absl::StrCat("it has ", known)));
  return nullptr;
}

}  // namespace authurl
