#include "server/api/account_transfer.h"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "core/catalog/named_network.h"
#include "core/catalog/network_rules.h"
#include "core/crypto/crypto.h"
#include "core/errors.h"
#include "core/field_rules.h"
#include "core/flow/profile.h"
#include "core/utf8.h"
#include "server/api/account_messages.h"
#include "server/api/detached_call.h"
#include "server/api/paging.h"
#include "server/api/timestamps.h"
#include "server/observe/log.h"

namespace authurl {
namespace {

using record::v1::SocialAccount;

constexpr int kMaxImports = 20;
constexpr size_t kMaxImportedTokenBytes = size_t{16} << 10;
constexpr size_t kMaxKeptBytes = size_t{4} << 10;
constexpr int kMaxKept = 16;
constexpr int kMaxImportedIds = 500;
constexpr int kMaxGrantedScopes = 64;
// A page of tokens ends with the account that makes it as large or larger. Networks' tokens are
// short; an answer with those of one consent has 1 MiB at most, so that what comes after the last
// account that fits is far from what a reply may have.
constexpr size_t kMaxExportBytes = size_t{1} << 20;
static_assert(kMaxExportBytes + (size_t{5} << 19) < kMaxReplyBytes);

// Adds what is wrong with one part of a request under the name of that part.
void AddUnder(absl::string_view part, const FieldViolations& from, FieldViolations& to) {
  for (const FieldViolation& fault : from.list()) {
    to.Add(absl::StrCat(part, ".", fault.field), fault.description);
  }
}

// Never quotes it.
void CheckToken(absl::string_view field, absl::string_view token, FieldViolations& violations) {
  if (token.empty()) return;
  if (token.size() > kMaxImportedTokenBytes) {
    violations.Add(field, absl::StrCat("has ", token.size(), " bytes; tokens have at most ",
                                       kMaxImportedTokenBytes));
  } else if (!IsTokenText(token) || token.front() == ' ' || token.back() == ' ') {
    violations.Add(field, "must be printable ASCII, without space around it");
  }
}

// Where it is set, between the epoch and the year 9999.
void CheckTime(absl::string_view field, const google::protobuf::Timestamp& time,
               FieldViolations& violations) {
  constexpr int64_t kLast = 253'402'300'799;
  if (time.seconds() > 0 && time.seconds() <= kLast && time.nanos() >= 0 &&
      time.nanos() < 1'000'000'000) {
    return;
  }
  violations.Add(field, "is not a time; leave it out where no end is known");
}

void CheckTokens(const v1::AccountTokens& tokens, FieldViolations& violations) {
  if (tokens.access_token().empty() && tokens.refresh_token().empty()) {
    violations.Add("access_token", "Required: an access token, or a refresh token that gets one");
  }
  CheckToken("access_token", tokens.access_token(), violations);
  CheckToken("refresh_token", tokens.refresh_token(), violations);
  CheckToken("id_token", tokens.id_token(), violations);
  if (tokens.has_access_token_expires_at()) {
    CheckTime("access_token_expires_at", tokens.access_token_expires_at(), violations);
  }
  if (tokens.has_refresh_token_expires_at()) {
    CheckTime("refresh_token_expires_at", tokens.refresh_token_expires_at(), violations);
  }
  if (tokens.scopes_size() > kMaxGrantedScopes) {
    violations.Add("scopes", absl::StrCat("has ", tokens.scopes_size(), " entries; at most ",
                                          kMaxGrantedScopes, " are taken"));
  }
  for (const std::string& scope : tokens.scopes()) {
    CheckText("scopes", scope, 1, 256, violations);
  }
  if (tokens.kept_size() > kMaxKept) {
    violations.Add("kept", absl::StrCat("has ", tokens.kept_size(), " entries; at most ", kMaxKept,
                                        " are taken"));
  }
  for (const auto& [name, value] : tokens.kept()) {
    if (value.empty() || value.size() > kMaxKeptBytes || HasControlCharacters(value)) {
      violations.Add("kept", absl::StrCat("the value of ", Quoted(name), " must have 1 to ",
                                          kMaxKeptBytes, " bytes without control characters"));
    }
  }
}

void CheckImportedIds(const v1::ImportedAccount& account, FieldViolations& violations) {
  if (account.network_unique_ids_size() > kMaxImportedIds) {
    violations.Add("network_unique_ids",
                   absl::StrCat("has ", account.network_unique_ids_size(), " ids; at most ",
                                kMaxImportedIds, " are taken"));
    return;
  }
  std::set<absl::string_view> seen;
  for (const std::string& id : account.network_unique_ids()) {
    CheckText("network_unique_ids", id, 1, kMaxProfileIdBytes, violations);
    if (!seen.insert(id).second) {
      violations.Add("network_unique_ids", absl::StrCat("repeats ", Quoted(id)));
    }
  }
}

void CheckImported(const NetworkCatalog& catalog, const v1::ImportedAccount& account,
                   FieldViolations& violations) {
  const catalog::v1::Network* network = CheckNetwork(catalog, account.network(), violations);
  if (network != nullptr) {
    std::optional<absl::string_view> instance;
    if (!account.instance().empty()) instance = account.instance();
    CheckInstance(catalog, *network, instance, violations);
  }
  if (!account.configuration().empty()) CheckConfiguration(account.configuration(), violations);
  if (!account.tenant_id().empty()) CheckTenantId(account.tenant_id(), violations);
  CheckImportedIds(account, violations);
  FieldViolations of_tokens;
  CheckTokens(account.tokens(), of_tokens);
  AddUnder("tokens", of_tokens, violations);
}

std::optional<absl::Time> TimeOf(bool is_set, const google::protobuf::Timestamp& time) {
  if (!is_set) return std::nullopt;
  return absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos());
}

AccountToImport ReadImported(const v1::ImportedAccount& account) {
  AccountToImport read;
  read.network = account.network();
  read.instance = account.instance();
  read.configuration = account.configuration();
  read.tenant_id = account.tenant_id();
  read.network_unique_ids = {account.network_unique_ids().begin(),
                             account.network_unique_ids().end()};
  const v1::AccountTokens& tokens = account.tokens();
  read.tokens.access_token = tokens.access_token();
  read.tokens.refresh_token = tokens.refresh_token();
  read.tokens.id_token = tokens.id_token();
  read.tokens.access_token_expires_at =
      TimeOf(tokens.has_access_token_expires_at(), tokens.access_token_expires_at());
  read.tokens.refresh_token_expires_at =
      TimeOf(tokens.has_refresh_token_expires_at(), tokens.refresh_token_expires_at());
  if (!tokens.scopes().empty()) {
    read.tokens.scopes.emplace(tokens.scopes().begin(), tokens.scopes().end());
  }
  for (const auto& [name, value] : tokens.kept()) read.tokens.kept.emplace(name, value);
  return read;
}

void ShowTokens(const TokenSet& tokens, v1::AccountTokens& shown) {
  shown.set_access_token(tokens.access_token);
  shown.set_refresh_token(tokens.refresh_token);
  shown.set_id_token(tokens.id_token);
  if (tokens.access_token_expires_at) {
    SetTimestamp(*tokens.access_token_expires_at, *shown.mutable_access_token_expires_at());
  }
  if (tokens.refresh_token_expires_at) {
    SetTimestamp(*tokens.refresh_token_expires_at, *shown.mutable_refresh_token_expires_at());
  }
  if (tokens.scopes) shown.mutable_scopes()->Add(tokens.scopes->begin(), tokens.scopes->end());
  for (const auto& [name, value] : tokens.kept) (*shown.mutable_kept())[name] = value;
}

// Accounts with their tokens, each grant opened once.
class Exporter final {
 public:
  Exporter(const FlowTools& tools, const CallContext& context, const std::string& org_id)
      : tools_(tools), context_(context), org_id_(org_id) {}

