// network_catalog.h: the social networks that authurl knows. Networks are data
// (core/networks.textproto); code never asks which one it has.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "authurl/catalog/v1/network.pb.h"

namespace authurl {

// The catalog's text as compiled into the binary.
absl::string_view BuiltInNetworksText();

// Immutable; safe to use from many threads at once.
class NetworkCatalog final {
 public:
  // Reads a catalog in protobuf text format (authurl.catalog.v1.Catalog), fills in the defaults
  // that the schema names, and checks every entry. InvalidArgumentError naming entry, field and
  // reason if one is wrong.
  static absl::StatusOr<NetworkCatalog> Parse(absl::string_view text);

  // Null when there is no network of that id.
  const catalog::v1::Network* Find(absl::string_view id) const;
  // The known id that is nearest to `id` in spelling; empty when none is near.
  std::string Nearest(absl::string_view id) const;
  // In the catalog's order.
  const std::vector<const catalog::v1::Network*>& networks() const { return in_order_; }

 private:
  NetworkCatalog() = default;
  // Owns the entries; unique_ptr because in_order_ and by_id_ point into it when the catalog is
  // moved.
  std::unique_ptr<catalog::v1::Catalog> catalog_;
  std::vector<const catalog::v1::Network*> in_order_;
  std::map<std::string, const catalog::v1::Network*, std::less<>> by_id_;
};

// Whether the network has one authorization endpoint per instance ("{instance}" in its endpoint's
// host).
bool HasInstances(const catalog::v1::Network& network);

// InvalidArgumentError unless `value` is of the format of the endpoint variable `name` of this
// network.
absl::Status CheckEndpointVariable(const catalog::v1::Network& network, absl::string_view name,
                                   absl::string_view value);

}  // namespace authurl
