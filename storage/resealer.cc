#include "storage/resealer.h"

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

#include "storage/key_ring_check.h"

namespace authurl {
namespace {

constexpr int kPage = 100;

}  // namespace

absl::StatusOr<ResealStep> Resealer::Some(int batch) {
  const std::lock_guard lock(mutex_);
  if (!done_) {
    const absl::StatusOr<bool> done = OnlyFirstKeyInUse(backend_, sealer_);
    if (!done.ok()) return done.status();
    done_ = *done;
  }
  if (*done_) return ResealStep{.done = true};
  Call call{.budget = std::max(batch, 1)};
  while (call.budget > 0 && stage_ != Stage::kEnd) {
    if (const absl::Status status = NextPage(call); !status.ok()) return status;
  }
  if (stage_ == Stage::kEnd) {
    if (const absl::Status status = EndPass(); !status.ok()) return status;
  }
  return ResealStep{.resealed = call.resealed, .done = *done_};
}

absl::Status Resealer::NextPage(Call& call) {
  switch (stage_) {
    case Stage::kOrganizations:
      return Organizations(call);
    case Stage::kApiKeys:
      return ApiKeys(call);
    case Stage::kSocialNetworks:
      return SocialNetworks(call);
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

absl::Status Resealer::Organizations(Call& call) {
  const int limit = std::min(call.budget, kPage);
  const auto page = backend_.ListOrganizations(after_, limit);
  if (!page.ok()) return page.status();
  for (const OrganizationRow& row : *page) {
    if (!records_.IsUnderFirstKey(row.sealed)) {
      if (const absl::Status status = Settle(Reseal(row), call); !status.ok()) return status;
    }
    after_ = row.org_id;
    --call.budget;
  }
  if (std::ssize(*page) == limit) return absl::OkStatus();
  stage_ = Stage::kApiKeys;
  after_.clear();
  return absl::OkStatus();
}

absl::Status Resealer::ApiKeys(Call& call) {
  const int limit = std::min(call.budget, kPage);
  const auto page = backend_.ListApiKeys(std::nullopt, after_, limit);
  if (!page.ok()) return page.status();
  for (const ApiKeyRow& row : *page) {
    if (!records_.IsUnderFirstKey(row.sealed)) {
      if (const absl::Status status = Settle(Reseal(row), call); !status.ok()) return status;
    }
    after_ = row.key_id;
    --call.budget;
  }
  if (std::ssize(*page) == limit) return absl::OkStatus();
  stage_ = Stage::kSocialNetworks;
  after_.clear();
  return absl::OkStatus();
}

absl::Status Resealer::SocialNetworks(Call& call) {
  const int limit = std::min(call.budget, kPage);
  const auto page = backend_.ListOrganizations(after_, limit);
  if (!page.ok()) return page.status();
  for (const OrganizationRow& organization : *page) {
    if (call.budget == 0) return absl::OkStatus();
    const absl::StatusOr<bool> at_end = SocialNetworksOf(organization.org_id, call);
    if (!at_end.ok()) return at_end.status();
    if (!*at_end) return absl::OkStatus();
    after_ = organization.org_id;
    after_network_.clear();
    // An organisation without any is a row to look at, too.
    --call.budget;
  }
  if (std::ssize(*page) == limit) return absl::OkStatus();
  stage_ = Stage::kEnd;
  after_.clear();
  return absl::OkStatus();
}

absl::StatusOr<bool> Resealer::SocialNetworksOf(const std::string& org_id, Call& call) {
  while (call.budget > 0) {
    const int limit = std::min(call.budget, kPage);
    const auto page = backend_.ListSocialNetworks(org_id, after_network_, limit);
    if (!page.ok()) return page.status();
    for (const SocialNetworkRow& row : *page) {
      // Both parts are always sealed together.
      if (!records_.IsUnderFirstKey(row.settings)) {
        if (const absl::Status status = Settle(Reseal(row), call); !status.ok()) return status;
      }
      after_network_ = row.id;
      --call.budget;
    }
    if (std::ssize(*page) < limit) return true;
  }
  return false;
}

absl::Status Resealer::Settle(absl::Status status, Call& call) {
  if (status.ok()) ++call.resealed;
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