  // INTERNAL, or NOT_FOUND where it is gone by now: that one can't be told. Else nothing could be
  // asked.
  absl::Status Show(const SocialAccount& account, v1::ExportedAccount& exported) {
    absl::StatusOr<AccountWithToken> own =
        tools_.store.accounts().GetWithToken(context_, org_id_, account.id());
    if (!own.ok()) return own.status();
    const absl::StatusOr<OpenedGrant>& grant = GrantOf(own->account.grant_id());
    if (absl::IsNotFound(grant.status())) {
      // Both went since the list was read, or it has lost it.
      const auto again = tools_.store.accounts().Get(context_, org_id_, account.id());
      return again.ok() ? absl::InternalError("the grant of an account is not there")
                        : again.status();
    }
    if (!grant.ok()) return grant.status();
    v1::SocialAccount& shown = *exported.mutable_account();
    ShowAccount(tools_.catalog, own->account, shown);
    const std::optional<absl::Time> end = grant->tokens.access_token_expires_at;
    if (end && own->access_token.empty()) {
      SetTimestamp(*end, *shown.mutable_access_token_expires_at());
    }
    ShowTokens(grant->tokens, *exported.mutable_tokens());
    exported.set_consent_id(grant->grant.id());
    exported.set_own_access_token(own->access_token);
    return absl::OkStatus();
  }

