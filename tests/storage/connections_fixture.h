// connections_fixture.h: flows that are spent and completed over an open store.
#pragma once

#include <gtest/gtest.h>

#include <algorithm>
#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include "absl/strings/str_cat.h"
#include "storage/digest_id.h"
#include "tests/storage/forwarding_backend.h"
#include "tests/storage/store_fixture.h"

namespace authurl::testing {

// The id of the flow of a test's choice.
inline std::string FlowId(absl::string_view name) { return DigestId(name); }

inline record::v1::Flow TestFlow(absl::string_view name, absl::string_view org_id = "acme") {
  record::v1::Flow flow;
  flow.set_id(FlowId(name));
  flow.set_org_id(std::string(org_id));
  flow.set_network("google");
  flow.set_social_network_id(absl::StrCat(org_id, "-google"));
  flow.set_social_network_version(1);
  flow.set_tenant_id("tenant");
  flow.set_state_expires_at_ms(absl::ToUnixMillis(kNow + absl::Minutes(20)));
  flow.set_code_digest(DigestId(absl::StrCat("code of ", name)));
  flow.set_role(record::v1::ROLE_MINT);
  return flow;
}

// Tokens that are known by a label.
inline TokenSet TestTokens(absl::string_view label) {
  TokenSet tokens;
  tokens.access_token = absl::StrCat("access-canary-", label);
  tokens.refresh_token = absl::StrCat("refresh-canary-", label);
  tokens.id_token = absl::StrCat("id-canary-", label);
  tokens.access_token_expires_at = kNow + absl::Hours(1);
  tokens.scopes = std::vector<std::string>{"profile", "email"};
  tokens.kept["device_id"] = absl::StrCat("kept-canary-", label);
  return tokens;
}

inline record::v1::Grant TestGrant(absl::string_view subject, absl::string_view org_id = "acme") {
  record::v1::Grant grant;
  grant.set_org_id(std::string(org_id));
  grant.set_social_network_id(absl::StrCat(org_id, "-google"));
  grant.set_social_network_version(1);
  grant.set_network("google");
  grant.set_client_id(absl::StrCat("client-key-of-", org_id, "-google"));
  grant.set_subject(std::string(subject));
  return grant;
}

inline record::v1::SocialAccount TestAccount(absl::string_view network_unique_id,
                                             absl::string_view tenant_id = "tenant",
                                             absl::string_view org_id = "acme") {
  record::v1::SocialAccount account;
  account.set_social_network_id(absl::StrCat(org_id, "-google"));
  account.set_network("google");
  account.set_tenant_id(std::string(tenant_id));
  account.set_account_type(record::v1::ACCOUNT_TYPE_ORGANIZATION);
  account.set_network_unique_id(std::string(network_unique_id));
  account.set_username(absl::StrCat("user-canary-", network_unique_id));
  account.set_display_name("A page of somebody");
  account.add_granted_scopes("profile");
  return account;
}

// A backend whose next commits do not tell, or are not done, or whose disk is full.
class DeafBackend final : public ForwardingBackend {
 public:
  using ForwardingBackend::ForwardingBackend;

  CommitResult Commit(const CallContext& context, const Batch& batch) override {
    if (before_next) std::exchange(before_next, nullptr)();
    if (is_full && std::any_of(batch.begin(), batch.end(), NeedsRoom)) {
      return {StorageUnavailable("the disk is full")};
    }
    if (refused_commits > 0) {
      --refused_commits;
      return {StorageUnavailable("a commit was not done")};
    }
    CommitResult result = ForwardingBackend::Commit(context, batch);
    if (result.status.ok() && deaf_commits > 0) {
      --deaf_commits;
      return {StorageUnavailable("the end of a commit was not heard")};
    }
    return result;
  }

  // To be set while nothing is committed.
  std::function<void()> before_next;
  std::atomic<int> deaf_commits = 0;
  std::atomic<int> refused_commits = 0;
  std::atomic<bool> is_full = false;

 private:
  static bool NeedsRoom(const Batch::value_type& part) {
    const auto* insert = std::get_if<Insert>(&part);
    const auto* update = std::get_if<Update>(&part);
    return (insert != nullptr && !insert->must_fit) || (update != nullptr && !update->must_fit);
  }
};

class ConnectionsTest : public OpenStoreTest {
 protected:
  void SetUp() override {
    Reopen();
    Fill(*store_);
  }

  void ReopenWith(const Quotas& quotas) {
    store_.reset();
    ASSERT_OK_AND_ASSIGN(store_, CredentialStore::Open(OpenSqliteBackend(path_).value(),
                                                       keys_.sealer, random_, 0, quotas));
  }

  DeafBackend& ReopenOverDeafBackend() {
    store_.reset();
    auto deaf = std::make_unique<DeafBackend>(OpenSqliteBackend(path_).value());
    DeafBackend& backend = *deaf;
    store_ = CredentialStore::Open(std::move(deaf), keys_.sealer, random_).value();
    return backend;
  }

  absl::StatusOr<FlowStore::Spent> Spend(absl::string_view name, absl::string_view org = "acme",
                                         absl::Time now = kNow) {
    return store_->flows().Spend(kNoLimit, TestFlow(name, org), now);
  }

  absl::StatusOr<Connected> Complete(absl::string_view name, const record::v1::Grant& grant,
                                     const std::vector<NewAccount>& accounts,
                                     bool is_beside_others = false, absl::Time now = kNow) {
    const TokenSet tokens = TestTokens(name);
    return store_->flows().Complete(kNoLimit, grant.org_id(), FlowId(name),
                                    {grant, tokens, is_beside_others, kNow + absl::Minutes(50)},
                                    accounts, now);
  }

  // A whole flow of a person that connects accounts of a tenant. The name is that of its tokens.
  absl::StatusOr<Connected> Connect(absl::string_view name, absl::string_view subject,
                                    const std::vector<std::string>& network_unique_ids,
                                    absl::string_view tenant = "tenant",
                                    absl::string_view org = "acme", bool is_beside_others = false) {
    const absl::StatusOr<FlowStore::Spent> spent = Spend(name, org);
    if (!spent.ok()) return spent.status();
    std::vector<NewAccount> accounts;
    for (const std::string& id : network_unique_ids) {
      accounts.push_back({TestAccount(id, tenant, org), ""});
    }
    return Complete(name, TestGrant(subject, org), accounts, is_beside_others);
  }

  record::v1::Flow FlowNamed(absl::string_view name, absl::string_view org = "acme") {
    const auto flow = store_->flows().Find(kNoLimit, org, FlowId(name));
    EXPECT_OK(flow);
    if (!flow.ok() || !flow->has_value()) return {};
    return **flow;
  }

  std::string AccessTokenOf(const std::string& grant_id, absl::string_view org = "acme") {
    const auto opened = store_->grants().GetWithTokens(kNoLimit, org, grant_id);
    return opened.ok() ? opened->tokens.access_token : std::string(opened.status().message());
  }

  // How many rows tables of the file have, "2 flows, 1 grants, ...". Opens the store anew.
  std::string Rows() {
    store_.reset();
    std::string rows;
    for (const char* table : {"flows", "grants", "social_accounts", "pending_connections"}) {
      absl::StrAppend(&rows, rows.empty() ? "" : ", ",
                      RawDatabase(path_).Value(absl::StrCat("SELECT count(*) FROM ", table)), " ",
                      table);
    }
    Reopen();
    return rows;
  }
};

}  // namespace authurl::testing
