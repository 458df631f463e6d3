#include "server/api/organization_service.h"

#include <optional>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "core/api_key.h"
#include "core/errors.h"
#include "core/field_rules.h"
#include "server/api/paging.h"
#include "server/api/timestamps.h"

namespace authurl {
namespace {

constexpr size_t kMaxDisplayNameBytes = 256;

static_assert(static_cast<int>(v1::ROLE_ADMIN) == static_cast<int>(record::v1::ROLE_ADMIN));
static_assert(static_cast<int>(v1::ROLE_ORG) == static_cast<int>(record::v1::ROLE_ORG));
static_assert(static_cast<int>(v1::ROLE_MINT) == static_cast<int>(record::v1::ROLE_MINT));
static_assert(static_cast<int>(v1::ROLE_SERVICE) == static_cast<int>(record::v1::ROLE_SERVICE));

void Copy(const record::v1::Organization& organization, v1::Organization& shown) {
  shown.set_org_id(organization.org_id());
  shown.set_display_name(organization.display_name());
  SetTimestamp(organization.created_at_ms(), *shown.mutable_created_at());
}

void Copy(const record::v1::ApiKey& key, v1::ApiKey& shown) {
  shown.set_key_id(key.key_id());
  shown.set_org_id(key.org_id());
  shown.set_role(static_cast<v1::Role>(key.role()));
  shown.set_display_name(key.display_name());
  SetTimestamp(key.created_at_ms(), *shown.mutable_created_at());
  shown.set_read_tokens(key.read_tokens());
  if (key.revoked_at_ms() != 0) SetTimestamp(key.revoked_at_ms(), *shown.mutable_revoked_at());
}

template <typename Request>
std::optional<absl::string_view> OptionalOrgId(const Request& request) {
  if (!request.has_org_id()) return std::nullopt;
  return request.org_id();
}

absl::Status ValidateNewKey(const v1::CreateApiKeyRequest& request) {
  FieldViolations violations;
  const bool of_organization = request.role() == v1::ROLE_ORG || request.role() == v1::ROLE_MINT;
  const bool of_none = request.role() == v1::ROLE_ADMIN || request.role() == v1::ROLE_SERVICE;
  if (!of_organization && !of_none) {
    // The others belong to no organisation.
    violations.Add("role", request.has_org_id()
                               ? "Required: ROLE_ORG or ROLE_MINT"
                               : "Required: ROLE_ADMIN, ROLE_ORG, ROLE_MINT or ROLE_SERVICE");
  }
  if (of_none && request.has_org_id()) {
    violations.Add("org_id", "must be left out: a key of this role belongs to no organisation");
  }
  if (request.read_tokens() && request.role() != v1::ROLE_ORG &&
      request.role() != v1::ROLE_SERVICE) {
    violations.Add("read_tokens", "is for ROLE_ORG and ROLE_SERVICE only");
  }
  if (of_organization && !request.has_org_id()) violations.Add("org_id", "Required");
  if (of_organization && request.has_org_id()) CheckOrgId("org_id", request.org_id(), violations);
  CheckText("display_name", request.display_name(), 0, kMaxDisplayNameBytes, violations);
  return violations.ToStatus();
}

}  // namespace

OrganizationService::OrganizationService(const Sealer& sealer, CredentialStore& store, Clock clock,
                                         RandomSource random)
    : sealer_(sealer), store_(store), clock_(std::move(clock)), random_(std::move(random)) {}

absl::Status OrganizationService::CreateOrganization(
    const Caller& caller, const v1::CreateOrganizationRequest& request,
    v1::CreateOrganizationResponse& response) const {
  FieldViolations violations;
  if (request.has_org_id()) CheckOrgId("org_id", request.org_id(), violations);
  CheckText("display_name", request.display_name(), 0, kMaxDisplayNameBytes, violations);
  if (!violations.empty()) return violations.ToStatus();
  record::v1::Organization organization;
  organization.set_org_id(request.has_org_id() ? request.org_id() : NewId("org_", random_));
  organization.set_display_name(request.display_name());
  organization.set_created_at_ms(absl::ToUnixMillis(clock_()));
  if (absl::Status stored = store_.CreateOrganization(*caller.context, organization); !stored.ok())
    return stored;
  Copy(organization, *response.mutable_organization());
  return absl::OkStatus();
}

absl::Status OrganizationService::ListOrganizations(const Caller& caller,
                                                    const v1::ListOrganizationsRequest& request,
                                                    v1::ListOrganizationsResponse& response) const {
  FieldViolations violations;
  const absl::string_view list = "organizations";
  const Page page = ReadPage(sealer_, list, request.page_size(), request.page_token(), violations);
  if (!violations.empty()) return violations.ToStatus();
  const auto found = store_.ListOrganizations(*caller.context, page.after, page.limit);
  if (!found.ok()) return found.status();
  FinishPage(sealer_, random_, list, *found, response);
  for (const auto& organization : found->records) Copy(organization, *response.add_organizations());
  return absl::OkStatus();
}

absl::Status OrganizationService::GetOrganization(const Caller& caller,
                                                  const v1::GetOrganizationRequest& request,
                                                  v1::GetOrganizationResponse& response) const {
  FieldViolations violations;
  CheckOrgId("org_id", request.org_id(), violations);
  if (!violations.empty()) return violations.ToStatus();
  const auto found = store_.GetOrganization(*caller.context, request.org_id());
  if (!found.ok()) return found.status();
  Copy(**found, *response.mutable_organization());
  return absl::OkStatus();
}

absl::Status OrganizationService::UpdateOrganization(
    const Caller& caller, const v1::UpdateOrganizationRequest& request,
    v1::UpdateOrganizationResponse& response) const {
  FieldViolations violations;
  CheckOrgId("org_id", request.org_id(), violations);
  CheckText("display_name", request.display_name(), 0, kMaxDisplayNameBytes, violations);
  if (!violations.empty()) return violations.ToStatus();
  const auto updated = store_.UpdateOrganization(
      *caller.context, request.org_id(), [&](record::v1::Organization& current) {
        if (request.has_display_name()) current.set_display_name(request.display_name());
        return absl::OkStatus();
      });
  if (!updated.ok()) return updated.status();
  Copy(*updated, *response.mutable_organization());
  return absl::OkStatus();
}

absl::Status OrganizationService::DeleteOrganization(const Caller& caller,
                                                     const v1::DeleteOrganizationRequest& request,
                                                     v1::DeleteOrganizationResponse&) const {
  FieldViolations violations;
  CheckOrgId("org_id", request.org_id(), violations);
  if (!violations.empty()) return violations.ToStatus();
  const absl::Status deleted =
      store_.DeleteOrganization(*caller.context, request.org_id(), clock_());
  // Most organisations are small, and their ids free again at once. OrganizationPurger does the
  // rest.
  if (deleted.ok()) {
    store_.deleted_organizations()
        .PurgeOne(*caller.context, request.org_id(), clock_(), {})
        .status()
        .IgnoreError();
  }
  return deleted;
}

absl::Status OrganizationService::CreateApiKey(const Caller& caller,
                                               const v1::CreateApiKeyRequest& request,
                                               v1::CreateApiKeyResponse& response) const {
  if (absl::Status status = ValidateNewKey(request); !status.ok()) return status;
  const std::string text = NewApiKey(random_);
  const ParsedApiKey parsed = *ParseApiKey(text);
  record::v1::ApiKey key;
  key.set_key_id(parsed.key_id);
  key.set_org_id(request.org_id());
  key.set_role(static_cast<record::v1::Role>(request.role()));
  key.set_display_name(request.display_name());
  key.set_digest(parsed.digest);
  key.set_read_tokens(request.read_tokens());
  key.set_created_at_ms(absl::ToUnixMillis(clock_()));
  if (absl::Status stored = store_.CreateApiKey(*caller.context, key); !stored.ok()) return stored;
  Copy(key, *response.mutable_api_key());
  response.set_key(text);
  return absl::OkStatus();
}

absl::Status OrganizationService::ListApiKeys(const Caller& caller,
                                              const v1::ListApiKeysRequest& request,
                                              v1::ListApiKeysResponse& response) const {
  FieldViolations violations;
  if (request.has_org_id()) CheckOrgId("org_id", request.org_id(), violations);
  const std::string list = absl::StrCat("api_keys/", request.org_id());
  const Page page = ReadPage(sealer_, list, request.page_size(), request.page_token(), violations);
  if (!violations.empty()) return violations.ToStatus();
  if (request.has_org_id()) {
    const auto organization = store_.GetOrganization(*caller.context, request.org_id());
    if (!organization.ok()) return organization.status();
  }
  const auto found =
      store_.ListApiKeys(*caller.context, OptionalOrgId(request), page.after, page.limit);
  if (!found.ok()) return found.status();
  FinishPage(sealer_, random_, list, *found, response);
  for (const auto& key : found->records) Copy(key, *response.add_api_keys());
  return absl::OkStatus();
}

absl::Status OrganizationService::RevokeApiKey(const Caller& caller,
                                               const v1::RevokeApiKeyRequest& request,
                                               v1::RevokeApiKeyResponse& response) const {
  FieldViolations violations;
  if (request.key_id().empty()) violations.Add("key_id", "Required");
  if (request.has_org_id()) CheckOrgId("org_id", request.org_id(), violations);
  if (!violations.empty()) return violations.ToStatus();
  const auto key =
      store_.RevokeApiKey(*caller.context, request.key_id(), OptionalOrgId(request), clock_());
  if (!key.ok()) return key.status();
  Copy(*key, *response.mutable_api_key());
  return absl::OkStatus();
}

std::vector<Method> OrganizationService::Methods() const {
  const std::string service = "/authurl.v1.OrganizationService/";
  const Access access = Access::kAdminister;
  return {
      MakeWriteMethod(service + "CreateOrganization", access, this,
                      &OrganizationService::CreateOrganization),
      MakeReadMethod(service + "ListOrganizations", access, this,
                     &OrganizationService::ListOrganizations),
      MakeReadMethod(service + "GetOrganization", access, this,
                     &OrganizationService::GetOrganization),
      MakeWriteMethod(service + "UpdateOrganization", access, this,
                      &OrganizationService::UpdateOrganization),
      MakeWriteMethod(service + "DeleteOrganization", access, this,
                      &OrganizationService::DeleteOrganization),
      MakeWriteMethod(service + "CreateApiKey", access, this, &OrganizationService::CreateApiKey),
      MakeReadMethod(service + "ListApiKeys", access, this, &OrganizationService::ListApiKeys),
      MakeWriteMethod(service + "RevokeApiKey", access, this, &OrganizationService::RevokeApiKey),
  };
}

}  // namespace authurl