 private:
  const absl::StatusOr<OpenedGrant>& GrantOf(const std::string& grant_id) {
    const auto found = grants_.find(grant_id);
    if (found != grants_.end()) return found->second;
    return grants_
        .emplace(grant_id, tools_.store.grants().GetWithTokens(context_, org_id_, grant_id))
        .first->second;
  }

  const FlowTools& tools_;
  const CallContext& context_;
  const std::string& org_id_;
  std::map<std::string, absl::StatusOr<OpenedGrant>> grants_;
};

// Who read whose tokens, for whoever looks into that later.
void LogExport(const Caller& caller, const v1::ExportSocialAccountsResponse& response) {
  if (response.accounts().empty()) return;
  Log(LogLevel::kInfo, "tokens_exported",
      {{"request_id", caller.context->request_id()},
       {"key_id", caller.key_id},
       {"org_id", caller.org_id},
       {"accounts", int64_t{response.accounts_size()}},
       {"first_account", response.accounts().begin()->account().id()},
       {"last_account", response.accounts().rbegin()->account().id()}});
}

}  // namespace

AccountTransfer::AccountTransfer(const FlowTools& tools, const Sealer& sealer,
                                 GrantRefresher& refresher, Admission& admission)
    : tools_(tools), sealer_(sealer), importer_(tools, refresher), admission_(admission) {}

