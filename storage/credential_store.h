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
// returned, with whatever status, is seen by every call that begins later.
//
// Deleting an organisation marks it: from then on it is gone for every caller, with all that is its
// own, which is then purged in small steps (PurgeOrganizations). Every row carries the generation
// of its organisation, a random number, so that what is left of one never meets another that is
// made later under the same id.
//
// Lists give what opens and name what does not: one damaged record spoils nothing else.
//
// All functions are safe to call from many threads at once. They may block on the disk, but for
// those named InMemory, until the context ends: then they return CANCELLED or DEADLINE_EXCEEDED,
// and what has not begun is not begun. Errors that are meant for callers carry reasons
// (core/errors.h): ORGANIZATION_EXISTS, ORGANIZATION_NOT_FOUND, ORGANIZATION_BEING_DELETED,
// API_KEY_EXISTS, API_KEY_NOT_FOUND, SOCIAL_NETWORK_EXISTS, SOCIAL_NETWORK_NOT_FOUND,
// NETWORK_NOT_CONFIGURED, TOO_MANY_CONFIGURATIONS, TOO_MANY_API_KEYS, CLIENT_SECRET_NOT_FOUND,
// AUTH_STATE_NOT_FOUND, STORAGE_UNAVAILABLE.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "authurl/record/v1/record.pb.h"
#include "core/call_context.h"
#include "core/crypto/crypto.h"
#include "core/crypto/sealer.h"
#include "core/flow/auth_state.h"
#include "storage/backend.h"
#include "storage/quota.h"
#include "storage/record_locks.h"
#include "storage/record_store.h"
#include "storage/resealer.h"
#include "storage/rollback_check.h"

namespace authurl {

// How many an organisation may have. 0: any number.
struct Quotas {
  int64_t configurations = 0;
  int64_t api_keys = 0;  // Revoked ones among them.
};

class CredentialStore final {
 public:
  static constexpr size_t kDefaultCacheBytes = size_t{64} << 20;

  template <typename Record>
  using Found = absl::StatusOr<std::shared_ptr<const Record>>;
  // What is known from memory alone; nothing where the database would have to be asked.
  template <typename Record>
  using InMemory = std::optional<Found<Record>>;

  struct UpdatedSocialNetwork {
    record::v1::SocialNetworkSettings settings;
    bool is_default = false;
  };

  struct Stats {
    RecordCache::Stats cache;
    BackendStats backend;
    // Since the store was opened.
    uint64_t purged_auth_states = 0;
    uint64_t purged_records = 0;  // Of deleted organisations.
  };

  // Takes the backend and checks that the sealer's key ring is the one the database was made with.
  // FAILED_PRECONDITION with a sentence for the operator if it is not. `sealer` must outlive the
  // store; `random` is called from many threads at once. The cache never takes more than
  // `cache_bytes`; with 0 there is none.
  static absl::StatusOr<std::unique_ptr<CredentialStore>> Open(
      std::unique_ptr<Backend> backend, const Sealer& sealer, RandomSource random,
      size_t cache_bytes = kDefaultCacheBytes, Quotas quotas = {});

  // ORGANIZATION_BEING_DELETED while what one of the same id left behind is not purged.
  absl::Status CreateOrganization(const CallContext& context,
                                  const record::v1::Organization& organization);
  Found<record::v1::Organization> GetOrganization(const CallContext& context,
                                                  absl::string_view org_id);
  // Changes the organisation by `change`, which may be called more than once; an error of its ends
  // the update. The id and the times stay. Returns what is stored now.
  absl::StatusOr<record::v1::Organization> UpdateOrganization(
      const CallContext& context, absl::string_view org_id,
      const std::function<absl::Status(record::v1::Organization&)>& change);
  // Allocates nothing. Likewise below.
  InMemory<record::v1::Organization> FindOrganizationInMemory(absl::string_view org_id);
  // Lists begin after the id `after` (empty: at the start). Those that are being deleted are left
  // out, so that a page may have few records, or none, and not be the last.
  absl::StatusOr<Listed<record::v1::Organization>> ListOrganizations(const CallContext& context,
                                                                     absl::string_view after,
                                                                     PageLimit limit);
  absl::Status DeleteOrganization(const CallContext& context, absl::string_view org_id,
                                  absl::Time now);
  // Records that one step of a purge removes: few, so that no call has to wait long for its own
  // write.
  static constexpr int kPurgeStep = 500;
  // Removes at most about `limit` records of deleted organisations, in small transactions; with the
  // last record of one the organisation itself. Returns how many it removed: 0 once none is left,
  // or where others were faster. An organisation whose record does not open stays.
  absl::StatusOr<int> PurgeOrganizations(const CallContext& context, int limit);
  // The same for one organisation. Nothing where it was not deleted.
  absl::StatusOr<int> PurgeOrganization(const CallContext& context, absl::string_view org_id,
                                        int limit);

