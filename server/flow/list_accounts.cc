#include "server/flow/list_accounts.h"

#include <memory>
#include <optional>
#include <set>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "core/crypto/crypto.h"

namespace authurl {
namespace {

using catalog::v1::Accounts;

// It lives as long as a request of it is under way.
class AccountLister final : public std::enable_shared_from_this<AccountLister> {
 public:
  AccountLister(HttpClient& http, ListRequest request, const CallContext& context,
                absl::AnyInvocable<void(absl::StatusOr<ListedAccounts>)> done)
      : http_(http), context_(context), request_(std::move(request)), done_(std::move(done)) {}
  ~AccountLister() { Wipe(asked_.url); }

  void Start() {
    if (!entry().has_parents()) return ReadAccounts();
    ReadParents();
  }

 private:
  using Step = void (AccountLister::*)(const HttpResponse& response);

  // One after the other: each begins a step, whose answer its On… takes.

  void ReadParents() {
    if (!MayAsk()) return Succeed();
    Send(BuildParentsRequest(request_.network, request_.client, request_.values, Next()),
         &AccountLister::OnParents);
  }
  void OnParents(const HttpResponse& response) {
    absl::StatusOr<ParentsPage> page = ParseParents(
        request_.network, asked_, response, Seen(entry().parents().paging()), request_.secrets);
    if (!page.ok()) return done_(page.status());
    for (ParentAccount& parent : page->parents) parents_.push_back(std::move(parent));
    next_ = std::move(page->next);
    if (next_.has_value()) return ReadParents();
    ReadAccountsOfNext();
  }
  // Of the next value of the next parent.
  void ReadAccountsOfNext() {
    if (parent_ < parents_.size() && parent_value_ >= parents_[parent_].values.size()) {
      ++parent_;
      parent_value_ = 0;
    }
    if (parent_ >= parents_.size()) return Succeed();
    ReadAccounts();
  }

  void ReadAccounts() {
    if (!MayAsk()) return Succeed();
    FlowValues values = request_.values.Clone();
    if (!parents_.empty()) values.Set("parent", parents_[parent_].values[parent_value_]);
    Send(BuildAccountsRequest(request_.network, request_.client, values, Next()),
         &AccountLister::OnAccounts);
  }
  void OnAccounts(const HttpResponse& response) {
    Sources around = request_.around;
    if (!parents_.empty()) around.parent = &parents_[parent_].element;
    absl::StatusOr<AccountsPage> page = ParseAccounts(
        request_.network, asked_, response, Seen(entry().paging()), around, request_.secrets);
    if (!page.ok()) return done_(page.status());
    for (AccountChoice& account : page->accounts) {
      // Somebody with two roles at a page has it twice.
      if (!ids_.insert(account.profile.id).second) continue;
      if (listed_.accounts.size() == kMaxListedAccounts) {
        listed_.has_more = true;
        return Succeed();
      }
      listed_.accounts.push_back(std::move(account));
    }
    next_ = std::move(page->next);
    if (next_.has_value()) return ReadAccounts();
    if (parents_.empty()) return Succeed();
    ++parent_value_;
    ReadAccountsOfNext();
  }

  void Succeed() { done_(std::move(listed_)); }

  void Send(absl::StatusOr<HttpRequest> request, Step then) {
    if (!request.ok()) return done_(request.status());
    Wipe(asked_.url);
    asked_.url = request->url;
    ++requests_;
    http_.Send(*std::move(request), request_.target, context_,
               [self = shared_from_this(), then](absl::StatusOr<HttpAnswer> answer) {
                 if (!answer.ok()) return self->done_(answer.status());
                 ((*self).*then)(answer->response());
               });
  }

  // Whether one more request may be sent.
  bool MayAsk() {
    if (requests_ < kMaxListRequests) return true;
    listed_.has_more = true;
    return false;
  }
  const NextPage* Next() const { return next_.has_value() ? &*next_ : nullptr; }
  // How many elements the pages before had, where pages go on by number.
  size_t Seen(const Accounts::Paging& paging) const {
    size_t seen = 0;
    if (paging.offset_param().empty() || !next_.has_value()) return 0;
    return absl::SimpleAtoi(next_->cursor, &seen) ? seen : 0;
  }
  const Accounts& entry() const { return request_.network.accounts(); }

  HttpClient& http_;
  const CallContext& context_;
  const ListRequest request_;
  absl::AnyInvocable<void(absl::StatusOr<ListedAccounts>)> done_;

  HttpRequest asked_;  // Its URL alone.
  int requests_ = 0;
  std::optional<NextPage> next_;
  std::vector<ParentAccount> parents_;
  size_t parent_ = 0;
  size_t parent_value_ = 0;
  std::set<std::string> ids_;
  ListedAccounts listed_;
};

}  // namespace

void ListAccounts(HttpClient& http, ListRequest request, const CallContext& context,
                  absl::AnyInvocable<void(absl::StatusOr<ListedAccounts>)> done) {
  std::make_shared<AccountLister>(http, std::move(request), context, std::move(done))->Start();
}

}  // namespace authurl