void AccountTransfer::ImportSocialAccounts(
    const Caller& caller, const v1::ImportSocialAccountsRequest& request,
    ResponseCompletion<v1::ImportSocialAccountsResponse> completion) const {
  FieldViolations violations;
  if (request.accounts().empty()) violations.Add("accounts", "Required: one account at least");
  if (request.accounts_size() > kMaxImports) {
    violations.Add("accounts", absl::StrCat("has ", request.accounts_size(), " entries; at most ",
                                            kMaxImports, " are imported at once"));
  }
  std::vector<AccountToImport> accounts;
  for (int i = 0; i < std::min(request.accounts_size(), kMaxImports); ++i) {
    FieldViolations of_account;
    CheckImported(tools_.catalog, request.accounts(i), of_account);
    AddUnder(absl::StrCat("accounts[", i, "]"), of_account, violations);
    accounts.push_back(ReadImported(request.accounts(i)));
  }
  if (!violations.empty()) return completion(violations.ToStatus());
  using Response = v1::ImportSocialAccountsResponse;
  DoDetached<Response>(
      admission_, caller, std::move(completion),
      [this, org_id = caller.org_id, accounts = std::move(accounts)](
          const std::shared_ptr<const CallContext>& context, std::function<bool()> is_wanted,
          absl::AnyInvocable<void(absl::StatusOr<Response>)> done) mutable {
        importer_.Import(
            org_id, std::move(accounts), context, std::move(is_wanted),
            [this, org_id, context,
             done = std::move(done)](const std::vector<ImportOutcome>& outcomes) mutable {
              Response response;
              TokenEnds ends(tools_.store, *context, org_id);
              for (const ImportOutcome& outcome : outcomes) {
                Response::Result& result = *response.add_results();
                for (const SocialAccount& account : outcome.accounts) {
                  v1::SocialAccount& shown = *result.add_accounts();
                  ShowAccount(tools_.catalog, account, shown);
                  // It is connected, whatever else can't be said.
                  ends.AddTo(account, shown).IgnoreError();
                }
                if (outcome.status.ok()) continue;
                const std::string reason = ReasonOf(outcome.status);
                const bool is_internal = reason.empty();
                result.set_reason(is_internal ? "INTERNAL" : reason);
                result.set_message(is_internal ? "An internal error; the server's log says more"
                                               : std::string(outcome.status.message()));
                result.set_retriable(outcome.is_retriable);
              }
              done(std::move(response));
            });
      });
}

absl::Status AccountTransfer::ExportSocialAccounts(
    const Caller& caller, const v1::ExportSocialAccountsRequest& request,
    v1::ExportSocialAccountsResponse& response) const {
  FieldViolations violations;
  if (request.has_tenant_id()) CheckTenantId(request.tenant_id(), violations);
  if (request.has_network()) CheckText("network", request.network(), 1, 32, violations);
  const std::string list = absl::StrCat("exported_accounts/", caller.org_id);
  const Page page = ReadPage(sealer_, list, request.page_size(), request.page_token(), violations);
  if (!violations.empty()) return violations.ToStatus();
  AccountFilter filter;
  if (request.has_tenant_id()) filter.tenant_id = request.tenant_id();
  if (request.has_network()) filter.network = request.network();
  const CallContext& context = *caller.context;
  absl::StatusOr<Listed<SocialAccount>> listed =
      tools_.store.accounts().List(context, caller.org_id, filter, page.after, page.limit);
  if (!listed.ok()) return listed.status();

  Exporter exporter(tools_, context, caller.org_id);
  std::vector<std::string> unreadable;
  size_t bytes = 0;
  for (const SocialAccount& account : listed->records) {
    v1::ExportedAccount& exported = *response.add_accounts();
    const absl::Status status = exporter.Show(account, exported);
    if (!status.ok()) {
      response.mutable_accounts()->RemoveLast();
      // It was deleted since the list was read.
      if (absl::IsNotFound(status)) continue;
      if (!absl::IsInternal(status)) return status;
      unreadable.push_back(account.id());
      continue;
    }
    bytes += exported.ByteSizeLong();
    if (bytes < kMaxExportBytes || &account == &listed->records.back()) continue;
    // Those behind it come on the next page.
    listed->next = account.id();
    std::erase_if(listed->unreadable, [&](const std::string& id) { return id > account.id(); });
    break;
  }
  std::move(unreadable.begin(), unreadable.end(), std::back_inserter(listed->unreadable));
  std::sort(listed->unreadable.begin(), listed->unreadable.end());
  FinishPage(sealer_, tools_.random, list, *listed, response);
  LogExport(caller, response);
  return absl::OkStatus();
}

std::vector<Method> AccountTransfer::Methods() const {
  const std::string service = "/authurl.v1.SocialAccountService/";
  return {
      MakeOutboundMethod(service + "ImportSocialAccounts", Access::kConfigure, this,
                         &AccountTransfer::ImportSocialAccounts),
      MakeReadMethod(service + "ExportSocialAccounts", Access::kReadTokens, this,
                     &AccountTransfer::ExportSocialAccounts),
  };
}

}  // namespace authurl
