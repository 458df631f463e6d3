#include "storage/social_network_store.h"

#include <google/protobuf/util/message_differencer.h>

#include <algorithm>
#include <array>
#include <string>
#include <utility>

#include "absl/hash/hash.h"
#include "core/crypto/crypto.h"
#include "core/errors.h"
#include "core/field_rules.h"
#include "storage/client_secrets.h"
#include "storage/connecting.h"
#include "storage/store_errors.h"
#include "storage/tables.h"

namespace authurl {
namespace {

using google::protobuf::util::MessageDifferencer;
using record::v1::SocialNetworkSettings;

// In place of a name: the default one of a network and instance. No name has this character.
constexpr absl::string_view kDefaultConfiguration = "*";

RecordId<Stored<SocialNetworkSettings>> ConfigurationId(absl::string_view org_id,
                                                        absl::string_view network,
                                                        absl::string_view instance,
                                                        absl::string_view configuration) {
  using Id = RecordId<Stored<SocialNetworkSettings>>;
  if (IsSocialNetworkId(configuration)) return Id(org_id, "", "", configuration);
  return Id(org_id, network, instance,
            configuration.empty() ? kDefaultConfiguration : configuration);
}

// All that requests may find a configuration by.
std::array<RecordKey, 3> KeysOf(const Row& row) {
  const std::string& network = row.text(SocialNetworkColumn::kNetwork);
  const std::string& instance = row.text(SocialNetworkColumn::kInstance);
  const std::string& name = row.text(SocialNetworkColumn::kName);
  return {ConfigurationId(row.org_id, network, instance, ""),
          ConfigurationId(row.org_id, network, instance, name),
          ConfigurationId(row.org_id, "", "", row.id)};
}

// A rank below that of the configuration that is the default now.
int64_t RankBefore(const Row& first) {
  return first.integer(SocialNetworkColumn::kDefaultRank) - 1;
}

LookupValues ByRank(absl::string_view org_id, absl::string_view network,
                    absl::string_view instance) {
  return {.lookup = SocialNetworkLookup::kByRank,
          .org_id = std::string(org_id),
          .values = {std::string(network), std::string(instance)}};
}

size_t HashOfNetwork(absl::string_view org_id, absl::string_view network,
                     absl::string_view instance) {
  return absl::HashOf(org_id, network, instance);
}

// That nobody needs the client of a configuration: there is no grant, nor a flow under way.
void ExpectUnused(absl::string_view org_id, absl::string_view id, Batch& batch) {
  const LookupValues flows = {.lookup = FlowLookup::kByUse,
                              .org_id = std::string(org_id),
                              .values = {int64_t{1}, std::string(id)}};
  batch.emplace_back(ExpectAtMost{&kGrants, GrantsOfConfiguration(org_id, id), 0});
  batch.emplace_back(ExpectAtMost{&kFlows, flows, 0});
}

// Takes back what only the store may change.
void KeepWhatIsTheStores(const SocialNetworkSettings& old, SocialNetworkSettings& settings) {
  settings.set_id(old.id());
  settings.set_org_id(old.org_id());
  settings.set_network(old.network());
  settings.set_instance(old.instance());
  settings.set_version(old.version());
  settings.set_created_at_ms(old.created_at_ms());
  settings.set_updated_at_ms(old.updated_at_ms());
  settings.set_default_rank(old.default_rank());
}

}  // namespace

SocialNetworkStore::SocialNetworkStore(RecordStore& records, AccountStore& accounts,
                                       int64_t max_per_organization)
    : records_(records), accounts_(accounts), quota_(kSocialNetworks, max_per_organization) {}

absl::StatusOr<bool> SocialNetworkStore::Create(const CallContext& context,
                                                SocialNetworkSettings settings,
                                                absl::string_view client_secret,
                                                bool make_default) {
  const std::string& org_id = settings.org_id();
  RecordLocks::Lease lock;
  if (make_default) {
    lock =
        rank_locks_.Take(context, HashOfNetwork(org_id, settings.network(), settings.instance()));
    if (lock == nullptr) return context.WhyEnded();
  }
  // Ranks follow the order of creation. Most are the first of their network, or the newest: only
  // where the clock went back must the others be looked at.
  settings.set_default_rank(settings.created_at_ms());
  const std::optional<ExpectAtMost> quota = quota_.ForMore(org_id);
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    if (attempt > 0 && lock == nullptr) {
      // Those who collided take turns, else only one of them gets on each time.
      lock =
          rank_locks_.Take(context, HashOfNetwork(org_id, settings.network(), settings.instance()));
      if (lock == nullptr) return context.WhyEnded();
    }
    if (make_default || attempt > 0) {
      const absl::StatusOr<int64_t> rank = RankOfNew(context, settings, make_default);
      if (!rank.ok()) return rank.status();
      settings.set_default_rank(*rank);
    }
    const ClientSecrets secrets(client_secret);
    const LookupValues by_rank = ByRank(org_id, settings.network(), settings.instance());
    const int64_t rank = settings.default_rank();
    const Row named = Kept<SocialNetworkSettings>::RowOf(settings);
    const absl::StatusOr<CommitResult> result = records_.CommitFor(
        context, org_id,
        [&](int64_t generation) {
          ExpectAtMost::Within none_in_its_place{.rows = 0};
          (make_default ? none_in_its_place.to : none_in_its_place.from) = rank;
          Batch batch = {
              ExpectAtMost{&kSocialNetworks, by_rank, kMaxNamesOfNetwork - 1, none_in_its_place}};
          if (quota) batch.emplace_back(*quota);
          batch.emplace_back(
              Insert{&kSocialNetworks, records_.sealer().Seal(settings, generation, secrets)});
          return batch;
        },
        KeysOf(named));
    if (!result.ok()) {
      return Explain(result.status(), absl::StatusCode::kNotFound, OrganizationNotFound(org_id));
    }
    const std::vector<CommitResult::Count>& counts = result->counts;
    if (result->status.ok()) {
      if (quota) quota_.Counted(org_id, counts[1].rows);
      return make_default || counts[0].rows == 0;
    }
    if (absl::IsAlreadyExists(result->status)) {
      return SocialNetworkExists(settings.network(), settings.instance(), settings.name());
    }
    if (!absl::IsResourceExhausted(result->status)) return result->status;
    if (counts.size() == 2) return TooManyConfigurations(org_id, quota_.limit());
    if (counts[0].rows >= kMaxNamesOfNetwork) {
      return TooManyOfNetwork(settings.network(), settings.instance(), kMaxNamesOfNetwork);
    }
  }
  return TooManyAttempts();
}

