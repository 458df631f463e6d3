#include "deploy/call_arguments.h"

#include <cstdint>
#include <cstdlib>
#include <map>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"

namespace authurl {
namespace {

constexpr absl::string_view kUsage =
    R"(usage: authurl-call [flags] ADDRESS SERVICE/METHOD
       authurl-call [flags] [ADDRESS] list [SERVICE]
       authurl-call [flags] [ADDRESS] describe [NAME]
       authurl-call -version

ADDRESS is host:port or unix:/path. `list` lists the services that can be called, or the methods of one; `describe`
shows a service, a method, a message or an enum, or all services. Neither asks the server. The flags are grpcurl's:
  -plaintext          no TLS
  -cacert FILE        certificates of the authorities that the server's certificate may come from
  -cert FILE          certificate to show to the server (mTLS) ...
  -key FILE           ... and its private key
  -authority NAME     the name that the server's certificate is to have, where ADDRESS is another
  -H 'name: value'    metadata to send; may be repeated. -rpc-header is the same
  -expand-headers     ${NAME} in a -H stands for the environment variable: keeps secrets out of `ps`
  -d JSON             the request; @ reads it from standard input; empty when the flag is missing
  -allow-unknown-fields   passes over fields of the request that there are not
  -emit-defaults      shows the fields of the reply that have no value, too
  -max-time SECONDS   gives up after so long
  -connect-timeout SECONDS   gives up connecting after so long
  -max-msg-sz BYTES   largest reply that is taken; 4 MiB when the flag is missing
  -v                  shows what is sent and received besides the messages; credentials are left out

Exit code: 0, 1 when the call can't be made, or 64 + the gRPC status code of the reply. Methods:
)";

// What the command line says, before it is looked at.
struct Words {
  bool expand_headers = false;
  std::string max_time, connect_timeout, max_reply_bytes;
  std::vector<std::string> headers;
};

bool IsWord(const std::string& method) { return method == "list" || method == "describe"; }

// Replaces every ${NAME} by the environment variable.
absl::StatusOr<std::string> ExpandVariables(std::string text) {
  for (size_t start = text.find("${"); start != std::string::npos; start = text.find("${", start)) {
    const size_t end = text.find('}', start);
    if (end == std::string::npos) break;
    const std::string name = text.substr(start + 2, end - start - 2);
    const char* const value = std::getenv(name.c_str());
    if (value == nullptr) return absl::NotFoundError("no such environment variable: " + name);
    text.replace(start, end + 1 - start, value);
    start += std::string(value).size();
  }
  return text;
}

absl::Status ReadHeaders(const Words& words, CallArguments& arguments) {
  for (const std::string& header : words.headers) {
    const std::pair<std::string, std::string> parts =
        absl::StrSplit(header, absl::MaxSplits(':', 1));
    absl::StatusOr<std::string> value(absl::StripAsciiWhitespace(parts.second));
    if (words.expand_headers) value = ExpandVariables(*std::move(value));
    if (!value.ok()) return value.status();
    arguments.headers.emplace_back(absl::AsciiStrToLower(absl::StripAsciiWhitespace(parts.first)),
                                   *value);
  }
  return absl::OkStatus();
}

absl::Status ReadSeconds(absl::string_view flag, const std::string& text,
                         std::optional<std::chrono::microseconds>& time) {
  if (text.empty()) return absl::OkStatus();
  double seconds = 0;
  if (!absl::SimpleAtod(text, &seconds) || !(seconds > 0 && seconds < 1e6)) {
    return absl::InvalidArgumentError(
        absl::StrCat(flag, " must be a number of seconds greater than 0"));
  }
  time = std::chrono::microseconds(static_cast<int64_t>(seconds * 1e6));
  return absl::OkStatus();
}

absl::Status ReadBytes(const std::string& text, int& bytes) {
  if (text.empty() || (absl::SimpleAtoi(text, &bytes) && bytes > 0)) return absl::OkStatus();
  return absl::InvalidArgumentError("-max-msg-sz must be a number of bytes greater than 0");
}

// What comes after the flags.
absl::Status ReadOperands(std::vector<std::string> operands, CallArguments& arguments) {
  if (!operands.empty() && !IsWord(operands[0])) {
    arguments.address = operands[0];
    operands.erase(operands.begin());
  }
  const bool is_word = !operands.empty() && IsWord(operands[0]);
  if (operands.empty() || operands.size() > (is_word ? 2 : 1) ||
      (arguments.address.empty() && !is_word)) {
    return absl::InvalidArgumentError("give an address and a method after the flags; see -help");
  }
  arguments.method = operands[0];
  if (operands.size() == 2) arguments.argument = operands[1];
  return absl::OkStatus();
}

}  // namespace

absl::string_view CallUsage() { return kUsage; }

absl::StatusOr<CallArguments> ParseCallArguments(const std::vector<std::string>& words) {
  CallArguments arguments;
  Words said;
  std::string header;
  const std::map<std::string, bool*> switches = {
      {"plaintext", &arguments.plaintext},
      {"expand-headers", &said.expand_headers},
      {"emit-defaults", &arguments.emit_defaults},
      {"allow-unknown-fields", &arguments.allow_unknown_fields},
      {"v", &arguments.verbose}};
  const std::map<std::string, std::string*> values = {{"cacert", &arguments.cacert},
                                                      {"cert", &arguments.cert},
                                                      {"key", &arguments.key},
                                                      {"authority", &arguments.authority},
                                                      {"d", &arguments.data},
                                                      {"H", &header},
                                                      {"rpc-header", &header},
                                                      {"max-time", &said.max_time},
                                                      {"connect-timeout", &said.connect_timeout},
                                                      {"max-msg-sz", &said.max_reply_bytes}};
  auto word = words.begin();
  for (; word != words.end() && word->size() > 1 && word->front() == '-'; ++word) {
    absl::string_view flag = *word;
    flag.remove_prefix(absl::StartsWith(flag, "--") ? 2 : 1);
    const std::pair<std::string, std::string> parts = absl::StrSplit(flag, absl::MaxSplits('=', 1));
    if (const auto found = switches.find(std::string(flag)); found != switches.end()) {
      *found->second = true;
      continue;
    }
    const auto found = values.find(parts.first);
    if (found == values.end()) return absl::InvalidArgumentError("unknown flag: " + *word);
    const bool has_value = parts.first.size() < flag.size();
    if (!has_value && ++word == words.end()) {
      return absl::InvalidArgumentError("this flag needs a value: -" + parts.first);
    }
    *found->second = has_value ? parts.second : *word;
    if (found->second == &header) said.headers.push_back(header);
  }
  if (arguments.plaintext && !(arguments.cacert + arguments.cert + arguments.key).empty()) {
    return absl::InvalidArgumentError("-plaintext excludes -cacert, -cert and -key");
  }
  if (arguments.cert.empty() != arguments.key.empty()) {
    return absl::InvalidArgumentError("-cert and -key belong together");
  }
  absl::Status status = ReadOperands(std::vector<std::string>(word, words.end()), arguments);
  status.Update(ReadHeaders(said, arguments));
  status.Update(ReadSeconds("-max-time", said.max_time, arguments.max_time));
  status.Update(ReadSeconds("-connect-timeout", said.connect_timeout, arguments.connect_timeout));
  status.Update(ReadBytes(said.max_reply_bytes, arguments.max_reply_bytes));
  if (!status.ok()) return status;
  return arguments;
}

}  // namespace authurl
