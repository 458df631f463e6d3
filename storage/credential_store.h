// credential_store.h: the organisations, API keys, OAuth apps and OAuth states that authurl keeps.
// The only door to storage for the server.
//
// Every record is sealed whole (core/crypto/sealer.h) before the backend sees it; table,
// organisation, record id, part and version are associated data, so that a value copied to another
// row, rolled to another version or damaged does not open. What does not open is an INTERNAL error
// without reason (its message, for the log, names table and id), never a wrong answer. Only OAuth
// states come sealed and are handed out as they were found: core/flow/auth_state.h opens them.
//
// What every request needs is answered from a bounded cache (storage/record_cache.h) where it can
// be: GetApiKey, GetOrganization, FindSocialNetwork. It never holds a secret. A write that
// returned, with whatever status, is seen by every call that begins later. Those named …InMemory
// answer from it alone: nothing where the database would have to be asked, and an error where it is
// known that there is no such record.
//
// All functions are safe to call from many threads at once. All but Find…InMemory and Snapshot may
// block on the disk: never call one on a gRPC thread. Errors that are meant for callers carry
// reasons (core/errors.h): ORGANIZATION_EXISTS, ORGANIZATION_NOT_FOUND, API_KEY_EXISTS,
// API_KEY_NOT_FOUND, SOCIAL_NETWORK_EXISTS, SOCIAL_NETWORK_NOT_FOUND, NETWORK_NOT_CONFIGURED,
// TOO_MANY_CONFIGURATIONS, CLIENT_SECRET_NOT_FOUND, AUTH_STATE_NOT_FOUND, STORAGE_UNAVAILABLE.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "authurl/record/v1/record.pb.h"
#include "core/crypto/crypto.h"
#include "core/crypto/sealer.h"
#include "core/flow/auth_state.h"
#include "storage/backend.h"
#include "storage/record_cache.h"
#include "storage/record_sealer.h"
#include "storage/resealer.h"

namespace authurl {

// What is known from memory alone; nothing where the database would have to be asked.
template <typename Record>
using InMemory = std::optional<absl::StatusOr<std::shared_ptr<const Record>>>;

class CredentialStore final {
 public:
  static constexpr size_t kDefaultCacheBytes = size_t{64} << 20;

  struct UpdatedSocialNetwork {
    record::v1::SocialNetworkSettings settings;
    bool is_default = false;
  };

  struct Stats {
    RecordCache::Stats cache;
    BackendStats backend;
    uint64_t purged_auth_states = 0;  // Since the store was opened.
  };

  // Takes the backend and checks that the sealer's key ring is the one the database was made with.
  // FAILED_PRECONDITION with a sentence for the operator if it is not. `sealer` must outlive the
  // store; `random` is called from many threads at once. The cache never takes more than
  // `cache_bytes`; with 0 there is none.
  static absl::StatusOr<std::unique_ptr<CredentialStore>> Open(
      std::unique_ptr<Backend> backend, const Sealer& sealer, RandomSource random,
      size_t cache_bytes = kDefaultCacheBytes);

  absl::Status CreateOrganization(const record::v1::Organization& organization);
  absl::StatusOr<std::shared_ptr<const record::v1::Organization>> GetOrganization(
      absl::string_view org_id);
  InMemory<record::v1::Organization> FindOrganizationInMemory(absl::string_view org_id);
  // Lists begin after the id `after` (empty: at the start) and hold at most `limit` records.
  absl::StatusOr<std::vector<record::v1::Organization>> ListOrganizations(absl::string_view after,
                                                                          int limit);
  // With all its keys, configurations and OAuth states. Looks through the whole cache.
  absl::Status DeleteOrganization(absl::string_view org_id);

  // ORGANIZATION_NOT_FOUND when the key names an organisation that is not there; ALREADY_EXISTS
  // API_KEY_EXISTS when the key id is taken.
  absl::Status CreateApiKey(const record::v1::ApiKey& key);
  absl::StatusOr<std::shared_ptr<const record::v1::ApiKey>> GetApiKey(absl::string_view key_id);
  InMemory<record::v1::ApiKey> FindApiKeyInMemory(absl::string_view key_id);
  absl::StatusOr<std::vector<record::v1::ApiKey>> ListApiKeys(
      std::optional<absl::string_view> org_id, absl::string_view after, int limit);
  // The key as it is then. With `org_id`, a key of another organisation is API_KEY_NOT_FOUND.
  absl::StatusOr<record::v1::ApiKey> RevokeApiKey(absl::string_view key_id,
                                                  std::optional<absl::string_view> org_id,
                                                  absl::Time now);

