// network_catalog.h: the social networks that authurl knows. Networks are data
// (core/catalog/networks); code never asks which one it has.
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

// Safe to read from many threads at once.
class NetworkCatalog final {
 public:
  // A catalog of one text; see Add().
  static absl::StatusOr<NetworkCatalog> Parse(absl::string_view text);

  NetworkCatalog() = default;

  // Reads networks in protobuf text format (authurl.catalog.v1.Catalog), fills in the defaults that
  // the schema names, checks every entry, and adds them. An entry whose id is there already takes
  // the place of the old one as a whole. InvalidArgumentError naming entry, field and reason if one
  // is wrong; then nothing has changed. Invalidates what Find() returned.
  absl::Status Add(absl::string_view text);

  // Whether an instance may be an IP address or a local name, such as "localhost", and an endpoint
  // of what is added from then on http to this machine. Off unless set.
  void set_allow_local_instances(bool allow) { allow_local_instances_ = allow; }
  bool allow_local_instances() const { return allow_local_instances_; }

  // Null when the id is unknown.
  const catalog::v1::Network* Find(absl::string_view id) const;
  // The variant of the network as an entry of its own, everything it does not change filled in from
  // the network; the network itself where `variant` is empty. Null when there is none.
  const catalog::v1::Network* FindVariant(absl::string_view id, absl::string_view variant) const;
  // The id of the network that is called `id`, or nearest to it in spelling, by its own id or one
  // of its aliases; empty when none is near.
  std::string Nearest(absl::string_view id) const;
  // In the catalog's order.
  const std::vector<const catalog::v1::Network*>& networks() const { return in_order_; }

 private:
  struct Entry {
    catalog::v1::Network network;
    // By id, flattened.
    std::map<std::string, catalog::v1::Network, std::less<>> variants;
  };
  absl::StatusOr<Entry> MakeEntry(const catalog::v1::Network& written) const;
  void Put(std::unique_ptr<Entry> entry);

  // unique_ptr so that addresses outlive a move of the catalog.
  std::map<std::string, std::unique_ptr<Entry>, std::less<>> by_id_;
  std::vector<const catalog::v1::Network*> in_order_;
  bool allow_local_instances_ = false;
};

}  // namespace authurl
