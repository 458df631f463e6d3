// call_subject.h: what a call was about, for the log, read from the fields of its request and its
// response by their names, so that a new rpc is logged like the others.
#pragma once

#include <google/protobuf/message.h>

#include <string>
#include <vector>

#include "absl/strings/string_view.h"
#include "core/errors.h"
#include "server/observe/access_log.h"

namespace authurl {

// Takes a name or an id over for the log, unless it is not fit for that: callers may send anything,
// a secret in the wrong field for one.
void SetIfId(absl::string_view id, std::string& logged);
void SetIfOrgId(absl::string_view org_id, std::string& logged);

// The names of the faulty fields, each once and at most eight, with commas between them. What
// follows a dot is the caller's own text and left out.
std::string FaultyFields(const std::vector<FieldViolation>& violations);

// Takes out what was given in a faulty field.
void ForgetFaulty(const std::vector<FieldViolation>& violations, CallSubject& subject);

// The names of the fields that an update gives or names in its update_mask, at most sixteen: what
// stands in them is nobody's business.
std::string ChangedFields(const google::protobuf::Message& update);

template <typename Request>
CallSubject SubjectOf(const Request& request) {
  CallSubject subject;
  if constexpr (requires { request.network(); }) SetIfId(request.network(), subject.network);
  if constexpr (requires { request.id(); }) SetIfId(request.id(), subject.target);
  if constexpr (requires { request.key_id(); }) SetIfId(request.key_id(), subject.target);
  if constexpr (requires { request.account_id(); }) SetIfId(request.account_id(), subject.target);
  if constexpr (requires { request.org_id(); }) SetIfOrgId(request.org_id(), subject.target_org_id);
  if constexpr (requires { request.update_mask(); })
    subject.changed_fields = ChangedFields(request);
  return subject;
}

// Adds what only the response says.
template <typename Response>
void AddResponse(const Response& response, CallSubject& subject) {
  if constexpr (requires { response.social_network(); }) {
    SetIfId(response.social_network().network(), subject.network);
    SetIfId(response.social_network().id(), subject.target);
  }
  if constexpr (requires { response.api_key(); }) {
    SetIfId(response.api_key().key_id(), subject.target);
    SetIfOrgId(response.api_key().org_id(), subject.target_org_id);
  }
  if constexpr (requires { response.webhook(); }) {
    SetIfId(response.webhook().id(), subject.target);
  }
  if constexpr (requires { response.organization(); }) {
    SetIfOrgId(response.organization().org_id(), subject.target_org_id);
  }
  // What was connected: the first of them.
  if constexpr (requires { response.accounts(0).network_unique_id(); }) {
    if (!response.accounts().empty()) {
      SetIfId(response.accounts(0).network(), subject.network);
      SetIfId(response.accounts(0).id(), subject.target);
    }
  }
  if constexpr (requires { response.results(); }) {
    subject.results = response.results_size();
    for (const auto& result : response.results()) {
      if constexpr (requires { result.has_error(); }) {
        subject.failed_results += result.has_error();
      } else {
        subject.failed_results += !result.reason().empty();
      }
    }
  }
}

}  // namespace authurl
