#include "storage/record_size.h"

#include <algorithm>
#include <bit>
#include <string>

namespace authurl {
namespace {

using Map = google::protobuf::Map<std::string, std::string>;
using Strings = google::protobuf::RepeatedPtrField<std::string>;

// The two counters of a shared object.
constexpr size_t kSharedCounters = 16;

// A field that is not set points to an empty string that all share.
size_t BytesOf(const std::string& field) {
  if (field.empty()) return 0;
  return AllocatedBytes(sizeof(std::string)) + AllocatedBytes(field);
}

size_t BytesOf(const Strings& field) {
  if (field.Capacity() == 0) return 0;
  // An array of pointers behind a counter.
  size_t bytes = AllocatedBytes(sizeof(void*) * (1 + static_cast<size_t>(field.Capacity())));
  for (const std::string& text : field) {
    bytes += AllocatedBytes(sizeof(std::string)) + AllocatedBytes(text);
  }
  return bytes;
}

size_t BytesOf(const Map& field) {
  if (field.empty()) return 0;
  // A table of pointers, at most three quarters full, to nodes of key, value and next pointer.
  const size_t buckets = std::max(size_t{8}, std::bit_ceil(field.size() * 4 / 3 + 1));
  size_t bytes = AllocatedBytes(sizeof(void*) * buckets);
  for (const auto& [key, value] : field) {
    bytes += AllocatedBytes(2 * sizeof(std::string) + sizeof(void*)) + AllocatedBytes(key) +
             AllocatedBytes(value);
  }
  return bytes;
}

template <typename... Fields>
size_t SumOfBytes(const Fields&... fields) {
  return (BytesOf(fields) + ...);
}

}  // namespace

size_t AllocatedBytes(const std::string& text) {
  // Short ones are kept in the object.
  static const size_t kInObject = std::string().capacity();
  return text.capacity() > kInObject ? AllocatedBytes(text.capacity() + 1) : 0;
}

size_t SharedBytes(const record::v1::ApiKey& key) {
  return AllocatedBytes(kSharedCounters + sizeof(key)) +
         SumOfBytes(key.key_id(), key.org_id(), key.display_name(), key.digest());
}

size_t SharedBytes(const record::v1::Organization& organization) {
  return AllocatedBytes(kSharedCounters + sizeof(organization)) +
         SumOfBytes(organization.org_id(), organization.display_name());
}

size_t SharedBytes(const record::v1::SocialNetworkSettings& settings) {
  return AllocatedBytes(kSharedCounters + sizeof(settings)) +
         SumOfBytes(settings.id(), settings.org_id(), settings.network(), settings.instance(),
                    settings.client_key(), settings.default_redirect_uri(), settings.variant(),
                    settings.name(), settings.allowed_redirect_uris(), settings.scopes(),
                    settings.extra_params(), settings.variables(), settings.allowed_return_uris(),
                    settings.default_return_uri(), settings.callback_context());
}

size_t SharedBytes(const record::v1::Grant& grant) {
  return AllocatedBytes(kSharedCounters + sizeof(grant)) +
         SumOfBytes(grant.id(), grant.org_id(), grant.social_network_id(), grant.network(),
                    grant.instance(), grant.variant(), grant.client_id(), grant.subject(),
                    grant.scopes(), grant.kept_names(), grant.lease_holder(), grant.refreshed_by(),
                    grant.trouble());
}

size_t SharedBytes(const record::v1::SocialAccount& account) {
  return AllocatedBytes(kSharedCounters + sizeof(account)) +
         SumOfBytes(account.id(), account.org_id(), account.social_network_id(), account.network(),
                    account.instance(), account.variant(), account.tenant_id(),
                    account.network_unique_id(), account.username(), account.display_name(),
                    account.avatar_url(), account.grant_id(), account.status_reason(),
                    account.granted_scopes(), account.missing_scopes());
}

}  // namespace authurl