absl::StatusOr<int64_t> SocialNetworkStore::RankOfNew(const CallContext& context,
                                                      const SocialNetworkSettings& settings,
                                                      bool make_default) {
  Backend& backend = records_.backend();
  const LookupValues by_rank = ByRank(settings.org_id(), settings.network(), settings.instance());
  if (make_default) {
    const absl::StatusOr<Row> first = backend.Find(context, kSocialNetworks, by_rank, 0);
    if (first.ok()) return RankBefore(*first);
    if (!absl::IsNotFound(first.status())) return first.status();
  }
  const absl::StatusOr<int64_t> last = backend.FindHighest(context, kSocialNetworks, by_rank);
  if (absl::IsNotFound(last.status())) return settings.created_at_ms();
  if (!last.ok()) return last.status();
  return std::max(settings.created_at_ms(), *last + 1);
}

absl::StatusOr<Row> SocialNetworkStore::Fetch(const CallContext& context, absl::string_view org_id,
                                              absl::string_view id, size_t parts) {
  absl::StatusOr<Row> row = records_.Fetch(context, kSocialNetworks, org_id, id, parts);
  absl::Status status = row.status();
  if (status.ok()) status = records_.CheckOwner(context, row->org_id, row->generation);
  if (status.ok()) return row;
  return Explain(status, absl::StatusCode::kNotFound, SocialNetworkNotFound(id));
}

