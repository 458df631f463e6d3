// forwarding_backend.h: a backend that passes everything on to another one, for tests that change
// some of its functions.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "storage/backend.h"

namespace authurl::testing {

class ForwardingBackend : public Backend {
 public:
  explicit ForwardingBackend(std::unique_ptr<Backend> backend) : backend_(std::move(backend)) {}

  absl::StatusOr<std::optional<std::string>> GetMeta(absl::string_view name) override {
    return backend_->GetMeta(name);
  }
  absl::Status PutMeta(absl::string_view name, absl::string_view value) override {
    return backend_->PutMeta(name, value);
  }
  absl::Status InsertOrganization(const OrganizationRow& row) override {
    return backend_->InsertOrganization(row);
  }
  absl::StatusOr<OrganizationRow> GetOrganization(absl::string_view org_id) override {
    return backend_->GetOrganization(org_id);
  }
  absl::StatusOr<std::vector<OrganizationRow>> ListOrganizations(absl::string_view after,
                                                                 int limit) override {
    return backend_->ListOrganizations(after, limit);
  }
  absl::Status UpdateOrganization(const OrganizationRow& row,
                                  absl::string_view expected_sealed) override {
    return backend_->UpdateOrganization(row, expected_sealed);
  }
  absl::Status DeleteOrganization(absl::string_view org_id) override {
    return backend_->DeleteOrganization(org_id);
  }
  absl::Status InsertApiKey(const ApiKeyRow& row) override { return backend_->InsertApiKey(row); }
  absl::StatusOr<ApiKeyRow> GetApiKey(absl::string_view key_id) override {
    return backend_->GetApiKey(key_id);
  }
  absl::StatusOr<std::vector<ApiKeyRow>> ListApiKeys(std::optional<absl::string_view> org_id,
                                                     absl::string_view after, int limit) override {
    return backend_->ListApiKeys(org_id, after, limit);
  }
  absl::Status UpdateApiKey(const ApiKeyRow& row, uint64_t expected_version) override {
    return backend_->UpdateApiKey(row, expected_version);
  }
  absl::StatusOr<int> InsertSocialNetwork(const SocialNetworkRow& row, Place place) override {
    return backend_->InsertSocialNetwork(row, place);
  }
  absl::StatusOr<SocialNetworkRow> GetSocialNetwork(absl::string_view org_id,
                                                    absl::string_view id) override {
    return backend_->GetSocialNetwork(org_id, id);
  }
  absl::StatusOr<SocialNetworkRow> FindSocialNetwork(
      absl::string_view org_id, absl::string_view network, absl::string_view instance,
      std::optional<absl::string_view> name) override {
    return backend_->FindSocialNetwork(org_id, network, instance, name);
  }
  absl::StatusOr<int64_t> GetHighestDefaultRank(absl::string_view org_id, absl::string_view network,
                                                absl::string_view instance) override {
    return backend_->GetHighestDefaultRank(org_id, network, instance);
  }
  absl::StatusOr<SocialNetworkRow> GetSocialNetworkSecret(absl::string_view org_id,
                                                          absl::string_view id) override {
    return backend_->GetSocialNetworkSecret(org_id, id);
  }
  absl::StatusOr<std::vector<SocialNetworkRow>> ListSocialNetworks(absl::string_view org_id,
                                                                   absl::string_view after,
                                                                   int limit) override {
    return backend_->ListSocialNetworks(org_id, after, limit);
  }
  absl::Status UpdateSocialNetwork(const SocialNetworkRow& row,
                                   uint64_t expected_version) override {
    return backend_->UpdateSocialNetwork(row, expected_version);
  }
  absl::Status DeleteSocialNetwork(absl::string_view org_id, absl::string_view id) override {
    return backend_->DeleteSocialNetwork(org_id, id);
  }
  absl::Status InsertAuthState(const AuthStateRow& row) override {
    return backend_->InsertAuthState(row);
  }
  absl::StatusOr<AuthStateRow> GetAuthState(absl::string_view digest) override {
    return backend_->GetAuthState(digest);
  }
  absl::StatusOr<int> DeleteExpiredAuthStates(int64_t before_ms, int limit) override {
    return backend_->DeleteExpiredAuthStates(before_ms, limit);
  }
  absl::StatusOr<std::vector<uint8_t>> ListKeysInUse() override {
    return backend_->ListKeysInUse();
  }
  absl::StatusOr<RowsUnderKey<OrganizationRow>> ListOrganizationsUnder(uint8_t key_id,
                                                                       absl::string_view from,
                                                                       int limit) override {
    return backend_->ListOrganizationsUnder(key_id, from, limit);
  }
  absl::StatusOr<RowsUnderKey<ApiKeyRow>> ListApiKeysUnder(uint8_t key_id, absl::string_view from,
                                                           int limit) override {
    return backend_->ListApiKeysUnder(key_id, from, limit);
  }
  absl::StatusOr<RowsUnderKey<SocialNetworkRow>> ListSocialNetworksUnder(uint8_t key_id,
                                                                         absl::string_view from,
                                                                         int limit) override {
    return backend_->ListSocialNetworksUnder(key_id, from, limit);
  }
  absl::Status Probe() override { return backend_->Probe(); }
  absl::Status ProbeReads() override { return backend_->ProbeReads(); }
  BackendStats Stats() const override { return backend_->Stats(); }

 protected:
  Backend& backend() { return *backend_; }

 private:
  const std::unique_ptr<Backend> backend_;
};

}  // namespace authurl::testing
