// account_messages.h: accounts as callers see them.
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "authurl/record/v1/record.pb.h"
#include "authurl/v1/social_account_service.pb.h"
#include "core/call_context.h"
#include "core/catalog/network_catalog.h"
#include "storage/credential_store.h"

namespace authurl {

// All but when its token ends.
void ShowAccount(const NetworkCatalog& catalog, const record::v1::SocialAccount& account,
                 v1::SocialAccount& shown);

// When the tokens of accounts end, each grant looked at once. For one thread; what it is made of
// must outlive it.
class TokenEnds final {
 public:
  TokenEnds(CredentialStore& store, const CallContext& context, const std::string& org_id)
      : store_(store), context_(context), org_id_(org_id) {}

  // An error only where the database could not be asked.
  absl::Status AddTo(const record::v1::SocialAccount& account, v1::SocialAccount& shown);

 private:
  CredentialStore& store_;
  const CallContext& context_;
  const std::string& org_id_;
  std::map<std::string, int64_t> ends_ms_;
};

}  // namespace authurl
