// deployment.h: what a server needs on disk, with as many configurations as a benchmark wants.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace authurl::bench {

// Networks that need nothing but a client key: no instance, no variables, no stored state.
inline constexpr std::array<absl::string_view, 10> kNetworks = {
    "x",      "youtube", "instagram", "facebook", "linkedin",
    "tiktok", "threads", "pinterest", "reddit",   "vimeo"};

// Each organisation has one API key of role MINT and the first `networks_each` of kNetworks. With
// accounts it has also a key that may read tokens, and each account has a grant of its own, whose
// token is good for years.
struct DeploymentSize {
  int64_t organizations = 1;
  int networks_each = 1;
  int accounts_each = 0;  // They take turns with the networks.

  int64_t configurations() const { return organizations * networks_each; }
  friend bool operator==(const DeploymentSize&, const DeploymentSize&) = default;
};

// What the organisation of that index and its things are called. The same in every deployment.
std::string OrganizationId(uint64_t organization);
// The text of its API key. It can be foretold, so never use it for anything else.
std::string MintKey(uint64_t organization);
std::string ConfigurationId(uint64_t organization, int network);
// Of the key that may read tokens: role ORG.
std::string ReaderKey(uint64_t organization);
std::string AccountId(uint64_t organization, int account);

// A folder with a database, a key ring, and an API key of role SERVICE. A value.
class Deployment final {
 public:
  // What an earlier call has made in `folder`; or makes it, telling stderr how fast.
  // FailedPreconditionError when the disk has no room, or something else is in the folder.
  static absl::StatusOr<Deployment> Make(const std::string& folder, DeploymentSize size);

  const DeploymentSize& size() const { return size_; }
  const std::string& service_key() const { return service_key_; }
  std::string database() const;
  std::string key_ring_file() const;
  // Of the database file, for each configuration.
  double bytes_per_configuration() const;

 private:
  Deployment(std::string folder, DeploymentSize size) : folder_(std::move(folder)), size_(size) {}
  std::string FileThatMarksItDone() const;
  absl::Status Fill();
  // Reads some of it as the server will.
  absl::Status Check() const;

  std::string folder_;
  DeploymentSize size_;
  std::string service_key_;
};

}  // namespace authurl::bench
