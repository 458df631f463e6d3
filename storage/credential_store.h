// credential_store.h: the organisations, API keys, OAuth apps, OAuth states, flows, grants,
// connected accounts and events that authurl keeps. The only door to storage for the server.
//
// Every record is sealed whole (core/crypto/sealer.h) before the backend sees it; table,
// organisation, record id, part and version are associated data, so that a value copied to another
// row, rolled to another version or damaged does not open. What does not open is an INTERNAL error
// without reason (its message, for the log, names table and id), never a wrong answer. Only OAuth
// states come sealed and are handed out as they were found: core/flow/auth_state.h opens them.
//
// What every request needs is answered from a bounded cache (storage/record_cache.h) where it can
// be: GetApiKey, GetOrganization, social_networks().Find, and what tokens are read of:
// accounts().ReadWithToken, grants().ReadWithTokens. It holds no secret but as it is sealed. A
// write that returned, with whatever status, is seen by every call that begins later.
//
// Deleting an organisation marks it: from then on it is gone for every caller, with all that is its
// own, which is then purged in small steps (storage/deleted_organizations.h). Every row carries the
// generation of its organisation, a random number, so that what is left of one never meets another
// that is made later under the same id.
//
// Lists give what opens and name what does not: one damaged record spoils nothing else.
//
// All functions are safe to call from many threads at once. They may block on the disk, but for
// those named InMemory, until the context ends: then they return CANCELLED or DEADLINE_EXCEEDED,
// and what has not begun is not begun. Errors that are meant for callers carry reasons
// (core/errors.h): ORGANIZATION_EXISTS, ORGANIZATION_NOT_FOUND, ORGANIZATION_BEING_DELETED,
// API_KEY_EXISTS, API_KEY_NOT_FOUND, SOCIAL_NETWORK_EXISTS, SOCIAL_NETWORK_NOT_FOUND,
// NETWORK_NOT_CONFIGURED, TOO_MANY_CONFIGURATIONS, TOO_MANY_API_KEYS, CLIENT_SECRET_NOT_FOUND,
// AUTH_STATE_NOT_FOUND, STORAGE_UNAVAILABLE; of configurations with connected accounts
// CONFIGURATION_IN_USE; those of flows, choices, grants, accounts and events in their stores'
// headers.
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
#include "storage/account_store.h"
#include "storage/backend.h"
#include "storage/connecting.h"
#include "storage/deleted_organizations.h"
#include "storage/event_store.h"
#include "storage/flow_store.h"
#include "storage/grant_store.h"
#include "storage/import_store.h"
#include "storage/pending_connection_store.h"
#include "storage/quota.h"
#include "storage/record_locks.h"
#include "storage/record_store.h"
#include "storage/resealer.h"
#include "storage/rollback_check.h"
#include "storage/social_network_store.h"
#include "storage/webhook_store.h"

namespace authurl {

// How many an organisation may have. 0: any number.
struct Quotas {
  int64_t configurations = 0;
  int64_t api_keys = 0;  // Revoked ones among them.
  int64_t accounts = 0;  // And as many imports.
  int64_t unfinished_flows = kDefaultMaxUnfinishedFlows;
  int64_t pending_connections = 0;
};

class CredentialStore final {
 public:
  static constexpr size_t kDefaultCacheBytes = size_t{64} << 20;

  template <typename Record>
  using Found = FoundRecord<Record>;
  template <typename Record>
  using InMemory = RecordInMemory<Record>;

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

  // The organisations' OAuth apps.
  SocialNetworkStore& social_networks() { return social_networks_; }

  // Spent states and what came of them; what there is to choose; what people consented to; what
  // is connected; what was taken over.
  FlowStore& flows() { return flows_; }
  PendingConnectionStore& pending_connections() { return pending_connections_; }
  GrantStore& grants() { return grants_; }
  AccountStore& accounts() { return accounts_; }
  ImportStore& imports() { return imports_; }
  // What happened to them.
  EventStore& events() { return events_; }
  // Where it is delivered to.
  WebhookStore& webhooks() { return webhooks_; }
  DeletedOrganizations& deleted_organizations() { return deleted_organizations_; }

  // The time before which no state is good, whenever it expires: InfinitePast where it was never
  // set. It never goes back.
  absl::StatusOr<absl::Time> GetStatesNotBefore();
  absl::Status SetStatesNotBefore(absl::Time time);

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
  // kept up to date. In an older copy new events get ids that were never given to others. Errors:
  // RollbackCheck::Start()'s, and then nothing is noticed. To be called once, before the rest.
  absl::StatusOr<RollbackCheck::Found> StartRollbackCheck(const std::string& file, absl::Time now);
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

  const RandomSource random_;
  const Sealer& sealer_;
  RecordStore records_;
  Quota api_keys_;
  EventStore events_;
  Connector connector_;
  FlowStore flows_;
  PendingConnectionStore pending_connections_;
  GrantStore grants_;
  AccountStore accounts_;
  ImportStore imports_;
  SocialNetworkStore social_networks_;
  WebhookStore webhooks_;
  DeletedOrganizations deleted_organizations_;
  Resealer resealer_;
  // To be held from reading a record until it is written back, so that of concurrent updates none
  // has to start over, and those of different records can share a transaction.
  RecordLocks update_locks_;
  std::unique_ptr<RollbackCheck> rollback_check_;
  uint64_t writes_checked_ = 0;
  std::atomic<uint64_t> purged_auth_states_ = 0;
};

}  // namespace authurl
