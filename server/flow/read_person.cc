#include "server/flow/read_person.h"

#include <algorithm>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "core/errors.h"
#include "server/flow/list_accounts.h"

namespace authurl {
namespace {

using catalog::v1::Accounts;
using catalog::v1::Network;

// It lives as long as a request of it is under way.
class PersonReader final : public std::enable_shared_from_this<PersonReader> {
 public:
  PersonReader(HttpClient& http, PersonToRead request, const CallContext& context,
               absl::AnyInvocable<void(absl::StatusOr<PersonWithAccounts>)> done)
      : http_(http), context_(context), request_(std::move(request)), done_(std::move(done)) {}

  // One after the other.

  void ReadProfileOfPerson() {
    if (!AsksForProfile(network()) || !MayAskForProfile()) {
      return OnPerson(ReadProfile(network(), request_.around, request_.subject));
    }
    absl::StatusOr<HttpRequest> request =
        BuildProfileRequest(network(), request_.client, request_.values);
    if (!request.ok()) return done_(request.status());
    http_.Send(
        *std::move(request), request_.target, context_,
        [self = shared_from_this()](absl::StatusOr<HttpAnswer> answer) {
          if (!answer.ok()) return self->done_(answer.status());
          self->OnPerson(ParseProfile(self->network(), answer->response(), self->request_.around,
                                      self->request_.subject, self->request_.secrets));
        });
  }
  void OnPerson(absl::StatusOr<ProfileData> person) {
    if (!person.ok()) return done_(person.status());
    read_.person = *std::move(person);
    if (network().accounts().when() != Accounts::WHEN_CONNECTING) return done_(std::move(read_));
    if (request_.subject.empty()) request_.values.Set("subject", read_.person.id);
    ListAccounts(http_,
                 {.network = network(),
                  .target = request_.target,
                  .client = request_.client,
                  .values = request_.values.Clone(),
                  .around = request_.around,
                  .secrets = request_.secrets},
                 context_, [self = shared_from_this()](absl::StatusOr<ListedAccounts> listed) {
                   self->OnListed(std::move(listed));
                 });
  }
  void OnListed(absl::StatusOr<ListedAccounts> listed) {
    if (!listed.ok()) return done_(listed.status());
    read_.accounts = std::move(listed->accounts);
    read_.has_more_accounts = listed->has_more;
    if (!read_.accounts.empty()) return done_(std::move(read_));
    const Accounts& accounts = network().accounts();
    done_(MakeError(absl::StatusCode::kFailedPrecondition, "NO_ACCOUNT",
                    accounts.if_none().empty()
                        ? absl::StrCat(network().display_name(), " names no ", accounts.what(),
                                       " of this person")
                        : accounts.if_none()));
  }

 private:
  // Without the scope for it the profile is not asked for where the person is known anyway.
  bool MayAskForProfile() const {
    const auto& needed = network().profile().needs_any_scope();
    if (needed.empty() || request_.subject.empty() || request_.scopes == nullptr) return true;
    const std::vector<std::string>& granted = *request_.scopes;
    return std::any_of(needed.begin(), needed.end(), [&](const std::string& scope) {
      return std::find(granted.begin(), granted.end(), scope) != granted.end();
    });
  }
  const Network& network() const { return request_.network; }

  HttpClient& http_;
  const CallContext& context_;
  PersonToRead request_;
  absl::AnyInvocable<void(absl::StatusOr<PersonWithAccounts>)> done_;
  PersonWithAccounts read_;
};

}  // namespace

void ReadPerson(HttpClient& http, PersonToRead request, const CallContext& context,
                absl::AnyInvocable<void(absl::StatusOr<PersonWithAccounts>)> done) {
  std::make_shared<PersonReader>(http, std::move(request), context, std::move(done))
      ->ReadProfileOfPerson();
}

}  // namespace authurl
