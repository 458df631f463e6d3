// account_choices.h: the accounts that one consent gives access to: pages, channels, phone numbers.
// Pure.
//
//   parents, if the entry has them: BuildParentsRequest → ParseParents → for each of them
//   accounts: BuildAccountsRequest → ParseAccounts, page by page
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "authurl/catalog/v1/network.pb.h"
#include "core/flow/answer.h"
#include "core/flow/profile.h"
#include "core/flow/request_builder.h"
#include "core/http_message.h"

namespace authurl {

// One to choose. Wiped at its end.
struct AccountChoice {
  ProfileData profile;
  // Its own, in place of the person's; empty where it has none.
  std::string access_token;

  AccountChoice() = default;
  AccountChoice(AccountChoice&&) = default;
  AccountChoice& operator=(AccountChoice&&) = default;
  AccountChoice(const AccountChoice&) = delete;
  AccountChoice& operator=(const AccountChoice&) = delete;
  ~AccountChoice();
};

// Where a list goes on. Wiped at its end: networks put tokens into the URLs of next pages.
struct NextPage {
  // A whole URL in place of the request's; or the value of the paging's parameter.
  std::string url;
  std::string cursor;

  NextPage() = default;
  NextPage(NextPage&&) = default;
  NextPage& operator=(NextPage&&) = default;
  NextPage(const NextPage&) = delete;
  NextPage& operator=(const NextPage&) = delete;
  ~NextPage();
};

struct AccountsPage {
  std::vector<AccountChoice> accounts;
  std::optional<NextPage> next;
};

// An element of a first list, and what {parent} is for it: the accounts are asked for once for
// each.
struct ParentAccount {
  std::vector<std::string> values;  // Never empty.
  Answer element;
};

struct ParentsPage {
  std::vector<ParentAccount> parents;
  std::optional<NextPage> next;
};

// `values`: access_token, subject, kept.*. REQUIRES: the entry has accounts, here and below, and
// parents where they are asked for. `next`: where the page before said that the list goes on; null
// for the first.
absl::StatusOr<HttpRequest> BuildParentsRequest(const catalog::v1::Network& network,
                                                const OAuthClient& client, const FlowValues& values,
                                                const NextPage* next);
// `values`: besides, parent where the entry has parents.
absl::StatusOr<HttpRequest> BuildAccountsRequest(const catalog::v1::Network& network,
                                                 const OAuthClient& client,
                                                 const FlowValues& values, const NextPage* next);

// `seen`: elements of the pages before, for lists that go on by number. Errors: those of
// core/flow/network_error.h. An answer without the list is an empty one.
absl::StatusOr<ParentsPage> ParseParents(const catalog::v1::Network& network,
                                         const HttpRequest& request, const HttpResponse& response,
                                         size_t seen, absl::Span<const absl::string_view> secrets);
// `sources`: parent, token and the like. Elements without an id, and those that the entry does not
// mean, are left out.
absl::StatusOr<AccountsPage> ParseAccounts(const catalog::v1::Network& network,
                                           const HttpRequest& request, const HttpResponse& response,
                                           size_t seen, const Sources& sources,
                                           absl::Span<const absl::string_view> secrets);

}  // namespace authurl