absl::StatusOr<SocialNetworkSettings> SocialNetworkStore::Get(const CallContext& context,
                                                              absl::string_view org_id,
                                                              absl::string_view id) {
  const absl::StatusOr<Row> row = Fetch(context, org_id, id, 1);
  if (!row.ok()) return row.status();
  return records_.sealer().Open<SocialNetworkSettings>(*row);
}

FoundRecord<SocialNetworkSettings> SocialNetworkStore::Find(const CallContext& context,
                                                            absl::string_view org_id,
                                                            absl::string_view network,
                                                            absl::string_view instance,
                                                            absl::string_view configuration) {
  const auto not_found = [&] { return NetworkNotConfigured(network, instance, configuration); };
  const auto id = ConfigurationId(org_id, network, instance, configuration);
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    const auto stored = records_.Read<SocialNetworkSettings>(
        context, id, [&] { return Load(context, org_id, network, instance, configuration); });
    if (absl::IsNotFound(stored.status())) return not_found();
    if (!stored.ok()) return stored.status();
    const auto organization = records_.GetOrganization(context, org_id);
    if (absl::IsNotFound(organization.status())) return not_found();
    if (!organization.ok()) return organization.status();
    if ((*stored)->generation != (*organization)->generation) {
      // Of an organisation that was deleted and made again.
      records_.cache().Invalidate(id);
      continue;
    }
    // By its id, it may be one of another network.
    const SocialNetworkSettings& settings = (*stored)->record;
    if (settings.network() != network || settings.instance() != instance) return not_found();
    return RecordOf(*stored);
  }
  return TooManyAttempts();
}

RecordInMemory<SocialNetworkSettings> SocialNetworkStore::FindInMemory(
    absl::string_view org_id, absl::string_view network, absl::string_view instance,
    absl::string_view configuration) {
  const auto stored =
      records_.cache().Find(ConfigurationId(org_id, network, instance, configuration));
  if (!stored) return std::nullopt;
  const auto not_found = [&] { return NetworkNotConfigured(network, instance, configuration); };
  if (*stored == nullptr) return not_found();
  if (records_.HasOwnerInMemory(org_id, (*stored)->generation) != true) return std::nullopt;
  const SocialNetworkSettings& settings = (*stored)->record;
  if (settings.network() != network || settings.instance() != instance) return not_found();
  return RecordOf(*stored);
}

absl::StatusOr<Stored<SocialNetworkSettings>> SocialNetworkStore::Load(
    const CallContext& context, absl::string_view org_id, absl::string_view network,
    absl::string_view instance, absl::string_view configuration) {
  if (IsSocialNetworkId(configuration)) {
    const absl::StatusOr<Row> row =
        records_.Fetch(context, kSocialNetworks, org_id, configuration, 1);
    if (!row.ok()) return row.status();
    return records_.Open<SocialNetworkSettings>(*row);
  }
  LookupValues key = ByRank(org_id, network, instance);
  if (!configuration.empty()) {
    key.lookup = SocialNetworkLookup::kByName;
    key.values.emplace_back(std::string(configuration));
  }
  const absl::StatusOr<Row> row = records_.backend().Find(context, kSocialNetworks, key, 1);
  if (!row.ok()) return row.status();
  const bool same = row->org_id == org_id &&
                    std::equal(key.values.begin(), key.values.end(), row->columns.begin());
  if (!same) return AnotherRow(kSocialNetworks);
  return records_.Open<SocialNetworkSettings>(*row);
}

absl::StatusOr<std::string> SocialNetworkStore::GetDefaultId(const CallContext& context,
                                                             absl::string_view org_id,
                                                             absl::string_view network,
                                                             absl::string_view instance) {
  absl::StatusOr<Row> row =
      records_.backend().Find(context, kSocialNetworks, ByRank(org_id, network, instance), 0);
  if (absl::IsNotFound(row.status())) return "";
  if (!row.ok()) return row.status();
  return std::move(row->id);
}

