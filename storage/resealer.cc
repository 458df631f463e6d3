#include "storage/resealer.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "storage/key_ring_check.h"

namespace authurl {
namespace {

// Rows in memory at a time.
constexpr int kPage = 100;

}  // namespace

absl::StatusOr<ResealStep> Resealer::Next(int batch) {
  const std::lock_guard lock(mutex_);
  int budget = std::max(batch, 1);
  while (!done_ && budget > 0) {
    if (!pass_) {
      if (const absl::Status status = BeginPass(); !status.ok()) return status;
      continue;
    }
    const absl::StatusOr<int> looked_at = ResealPage(std::min(budget, kPage));
    if (!looked_at.ok()) {
      pass_.reset();
      return looked_at.status();
    }
    budget -= *looked_at;
    if (!pass_->keys.empty()) continue;
    // The next pass finds what is left, if anything is.
    const absl::Status damage = DamageOf(*std::exchange(pass_, std::nullopt));
    if (!damage.ok()) return damage;
    if (const absl::Status status = BeginPass(); !status.ok()) return status;
    break;
  }
  return ResealStep{.resealed = std::exchange(resealed_, 0),
                    .done = done_,
                    .newly_done = std::exchange(newly_done_, false)};
}

absl::StatusOr<std::vector<uint8_t>> Resealer::OtherKeysInUse() {
  absl::StatusOr<std::vector<uint8_t>> keys = backend_.ListKeysInUse();
  if (keys.ok()) std::erase(*keys, sealer_.keys().primary_id());
  return keys;
}

absl::Status Resealer::BeginPass() {
  absl::StatusOr<std::vector<uint8_t>> keys = OtherKeysInUse();
  if (!keys.ok()) return keys.status();
  if (!keys->empty()) {
    pass_ = Pass{.keys = *std::move(keys)};
    return absl::OkStatus();
  }
  // This process seals under the first key only, so it stays like that.
  const absl::StatusOr<bool> known = OnlyFirstKeyInUse(backend_, sealer_);
  if (!known.ok()) return known.status();
  if (!*known) {
    const absl::Status status = RecordOnlyFirstKeyInUse(backend_, sealer_, random_);
    if (!status.ok()) return status;
    newly_done_ = true;
  }
  done_ = true;
  return absl::OkStatus();
}

absl::StatusOr<int> Resealer::ResealPage(int limit) {
  const uint8_t key = pass_->keys.back();
  switch (pass_->table) {
    case Table::kOrganizations:
      return ResealRows(backend_.ListOrganizationsUnder(key, pass_->from, limit));
    case Table::kApiKeys:
      return ResealRows(backend_.ListApiKeysUnder(key, pass_->from, limit));
    case Table::kSocialNetworks:
      return ResealRows(backend_.ListSocialNetworksUnder(key, pass_->from, limit));
  }
  return absl::InternalError("a table that holds nothing sealed");
}

template <typename Row>
absl::StatusOr<int> Resealer::ResealRows(const absl::StatusOr<RowsUnderKey<Row>>& page) {
  if (!page.ok()) return page.status();
  for (const Row& row : page->rows) {
    absl::Status status = Reseal(row);
    // Gone, or changed by somebody else and so under the first key.
    if (absl::IsNotFound(status) || absl::IsAborted(status)) continue;
    if (absl::IsInternal(status)) {
      if (pass_->damaged++ == 0) pass_->damage = std::move(status);
      continue;
    }
    if (!status.ok()) return status;
    ++resealed_;
  }
  pass_->from = page->next;
  if (page->next.empty()) GoToNextTable();
  return static_cast<int>(page->rows.size());
}

void Resealer::GoToNextTable() {
  switch (pass_->table) {
    case Table::kOrganizations:
      pass_->table = Table::kApiKeys;
      return;
    case Table::kApiKeys:
      pass_->table = Table::kSocialNetworks;
      return;
    case Table::kSocialNetworks:
      pass_->table = Table::kOrganizations;
      pass_->keys.pop_back();
      return;
  }
}

absl::Status Resealer::DamageOf(const Pass& pass) const {
  if (pass.damaged == 0) return absl::OkStatus();
  const bool has_other_keys = sealer_.keys().size() > 1;
  return absl::InternalError(absl::StrCat(
      pass.damaged, pass.damaged == 1 ? " record does" : " records do",
      " not open and can't be sealed under key ", sealer_.keys().primary_id(),
      has_other_keys ? ": keep the other keys in the ring; for example, " : "; for example, ",
      pass.damage.message()));
}

absl::Status Resealer::Reseal(const OrganizationRow& row) {
  const auto organization = records_.Open(row);
  if (!organization.ok()) return organization.status();
  return backend_.UpdateOrganization(records_.Seal(*organization), row.sealed);
}

absl::Status Resealer::Reseal(const ApiKeyRow& row) {
  const auto key = records_.Open(row);
  if (!key.ok()) return key.status();
  return backend_.UpdateApiKey(records_.Seal(*key, row.version), row.version);
}

absl::Status Resealer::Reseal(const SocialNetworkRow& row) {
  const auto settings = records_.OpenSettings(row);
  if (!settings.ok()) return settings.status();
  const auto secrets = records_.OpenSecrets(row);
  if (!secrets.ok()) return secrets.status();
  return backend_.UpdateSocialNetwork(records_.Seal(*settings, *secrets), row.version);
}

}  // namespace authurl
