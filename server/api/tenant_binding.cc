#include "server/api/tenant_binding.h"

#include "core/field_rules.h"
#include "storage/store_errors.h"

namespace authurl {

absl::string_view OwnTenantId(const Caller& caller) {
  return caller.tenant_id.has_value() ? absl::string_view(*caller.tenant_id) : absl::string_view();
}

void CheckTenantField(const Caller& caller, absl::string_view tenant_id,
                      FieldViolations& violations) {
  if (!caller.tenant_id.has_value()) return CheckTenantId(tenant_id, violations);
  CheckOwnTenantId(tenant_id, *caller.tenant_id, violations);
}

absl::Status CheckTenant(const Caller& caller, const record::v1::SocialAccount& account) {
  return CheckTenant(caller.tenant_id, account);
}

absl::Status CheckTenant(const std::optional<std::string>& own_tenant_id,
                         const record::v1::SocialAccount& account) {
  if (!own_tenant_id.has_value() || account.tenant_id() == *own_tenant_id) {
    return absl::OkStatus();
  }
  return SocialAccountNotFound(account.id());
}

absl::Status CheckTenant(const Caller& caller, const record::v1::PendingConnection& pending) {
  if (!caller.tenant_id.has_value() || pending.tenant_id() == *caller.tenant_id) {
    return absl::OkStatus();
  }
  return SessionNotFound();
}

}  // namespace authurl
