#include "core/flow/account_choices.h"

#include <algorithm>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "core/crypto/crypto.h"
#include "core/flow/network_error.h"
#include "core/flow/token_response.h"

namespace authurl {
namespace {

using catalog::v1::Accounts;
using catalog::v1::Network;
using catalog::v1::Request;

// Scheme and authority: what a next page may not change.
absl::string_view OriginOf(absl::string_view url) {
  const size_t authority = url.find("://");
  if (authority == url.npos) return {};
  return url.substr(0, url.find_first_of("/?#", authority + 3));
}

absl::StatusOr<HttpRequest> BuildPage(const Network& network, const Request& request,
                                      const Accounts::Paging& paging, const OAuthClient& client,
                                      const FlowValues& values, const NextPage* next) {
  if (next == nullptr) return BuildRequest(network, request, client, values, {});
  if (!next->url.empty()) {
    Request of_page = request;
    of_page.clear_params();
    absl::StatusOr<HttpRequest> http = BuildRequest(network, of_page, client, values, {});
    if (http.ok()) http->url = next->url;
    return http;
  }
  Request of_page = request;
  catalog::v1::Field& param = *of_page.add_params();
  param.set_name(paging.cursor_param().empty() ? paging.offset_param() : paging.cursor_param());
  param.set_value("{cursor}");
  FlowValues with_cursor = values.Clone();
  with_cursor.Set("cursor", next->cursor);
  return BuildRequest(network, of_page, client, with_cursor, {});
}

// Where the list goes on after `elements` more of them.
std::optional<NextPage> NextOf(const Accounts::Paging& paging, const Answer& answer,
                               const HttpRequest& request, size_t seen, size_t elements) {
  const Sources sources = {.answer = &answer};
  NextPage next;
  if (std::optional<std::string> url = Select(paging.next_url(), sources)) {
    // A token would go elsewhere; or, after a line break, into a header. Some parsers read a host
    // on to the next slash.
    const bool is_plain = std::all_of(url->begin(), url->end(), [](unsigned char c) {
      return absl::ascii_isgraph(c) && c != '#' && c != '\\';
    });
    if (!is_plain || !absl::StartsWith(*url, absl::StrCat(OriginOf(request.url), "/"))) {
      return std::nullopt;
    }
    next.url = *std::move(url);
    return next;
  }
  if (std::optional<std::string> cursor = Select(paging.cursor(), sources)) {
    next.cursor = *std::move(cursor);
    return next;
  }
  if (!paging.offset_param().empty() && elements > 0) {
    next.cursor = absl::StrCat(seen + elements);
    return next;
  }
  return std::nullopt;
}

bool Holds(const Accounts::Only& only, const Answer& element) {
  SelectorList where;
  *where.Add() = only.where();
  const std::vector<std::string> found = SelectAll(where, {.answer = &element});
  if (only.equals().empty()) return !found.empty();
  return std::find_first_of(found.begin(), found.end(), only.equals().begin(),
                            only.equals().end()) != found.end();
}

struct ParsedList {
  Answer answer;
  std::vector<Answer> elements;
};

absl::StatusOr<ParsedList> ParseList(const Network& network, absl::string_view list,
                                     const HttpResponse& response,
                                     absl::Span<const absl::string_view> secrets) {
  absl::StatusOr<Answer> answer =
      ParseAnswer(network, network.accounts().errors(), response, FlowStep::kAccounts, secrets);
  if (!answer.ok()) return answer.status();
  std::optional<std::vector<Answer>> elements = answer->Elements(list);
  ParsedList parsed = {*std::move(answer), {}};
  if (elements) parsed.elements = *std::move(elements);
  return parsed;
}

}  // namespace

AccountChoice::~AccountChoice() { Wipe(access_token); }
NextPage::~NextPage() {
  Wipe(url);
  Wipe(cursor);
}

absl::StatusOr<HttpRequest> BuildParentsRequest(const Network& network, const OAuthClient& client,
                                                const FlowValues& values, const NextPage* next) {
  const Accounts::Parents& parents = network.accounts().parents();
  return BuildPage(network, parents.request(), parents.paging(), client, values, next);
}

absl::StatusOr<HttpRequest> BuildAccountsRequest(const Network& network, const OAuthClient& client,
                                                 const FlowValues& values, const NextPage* next) {
  const Accounts& accounts = network.accounts();
  return BuildPage(network, accounts.request(), accounts.paging(), client, values, next);
}

absl::StatusOr<ParentsPage> ParseParents(const Network& network, const HttpRequest& request,
                                         const HttpResponse& response, size_t seen,
                                         absl::Span<const absl::string_view> secrets) {
  const Accounts::Parents& reading = network.accounts().parents();
  absl::StatusOr<ParsedList> list = ParseList(network, reading.list(), response, secrets);
  if (!list.ok()) return list.status();
  ParentsPage page;
  page.next = NextOf(reading.paging(), list->answer, request, seen, list->elements.size());
  for (Answer& element : list->elements) {
    if (reading.has_only() && !Holds(reading.only(), element)) continue;
    std::vector<std::string> values = SelectAll(reading.value(), {.answer = &element});
    if (!values.empty()) page.parents.push_back({std::move(values), std::move(element)});
  }
  return page;
}

absl::StatusOr<AccountsPage> ParseAccounts(const Network& network, const HttpRequest& request,
                                           const HttpResponse& response, size_t seen,
                                           const Sources& sources,
                                           absl::Span<const absl::string_view> secrets) {
  const Accounts& reading = network.accounts();
  absl::StatusOr<ParsedList> list = ParseList(network, reading.list(), response, secrets);
  if (!list.ok()) return list.status();
  AccountsPage page;
  page.next = NextOf(reading.paging(), list->answer, request, seen, list->elements.size());
  for (const Answer& element : list->elements) {
    if (!std::all_of(reading.only().begin(), reading.only().end(),
                     [&](const Accounts::Only& only) { return Holds(only, element); })) {
      continue;
    }
    Sources own = sources;
    own.answer = &element;
    std::optional<ProfileData> profile = SelectProfile(
        {reading.id(), reading.username(), reading.display_name(), reading.avatar_url()}, own);
    if (!profile) continue;
    AccountChoice choice;
    choice.profile = *std::move(profile);
    choice.access_token = Select(reading.access_token(), own).value_or("");
    if (!IsTokenText(choice.access_token)) {
      return AnswerInvalid(network, "has a token of characters that no token has");
    }
    page.accounts.push_back(std::move(choice));
  }
  return page;
}

}  // namespace authurl
