// network_error.h: what a network's answer means when it is no success, and how to say it.
//
// The errors, each with a sentence for developers (reasons of core/errors.h):
//   CODE_REJECTED           the code will never work: the person must begin again
//   REFRESH_DEAD            the refresh token will never work: the person must connect again
//   CLIENT_REJECTED         what is configured for the network is wrong
//   NETWORK_UNAVAILABLE     it may work later
//   ACCESS_TOKEN_DEAD       the access token is no longer good
//   SCOPE_MISSING           the person has not granted what this needs
//   NETWORK_REFUSED         any other refusal, with the network's words
//   NETWORK_ANSWER_INVALID  the network answered what nobody can read
// Networks quote what they were sent, so their words are searched for the values of the flow before
// anybody sees them.
#pragma once

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "authurl/catalog/v1/network.pb.h"
#include "core/flow/answer.h"
#include "core/http_message.h"

namespace authurl {

// What was being done, which decides what a rejected grant is.
enum class FlowStep { kExchange, kLongLived, kRefresh, kProfile, kAccounts, kRevocation };

// The meaning of an answer by the entry's rules, then by the RFCs and the status.
catalog::v1::Meaning MeaningOf(const catalog::v1::Errors& errors, const Answer& answer,
                               const HttpResponse& response, FlowStep step);

// Whether the answer has the code of an error in it.
bool SaysError(const catalog::v1::Errors& errors, const Answer& answer);

// The error for an answer that is no success; `answer` is null where it could not be read.
// `secrets` are cut out of the network's words.
absl::Status NetworkError(const catalog::v1::Network& network, const catalog::v1::Errors& errors,
                          const Answer* answer, const HttpResponse& response, FlowStep step,
                          absl::Span<const absl::string_view> secrets);

// The answer of a step that shows an access token; the error that it is where its status or its
// code say so, because networks send errors with status 200, too.
absl::StatusOr<Answer> ParseAnswer(const catalog::v1::Network& network,
                                   const catalog::v1::Errors& errors, const HttpResponse& response,
                                   FlowStep step, absl::Span<const absl::string_view> secrets);
// NETWORK_ANSWER_INVALID. `what` continues "X's answer ".
absl::Status AnswerInvalid(const catalog::v1::Network& network, absl::string_view what);

// A network's words as they may be shown: UTF-8 without control characters, at most 200 bytes, no
// secret in them.
std::string CleanWords(absl::string_view words, absl::Span<const absl::string_view> secrets);

}  // namespace authurl