absl::StatusOr<Listed<SocialNetworkSettings>> SocialNetworkStore::List(const CallContext& context,
                                                                       absl::string_view org_id,
                                                                       absl::string_view after,
                                                                       PageLimit limit) {
  return records_.List<SocialNetworkSettings>(context, org_id, after, limit);
}

absl::StatusOr<std::vector<std::string>> SocialNetworkStore::ListNetworks(
    const CallContext& context, absl::string_view org_id) {
  return records_.backend().ListValues(context, kSocialNetworks, SocialNetworkLookup::kByName,
                                       org_id);
}

absl::StatusOr<SocialNetworkStore::Updated> SocialNetworkStore::Update(
    const CallContext& context, absl::string_view org_id, absl::string_view id, absl::Time now,
    const Change& change, std::optional<absl::string_view> new_client_secret, bool make_default) {
  const RecordLocks::Lease lock = update_locks_.Take(context, absl::HashOf(org_id, id));
  if (lock == nullptr) return context.WhyEnded();
  const size_t all_parts = kSocialNetworks.parts.size();
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    const absl::StatusOr<Row> row = Fetch(context, org_id, id, all_parts);
    if (!row.ok()) return row.status();
    const auto old = records_.sealer().Open<SocialNetworkSettings>(*row);
    if (!old.ok()) return old.status();
    absl::StatusOr<ClientSecrets> secrets = records_.sealer().OpenSecrets(*row);
    if (!secrets.ok()) return secrets.status();

    SocialNetworkSettings settings = *old;
    std::string secret_in_use = secrets->Find(old->version()).value_or("");
    const absl::Status applied = change(settings, secret_in_use);
    Wipe(secret_in_use);
    if (!applied.ok()) return applied;
    KeepWhatIsTheStores(*old, settings);
    const LookupValues by_rank = ByRank(org_id, old->network(), old->instance());
    RecordLocks::Lease rank_lock;
    if (make_default) {
      rank_lock = rank_locks_.Take(context, HashOfNetwork(org_id, old->network(), old->instance()));
      if (rank_lock == nullptr) return context.WhyEnded();
    }
    const absl::StatusOr<Row> first = records_.backend().Find(context, kSocialNetworks, by_rank, 0);
    if (!first.ok()) {
      return Explain(first.status(), absl::StatusCode::kNotFound, SocialNetworkNotFound(id));
    }
    const bool becomes_default = make_default && first->id != id;
    if (!becomes_default && !new_client_secret && MessageDifferencer::Equals(settings, *old)) {
      return Updated{settings, first->id == id};
    }
    settings.set_updated_at_ms(absl::ToUnixMillis(now));
    settings.set_version(old->version() + 1);
    if (becomes_default) settings.set_default_rank(RankBefore(*first));
    if (new_client_secret) secrets->Replace(*new_client_secret, old->version(), now);
    secrets->Expire(now);

    Row changed = records_.sealer().Seal(settings, row->generation, *secrets);
    const auto keys_before = KeysOf(*row);
    const Row named = Kept<SocialNetworkSettings>::RowOf(settings);
    const auto keys_after = KeysOf(named);
    std::vector<RecordKey> keys(keys_before.begin(), keys_before.end());
    keys.insert(keys.end(), keys_after.begin(), keys_after.end());
    Batch batch;
    if (becomes_default) {
      const ExpectAtMost::Within none_before{.to = settings.default_rank(), .rows = 0};
      batch.emplace_back(ExpectAtMost{&kSocialNetworks, by_rank, kMaxNamesOfNetwork, none_before});
    }
    const size_t use = batch.size();
    const bool is_another_client =
        settings.client_key() != old->client_key() || settings.variant() != old->variant();
    if (is_another_client) ExpectUnused(org_id, id, batch);
    batch.emplace_back(authurl::Update{&kSocialNetworks, std::move(changed), row->version});
    const CommitResult result = records_.Commit(context, batch, keys);
    const absl::Status& status = result.status;
    if (absl::IsResourceExhausted(status) && result.refused >= use) {
      return ConfigurationInUse(id,
                                "accounts are connected by it, or just being connected, so that "
                                "neither client_key nor variant can be changed; create another "
                                "configuration with a name");
    }
    if (status.ok()) return Updated{settings, make_default || first->id == id};
    // Another one became the default, or this was changed.
    if (absl::IsResourceExhausted(status) || absl::IsAborted(status)) continue;
    if (absl::IsAlreadyExists(status)) {
      return SocialNetworkExists(settings.network(), settings.instance(), settings.name());
    }
    return Explain(status, absl::StatusCode::kNotFound, SocialNetworkNotFound(id));
  }
  return TooManyAttempts();
}

