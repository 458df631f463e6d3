// social_network_store.h: the OAuth apps ("configurations") of organisations, with their secrets.
// A part of the credential store (storage/credential_store.h), whose words on sealing, memory,
// contexts and errors hold here.
//
// Of one network and instance an organisation may have several, each with a name, of which the one
// of the lowest rank is the default.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "authurl/record/v1/record.pb.h"
#include "core/call_context.h"
#include "storage/account_store.h"
#include "storage/backend.h"
#include "storage/quota.h"
#include "storage/record_locks.h"
#include "storage/record_store.h"

namespace authurl {

// Safe to use from many threads at once.
class SocialNetworkStore final {
 public:
  struct Updated {
    record::v1::SocialNetworkSettings settings;
    bool is_default = false;
  };
  // Is shown the secret in use, to be read during the call only.
  using Change = std::function<absl::Status(record::v1::SocialNetworkSettings& settings,
                                            absl::string_view client_secret)>;

  // What becomes of the grants and accounts of a configuration that is deleted.
  enum class Accounts {
    kRefuse,  // Where there are any it is not deleted.
    // They are removed. It is not deleted before their grants are revoked (GrantStore::ListDue):
    // until then ABORTED REVOCATION_IN_PROGRESS.
    kDisconnect,
    kKeep,  // They stay, as long as their tokens are good.
  };

  // Both must outlive this. `max_per_organization` 0: any number.
  SocialNetworkStore(RecordStore& records, AccountStore& accounts, int64_t max_per_organization);

  // `settings` comes with id, organisation, times and version 1 filled in; its rank is the store's.
  // It becomes the default one of its network and instance where it is the first, or `make_default`
  // is set. Returns whether it did.
  absl::StatusOr<bool> Create(const CallContext& context,
                              record::v1::SocialNetworkSettings settings,
                              absl::string_view client_secret, bool make_default = false);
  absl::StatusOr<record::v1::SocialNetworkSettings> Get(const CallContext& context,
                                                        absl::string_view org_id,
                                                        absl::string_view id);
  // The request path. `configuration` is the name or the id of one of the organisation's for this
  // network and instance; empty: the default one. NETWORK_NOT_CONFIGURED when there is none. Never
  // reads the secret.
  FoundRecord<record::v1::SocialNetworkSettings> Find(const CallContext& context,
                                                      absl::string_view org_id,
                                                      absl::string_view network,
                                                      absl::string_view instance,
                                                      absl::string_view configuration);
  RecordInMemory<record::v1::SocialNetworkSettings> FindInMemory(absl::string_view org_id,
                                                                 absl::string_view network,
                                                                 absl::string_view instance,
                                                                 absl::string_view configuration);
  // The id of the default one of a network and instance; empty when there is none.
  absl::StatusOr<std::string> GetDefaultId(const CallContext& context, absl::string_view org_id,
                                           absl::string_view network, absl::string_view instance);
  absl::StatusOr<Listed<record::v1::SocialNetworkSettings>> List(const CallContext& context,
                                                                 absl::string_view org_id,
                                                                 absl::string_view after,
                                                                 PageLimit limit);
  // The networks that the organisation has a configuration of, each once. Opens none: takes time
  // for the number of networks.
  absl::StatusOr<std::vector<std::string>> ListNetworks(const CallContext& context,
                                                        absl::string_view org_id);
  // Applies `change` to the current settings and stores the result as the next version, atomically:
  // `change` may be called again when another update came between, and must not call the store. An
  // error that `change` returns is passed on and nothing stored. Identity, times, version and rank
  // are the store's: what `change` does to them is lost. Where it changes nothing, there is no new
  // secret and the default stays, nothing is written and the version stays as well. A new secret
  // replaces the old one; replaced ones are kept for kMaxStateLifetime (core/flow/auth_state.h),
  // then dropped with the next update. CONFIGURATION_IN_USE where the client key or the variant
  // would change while there are grants, or flows under way: their tokens are that client's.
  absl::StatusOr<Updated> Update(const CallContext& context, absl::string_view org_id,
                                 absl::string_view id, absl::Time now, const Change& change,
                                 std::optional<absl::string_view> new_client_secret,
                                 bool make_default = false);
  // CONFIGURATION_IN_USE where there are grants and `accounts` does not say what becomes of them.
  absl::Status Delete(const CallContext& context, absl::string_view org_id, absl::string_view id,
                      Accounts accounts = Accounts::kRefuse, absl::Time now = absl::Now());
  // For completing a flow, and for tests: the secret that belongs to a version of the
  // configuration. NOT_FOUND CLIENT_SECRET_NOT_FOUND when there is no such version, or its secret
  // was dropped. The caller wipes it.
  absl::StatusOr<std::string> GetClientSecret(const CallContext& context, absl::string_view org_id,
                                              absl::string_view id, uint64_t version);

 private:
  // What Find finds in the database.
  absl::StatusOr<Stored<record::v1::SocialNetworkSettings>> Load(const CallContext& context,
                                                                 absl::string_view org_id,
                                                                 absl::string_view network,
                                                                 absl::string_view instance,
                                                                 absl::string_view configuration);
  // The row of a configuration, checked as RecordStore::Fetch() and CheckOwner() do.
  // SOCIAL_NETWORK_NOT_FOUND.
  absl::StatusOr<Row> Fetch(const CallContext& context, absl::string_view org_id,
                            absl::string_view id, size_t parts);
  // The rank that makes a new configuration the first or the last one of its network.
  absl::StatusOr<int64_t> RankOfNew(const CallContext& context,
                                    const record::v1::SocialNetworkSettings& settings,
                                    bool make_default);

  // Deletes it where it has no grants.
  absl::Status DeleteUnused(const CallContext& context, absl::string_view org_id,
                            absl::string_view id, bool keeps_accounts);

  RecordStore& records_;
  AccountStore& accounts_;
  Quota quota_;
  // To be held from reading a record until it is written back, so that of concurrent updates none
  // has to start over, and those of different records can share a transaction.
  RecordLocks update_locks_;
  // Of a network and instance: to be held from choosing a rank until it is written. Taken after an
  // update lock, never before.
  RecordLocks rank_locks_;
};

}  // namespace authurl
