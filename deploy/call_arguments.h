#ifndef AUTHURL_DEPLOY_CALL_ARGUMENTS_H_
#define AUTHURL_DEPLOY_CALL_ARGUMENTS_H_

#include <chrono>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace authurl {

// What authurl-call was told on its command line: grpcurl's arguments, as far as it has them.
struct CallArguments {
  bool plaintext = false;
  bool verbose = false;
  bool emit_defaults = false;
  bool allow_unknown_fields = false;
  // PEM files; empty for none.
  std::string cacert, cert, key;
  // The name that the server is to have, instead of the one in `address`; empty for that one.
  std::string authority;
  // The request in JSON; "@" for that on standard input.
  std::string data;
  // Metadata to send: name in lower case, value with its variables filled in.
  std::vector<std::pair<std::string, std::string>> headers;
  // How long the call, and before it the connecting, may take; unset for as long as it takes.
  std::optional<std::chrono::microseconds> max_time, connect_timeout;
  // Largest reply in bytes; 0 for gRPC's own limit.
  int max_reply_bytes = 0;
  // Empty where `method` is a word that needs none.
  std::string address;
  // "service/method", or one of the words "list" and "describe", whose argument is `argument`;
  // empty for none.
  std::string method, argument;
};

// The flags and what they do, for -help.
absl::string_view CallUsage();

// Reads them as Go's flag package does: "-name value", "-name=value", or either with two dashes;
// flags come first. INVALID_ARGUMENT or NOT_FOUND (a variable of the environment) says in one line
// what is wrong.
absl::StatusOr<CallArguments> ParseCallArguments(const std::vector<std::string>& words);

}  // namespace authurl

#endif  // AUTHURL_DEPLOY_CALL_ARGUMENTS_H_