  // `settings` comes with id, organisation, times and version 1 filled in; its rank is the store's.
  // It becomes the default one of its network and instance where it is the first, or `make_default`
  // is set.
  // Returns whether it did.
  absl::StatusOr<bool> CreateSocialNetwork(record::v1::SocialNetworkSettings settings,
                                           absl::string_view client_secret,
                                           bool make_default = false);
  absl::StatusOr<record::v1::SocialNetworkSettings> GetSocialNetwork(absl::string_view org_id,
                                                                     absl::string_view id);
  // The request path. `configuration` is the name or the id of one of the organisation's for this
  // network and instance; empty: the default one. NETWORK_NOT_CONFIGURED when there is none. Never
  // reads the secret.
  absl::StatusOr<std::shared_ptr<const record::v1::SocialNetworkSettings>> FindSocialNetwork(
      absl::string_view org_id, absl::string_view network, absl::string_view instance,
      absl::string_view configuration);
  InMemory<record::v1::SocialNetworkSettings> FindSocialNetworkInMemory(
      absl::string_view org_id, absl::string_view network, absl::string_view instance,
      absl::string_view configuration);
  // The id of the default one of a network and instance; empty when there is none.
  absl::StatusOr<std::string> GetDefaultSocialNetworkId(absl::string_view org_id,
                                                        absl::string_view network,
                                                        absl::string_view instance);
  absl::StatusOr<std::vector<record::v1::SocialNetworkSettings>> ListSocialNetworks(
      absl::string_view org_id, absl::string_view after, int limit);
  // Applies `change` to the current settings and stores the result as the next version, atomically:
  // `change` may be called again when another update came between, and must not call the store. An
  // error that `change` returns is passed on and nothing stored. Identity, times, version and rank
  // are the store's: what `change` does to them is lost. A new secret replaces the old one;
  // replaced ones are kept for kMaxStateLifetime (core/flow/auth_state.h), then dropped with the
  // next update.
  absl::StatusOr<UpdatedSocialNetwork> UpdateSocialNetwork(
      absl::string_view org_id, absl::string_view id, absl::Time now,
      const std::function<absl::Status(record::v1::SocialNetworkSettings&)>& change,
      std::optional<absl::string_view> new_client_secret, bool make_default = false);
  absl::Status DeleteSocialNetwork(absl::string_view org_id, absl::string_view id);
  // For completing a flow, and for tests: the secret that belongs to a version of the
  // configuration. NOT_FOUND CLIENT_SECRET_NOT_FOUND when there is no such version, or its secret
  // was dropped. The caller wipes it.
  absl::StatusOr<std::string> GetClientSecret(absl::string_view org_id, absl::string_view id,
                                              uint64_t version);

  // Keeps a state that its network can't carry. ORGANIZATION_NOT_FOUND when its organisation is
  // gone. Only a digest of the reference is written.
  absl::Status PutAuthState(const StoredAuthState& state);
  // The sealed bytes kept under a reference, which may have expired. NOT_FOUND AUTH_STATE_NOT_FOUND
  // when there are none.
  absl::StatusOr<std::string> GetAuthState(absl::string_view reference);
  // Removes at most `limit` states that expired before `now`, in one small transaction. Returns how
  // many it did; fewer than `limit` once none is left.
  absl::StatusOr<int> PurgeAuthStates(absl::Time now, int limit);

  // Seals at most `batch` of the records that are under another key than the ring's first anew,
  // each in a small transaction of its own: however many there are, a call is short. The database
  // finds them by the key they are under, so it does not matter what else happens between two
  // calls: deletions, errors, the end of the process. `done` once none is left: then the ring's
  // other keys may be dropped (OAuth states are not sealed anew: let them expire first); Open()
  // refuses a ring that lacks a key which may still be needed. Records that do not open are passed
  // over and reported as INTERNAL when all others are done; the next call begins anew, with those.
  absl::StatusOr<ResealStep> ResealNext(int batch);

  // OK when the database can be read and written. Cheap.
  absl::Status Probe();
  // OK when it can be read: what only reads goes on while a disk is full. Cheap.
  absl::Status ProbeReads();

  // Never waits for the database.
  Stats Snapshot() const;

 private:
  CredentialStore(std::unique_ptr<Backend> backend, const Sealer& sealer, RandomSource random,
                  size_t cache_bytes);

  // What the cache needs when it has not got it; null where there is none.
  absl::StatusOr<std::shared_ptr<const record::v1::ApiKey>> LoadApiKey(absl::string_view key_id);
  absl::StatusOr<std::shared_ptr<const record::v1::Organization>> LoadOrganization(
      absl::string_view org_id);
  absl::StatusOr<std::shared_ptr<const record::v1::SocialNetworkSettings>> LoadSocialNetwork(
      absl::string_view org_id, absl::string_view network, absl::string_view instance,
      absl::string_view configuration);
  absl::StatusOr<std::shared_ptr<const record::v1::SocialNetworkSettings>> LoadSocialNetworkById(
      absl::string_view org_id, absl::string_view id);
  absl::StatusOr<int64_t> RankOfNew(const record::v1::SocialNetworkSettings& settings,
                                    bool make_default);
  // One of many, the same for the same network and instance: to be held from choosing a rank until
  // it is written. Taken after an UpdateLock(), never before.
  std::mutex& RankLock(absl::string_view org_id, absl::string_view network,
                       absl::string_view instance);
  // Whatever requests may have found the configuration by.
  void Invalidate(const SocialNetworkRow& row);

  // One of many, the same for the same record. To be held from reading a record until it is written
  // back, so that of concurrent updates none has to start over, and those of different records can
  // share a transaction.
  std::mutex& UpdateLock(absl::string_view scope, absl::string_view id);

  const std::unique_ptr<Backend> backend_;
  const RandomSource random_;
  const RecordSealer records_;
  Resealer resealer_;
  RecordCache cache_;
  std::array<std::mutex, 256> update_locks_;
  std::array<std::mutex, 1024> rank_locks_;
  std::atomic<uint64_t> purged_auth_states_ = 0;
};

}  // namespace authurl