  // ORGANIZATION_NOT_FOUND when the key names an organisation that is not there; ALREADY_EXISTS
  // API_KEY_EXISTS when the key id is taken.
  absl::Status CreateApiKey(const CallContext& context, const record::v1::ApiKey& key);
  Found<record::v1::ApiKey> GetApiKey(const CallContext& context, absl::string_view key_id);
  InMemory<record::v1::ApiKey> FindApiKeyInMemory(absl::string_view key_id);
  // Those of an organisation (empty: of none), or all.
  absl::StatusOr<Listed<record::v1::ApiKey>> ListApiKeys(const CallContext& context,
                                                         std::optional<absl::string_view> org_id,
                                                         absl::string_view after, PageLimit limit);
  // Whether there is any, readable or not.
  absl::StatusOr<bool> HasApiKeys(const CallContext& context);
  // The key as it is then; of one that does not open nothing is left but its ids. With `org_id`, a
  // key of another organisation is API_KEY_NOT_FOUND.
  absl::StatusOr<record::v1::ApiKey> RevokeApiKey(const CallContext& context,
                                                  absl::string_view key_id,
                                                  std::optional<absl::string_view> org_id,
                                                  absl::Time now);

  // `settings` comes with id, organisation, times and version 1 filled in; its rank is the store's.
  // It becomes the default one of its network and instance where it is the first, or `make_default`
  // is set.
  // Returns whether it did.
  absl::StatusOr<bool> CreateSocialNetwork(const CallContext& context,
                                           record::v1::SocialNetworkSettings settings,
                                           absl::string_view client_secret,
                                           bool make_default = false);
  absl::StatusOr<record::v1::SocialNetworkSettings> GetSocialNetwork(const CallContext& context,
                                                                     absl::string_view org_id,
                                                                     absl::string_view id);
  // The request path. `configuration` is the name or the id of one of the organisation's for this
  // network and instance; empty: the default one. NETWORK_NOT_CONFIGURED when there is none. Never
  // reads the secret.
  Found<record::v1::SocialNetworkSettings> FindSocialNetwork(const CallContext& context,
                                                             absl::string_view org_id,
                                                             absl::string_view network,
                                                             absl::string_view instance,
                                                             absl::string_view configuration);
  InMemory<record::v1::SocialNetworkSettings> FindSocialNetworkInMemory(
      absl::string_view org_id, absl::string_view network, absl::string_view instance,
      absl::string_view configuration);
  // The id of the default one of a network and instance; empty when there is none.
  absl::StatusOr<std::string> GetDefaultSocialNetworkId(const CallContext& context,
                                                        absl::string_view org_id,
                                                        absl::string_view network,
                                                        absl::string_view instance);
  absl::StatusOr<Listed<record::v1::SocialNetworkSettings>> ListSocialNetworks(
      const CallContext& context, absl::string_view org_id, absl::string_view after,
      PageLimit limit);
  // The networks that the organisation has a configuration of, each once. Opens none: takes time
  // for the number of networks.
  absl::StatusOr<std::vector<std::string>> ListConfiguredNetworks(const CallContext& context,
                                                                  absl::string_view org_id);
  // Applies `change` to the current settings and stores the result as the next version, atomically:
  // `change` may be called again when another update came between, and must not call the store. An
  // error that `change` returns is passed on and nothing stored. Identity, times, version and rank
  // are the store's: what `change` does to them is lost. A new secret replaces the old one;
  // replaced ones are kept for kMaxStateLifetime (core/flow/auth_state.h), then dropped with the
  // next update.
  absl::StatusOr<UpdatedSocialNetwork> UpdateSocialNetwork(
      const CallContext& context, absl::string_view org_id, absl::string_view id, absl::Time now,
      const std::function<absl::Status(record::v1::SocialNetworkSettings&)>& change,
      std::optional<absl::string_view> new_client_secret, bool make_default = false);
  absl::Status DeleteSocialNetwork(const CallContext& context, absl::string_view org_id,
                                   absl::string_view id);
  // For completing a flow, and for tests: the secret that belongs to a version of the
  // configuration. NOT_FOUND CLIENT_SECRET_NOT_FOUND when there is no such version, or its secret
  // was dropped. The caller wipes it.
  absl::StatusOr<std::string> GetClientSecret(const CallContext& context, absl::string_view org_id,
                                              absl::string_view id, uint64_t version);

