#include "storage/resealer.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "storage/key_ring_check.h"

namespace authurl {
namespace {

constexpr int kPage = 100;

bool IsLast(size_t rows) { return rows < static_cast<size_t>(kPage); }

}  // namespace

absl::StatusOr<int> Resealer::Some(int batch) {
  const std::lock_guard lock(mutex_);
  if (!done_) {
    const absl::StatusOr<bool> done = OnlyFirstKeyInUse(backend_, sealer_);
    if (!done.ok()) return done.status();
    done_ = *done;
  }
  if (*done_) return 0;
  batch = std::max(batch, 1);
  int budget = batch;
  while (budget > 0 && stage_ != Stage::kEnd) {
    if (const absl::Status status = Step(budget); !status.ok()) return status;
  }
  if (stage_ == Stage::kEnd) {
    if (const absl::Status status = EndPass(); !status.ok()) return status;
  }
  return batch - budget;
}

absl::Status Resealer::Step(int& budget) {
  switch (stage_) {
    case Stage::kOrganizations:
      return Organizations(budget);
    case Stage::kApiKeys:
      return ApiKeys(budget);
    case Stage::kSocialNetworks:
      return SocialNetworks(budget);
    case Stage::kEnd:
      return absl::OkStatus();
  }
  return absl::OkStatus();
}

absl::Status Resealer::EndPass() {
  if (damage_.ok()) {
    const absl::Status status = RecordOnlyFirstKeyInUse(backend_, sealer_, random_);
    if (status.ok()) done_ = true;
    return status;
  }
  stage_ = Stage::kOrganizations;
  return std::exchange(damage_, absl::OkStatus());
}

absl::Status Resealer::Organizations(int& budget) {
  const auto page = backend_.ListOrganizations(after_, kPage);
  if (!page.ok()) return page.status();
  for (const OrganizationRow& row : *page) {
    if (budget == 0) return absl::OkStatus();
    if (!records_.IsUnderFirstKey(row.sealed)) {
      if (const absl::Status status = Settle(Reseal(row), budget); !status.ok()) return status;
    }
    after_ = row.org_id;
  }
  if (!IsLast(page->size())) return absl::OkStatus();
  stage_ = Stage::kApiKeys;
  after_.clear();
  return absl::OkStatus();
}

absl::Status Resealer::ApiKeys(int& budget) {
  const auto page = backend_.ListApiKeys(std::nullopt, after_, kPage);
  if (!page.ok()) return page.status();
  for (const ApiKeyRow& row : *page) {
    if (budget == 0) return absl::OkStatus();
    if (!records_.IsUnderFirstKey(row.sealed)) {
      if (const absl::Status status = Settle(Reseal(row), budget); !status.ok()) return status;
    }
    after_ = row.key_id;
  }
  if (!IsLast(page->size())) return absl::OkStatus();
  stage_ = Stage::kSocialNetworks;
  after_.clear();
  return absl::OkStatus();
}

absl::Status Resealer::SocialNetworks(int& budget) {
  const auto page = backend_.ListOrganizations(after_, kPage);
  if (!page.ok()) return page.status();
  for (const OrganizationRow& organization : *page) {
    if (const absl::Status status = SocialNetworksOf(organization.org_id, budget); !status.ok()) {
      return status;
    }
    if (budget == 0) return absl::OkStatus();
    after_ = organization.org_id;
    after_network_.clear();
  }
  if (!IsLast(page->size())) return absl::OkStatus();
  stage_ = Stage::kEnd;
  after_.clear();
  return absl::OkStatus();
}

absl::Status Resealer::SocialNetworksOf(const std::string& org_id, int& budget) {
  while (true) {
    const auto page = backend_.ListSocialNetworks(org_id, after_network_, kPage);
    if (!page.ok()) return page.status();
    for (const SocialNetworkRow& row : *page) {
      if (budget == 0) return absl::OkStatus();
      // Both parts are always sealed together.
      if (!records_.IsUnderFirstKey(row.settings)) {
        if (const absl::Status status = Settle(Reseal(row), budget); !status.ok()) return status;
      }
      after_network_ = row.id;
    }
    if (IsLast(page->size())) return absl::OkStatus();
  }
}

absl::Status Resealer::Settle(absl::Status status, int& budget) {
  if (status.ok()) --budget;
  // Gone, or changed and so sealed anew by somebody else.
  if (absl::IsNotFound(status) || absl::IsAborted(status)) return absl::OkStatus();
  if (!absl::IsInternal(status)) return status;
  if (damage_.ok()) damage_ = std::move(status);
  return absl::OkStatus();
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

absl::Status Resealer::Reseal(const SocialNetworkRow& listed) {
  const auto row = backend_.GetSocialNetworkSecret(listed.org_id, listed.id);
  if (!row.ok()) return row.status();
  const auto settings = records_.OpenSettings(*row);
  if (!settings.ok()) return settings.status();
  const auto secrets = records_.OpenSecrets(*row);
  if (!secrets.ok()) return secrets.status();
  return backend_.UpdateSocialNetwork(records_.Seal(*settings, *secrets), row->version);
}

}  // namespace authurl