absl::Status SocialNetworkStore::Delete(const CallContext& context, absl::string_view org_id,
                                        absl::string_view id, Accounts accounts, absl::Time now) {
  if (accounts != Accounts::kDisconnect) {
    return DeleteUnused(context, org_id, id, accounts == Accounts::kKeep);
  }
  if (const auto row = Fetch(context, org_id, id, 0); !row.ok()) return row.status();
  constexpr int kStep = 100;
  // Whoever connects an account meanwhile makes one more round of it, or finds the configuration
  // gone.
  absl::Status deleted = TooManyAttempts();
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    absl::StatusOr<AccountStore::Removed> step;
    do {
      step = accounts_.DeleteOfConfiguration(context, org_id, id, now, kStep);
      if (!step.ok()) return step.status();
    } while (!step->is_done);
    deleted = DeleteUnused(context, org_id, id, false);
    if (ReasonOf(deleted) != "CONFIGURATION_IN_USE") break;
  }
  return deleted;
}

absl::Status SocialNetworkStore::DeleteUnused(const CallContext& context, absl::string_view org_id,
                                              absl::string_view id, bool keeps_accounts) {
  // Requests find it by its network and its name, so these must be known. They stay the same under
  // the lock, or the version is another one.
  const RecordLocks::Lease lock = update_locks_.Take(context, absl::HashOf(org_id, id));
  if (lock == nullptr) return context.WhyEnded();
  for (int attempt = 0; attempt < kMaxAttempts; ++attempt) {
    const absl::StatusOr<Row> row = Fetch(context, org_id, id, 0);
    if (!row.ok()) return row.status();
    Batch batch;
    if (!keeps_accounts) {
      batch.emplace_back(ExpectAtMost{&kGrants, GrantsOfConfiguration(org_id, id), 0});
      // No other client can revoke their tokens.
      batch.emplace_back(ExpectAtMost{&kGrants, DisconnectedGrantsOf(org_id, id), 0});
    }
    batch.emplace_back(authurl::Delete{&kSocialNetworks, row->org_id, row->id, row->version});
    const CommitResult result = records_.Commit(context, batch, KeysOf(*row));
    const absl::Status& status = result.status;
    if (absl::IsAborted(status)) continue;
    if (absl::IsResourceExhausted(status)) {
      if (result.refused == 1) return RevocationInProgress(id);
      return ConfigurationInUse(id,
                                "accounts are connected by it, or wait for a choice; say in "
                                "`accounts` what shall become of them, or delete them first");
    }
    return Explain(status, absl::StatusCode::kNotFound, SocialNetworkNotFound(id));
  }
  return TooManyAttempts();
}

absl::StatusOr<std::string> SocialNetworkStore::GetClientSecret(const CallContext& context,
                                                                absl::string_view org_id,
                                                                absl::string_view id,
                                                                uint64_t version) {
  const absl::StatusOr<Row> row = Fetch(context, org_id, id, kSocialNetworks.parts.size());
  if (!row.ok()) return row.status();
  const absl::StatusOr<ClientSecrets> secrets = records_.sealer().OpenSecrets(*row);
  if (!secrets.ok()) return secrets.status();
  std::optional<std::string> secret;
  if (version >= 1 && version <= row->version) secret = secrets->Find(version);
  if (!secret) return ClientSecretNotFound(id, version);
  return *std::move(secret);
}

}  // namespace authurl
