#include "core/catalog/network_catalog.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "core/catalog/endpoint.h"
#include "core/catalog/network_entry.h"
#include "core/errors.h"
#include "google/protobuf/io/tokenizer.h"
#include "google/protobuf/text_format.h"

namespace authurl {
namespace {

using catalog::v1::Network;

// Variants and their changes are messages in messages; nothing is deeper.
constexpr int kMaxDepth = 16;
constexpr size_t kMaxErrorBytes = 300;
// Longer ids can't be near to any.
constexpr size_t kMaxIdBytes = 64;

// Keeps the first error; those after it are often its consequences.
struct FirstError final : google::protobuf::io::ErrorCollector {
  void AddError(int line, int column, const std::string& message) override {
    if (!text.empty()) return;
    // It quotes what it stumbled over, which may be any bytes, and many.
    std::string quoted = message.substr(0, kMaxErrorBytes);
    for (char& c : quoted) {
      if (!absl::ascii_isprint(static_cast<unsigned char>(c))) c = '?';
    }
    text = absl::StrCat("line ", line + 1, ", column ", column + 1, ": ", quoted);
  }
  std::string text;
};

absl::Status CheckNoHttp(const Network& network) {
  const std::string field = HttpEndpoint(network);
  if (field.empty()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat(field,
                   ": must begin with https://; http to this machine is taken with "
                   "--allow_local_instances"));
}

// Levenshtein's.
size_t EditDistance(absl::string_view a, absl::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = std::exchange(row[0], i);
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t changed = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({changed, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

}  // namespace

absl::StatusOr<NetworkCatalog> NetworkCatalog::Parse(absl::string_view text) {
  NetworkCatalog catalog;
  if (absl::Status status = catalog.Add(text); !status.ok()) return status;
  return catalog;
}

absl::Status NetworkCatalog::Add(absl::string_view text) {
  catalog::v1::Catalog written;
  FirstError error;
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&error);
  parser.SetRecursionLimit(kMaxDepth);
  if (!parser.ParseFromString(std::string(text), &written)) {
    return absl::InvalidArgumentError(absl::StrCat("the network catalog: ", error.text));
  }
  std::map<std::string, std::unique_ptr<Entry>> added;
  std::vector<std::string> order;
  for (const Network& network : written.networks()) {
    const std::string name = absl::StrCat("network ", Quoted(network.id()), ": ");
    absl::StatusOr<Entry> entry = MakeEntry(network);
    if (!entry.ok()) {
      return absl::InvalidArgumentError(absl::StrCat(name, entry.status().message()));
    }
    if (!added.emplace(network.id(), std::make_unique<Entry>(*std::move(entry))).second) {
      return absl::InvalidArgumentError(absl::StrCat(name, "id: must not occur twice"));
    }
    order.push_back(network.id());
  }
  for (const std::string& id : order) Put(std::move(added[id]));
  return absl::OkStatus();
}

void NetworkCatalog::Put(std::unique_ptr<Entry> entry) {
  const Network* network = &entry->network;
  std::unique_ptr<Entry>& place = by_id_[network->id()];
  if (place == nullptr) {
    in_order_.push_back(network);
  } else {
    std::replace(in_order_.begin(), in_order_.end(), static_cast<const Network*>(&place->network),
                 network);
  }
  place = std::move(entry);
}

absl::StatusOr<NetworkCatalog::Entry> NetworkCatalog::MakeEntry(const Network& written) const {
  absl::StatusOr<Network> network = CompleteEntry(written);
  if (!network.ok()) return network.status();
  if (!allow_local_instances_) {
    if (absl::Status status = CheckNoHttp(*network); !status.ok()) return status;
  }
  Entry entry = {*std::move(network), {}};
  for (const catalog::v1::Variant& variant : written.variants()) {
    absl::StatusOr<Network> completed = CompleteVariant(written, variant);
    if (!completed.ok()) return completed.status();
    if (!allow_local_instances_) {
      const absl::Status status = CheckNoHttp(*completed);
      if (!status.ok()) {
        return absl::InvalidArgumentError(
            absl::StrCat("variants ", Quoted(variant.id()), ": ", status.message()));
      }
    }
    if (!entry.variants.emplace(variant.id(), *std::move(completed)).second) {
      return absl::InvalidArgumentError(
          absl::StrCat("variants ", Quoted(variant.id()), ": id must not occur twice"));
    }
  }
  return entry;
}

const Network* NetworkCatalog::Find(absl::string_view id) const {
  const auto found = by_id_.find(id);
  return found == by_id_.end() ? nullptr : &found->second->network;
}

const Network* NetworkCatalog::FindVariant(absl::string_view id, absl::string_view variant) const {
  const auto found = by_id_.find(id);
  if (found == by_id_.end()) return nullptr;
  if (variant.empty()) return &found->second->network;
  const auto found_variant = found->second->variants.find(variant);
  return found_variant == found->second->variants.end() ? nullptr : &found_variant->second;
}

std::string NetworkCatalog::Nearest(absl::string_view id) const {
  const std::string lower = absl::AsciiStrToLower(id.substr(0, kMaxIdBytes));
  std::string nearest;
  // More than a third of it changed is another word.
  size_t nearest_distance = lower.size() / 3 + 1;
  for (const Network* network : in_order_) {
    size_t distance = EditDistance(lower, network->id());
    for (const std::string& alias : network->aliases()) {
      distance = std::min(distance, EditDistance(lower, alias));
    }
    if (distance >= nearest_distance) continue;
    nearest_distance = distance;
    nearest = network->id();
  }
  return nearest;
}

}  // namespace authurl