  // Keeps states that their networks can't carry, all in one transaction. REQUIRES: they are of one
  // organisation. ORGANIZATION_NOT_FOUND when it is gone. Only digests of the references are
  // written.
  absl::Status PutAuthStates(const CallContext& context, absl::Span<const StoredAuthState> states);
  // The sealed bytes kept under a reference, which may have expired. NOT_FOUND AUTH_STATE_NOT_FOUND
  // when there are none.
  absl::StatusOr<std::string> GetAuthState(const CallContext& context, absl::string_view reference);
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

  // Whether the database is an older copy of itself, as far as `file` knows; from now on it is
  // kept up to date. Errors: RollbackCheck::Start()'s, and then nothing is noticed. To be called
  // once, before the rest.
  absl::StatusOr<RollbackCheck::Found> StartRollbackCheck(const std::string& file);
  // Brings it up to date where something was written since. For one thread at a time.
  absl::Status AdvanceRollbackCheck();

  // OK when the database can be read and written. Cheap.
  absl::Status Probe();
  // OK when it can be read: what only reads goes on while a disk is full. Cheap.
  absl::Status ProbeReads();

  // Never waits for the database.
  Stats Snapshot() const;

 private:
  CredentialStore(std::unique_ptr<Backend> backend, const Sealer& sealer, RandomSource random,
                  size_t cache_bytes, Quotas quotas);

  // What FindSocialNetwork finds in the database.
  absl::StatusOr<Stored<record::v1::SocialNetworkSettings>> LoadSocialNetwork(
      const CallContext& context, absl::string_view org_id, absl::string_view network,
      absl::string_view instance, absl::string_view configuration);
  // The row of a configuration, checked as RecordStore::Fetch() and CheckOwner() do.
  // SOCIAL_NETWORK_NOT_FOUND.
  absl::StatusOr<Row> FetchSocialNetwork(const CallContext& context, absl::string_view org_id,
                                         absl::string_view id, size_t parts);
  // The rank that makes a new configuration the first or the last one of its network.
  absl::StatusOr<int64_t> RankOfNew(const CallContext& context,
                                    const record::v1::SocialNetworkSettings& settings,
                                    bool make_default);
  const RandomSource random_;
  const Sealer& sealer_;
  RecordStore records_;
  Quota configurations_;
  Quota api_keys_;
  Resealer resealer_;
  // To be held from reading a record until it is written back, so that of concurrent updates none
  // has to start over, and those of different records can share a transaction.
  RecordLocks update_locks_;
  // Of a network and instance: to be held from choosing a rank until it is written. Taken after an
  // update lock, never before.
  RecordLocks rank_locks_;
  std::unique_ptr<RollbackCheck> rollback_check_;
  uint64_t writes_checked_ = 0;
  std::atomic<uint64_t> purged_auth_states_ = 0;
  std::atomic<uint64_t> purged_records_ = 0;
};

}  // namespace authurl
