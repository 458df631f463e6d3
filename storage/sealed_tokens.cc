#include "storage/sealed_tokens.h"

#include <google/protobuf/io/coded_stream.h>

#include <cstdint>
#include <utility>

#include "absl/time/time.h"
#include "core/crypto/crypto.h"

namespace authurl {
namespace {

using record::v1::ChoiceTokens;
using record::v1::Grant;
using record::v1::GrantTokens;
using record::v1::SocialAccountToken;

// Wiped at its end.
struct WipedTokens {
  WipedTokens() = default;
  WipedTokens(const WipedTokens&) = delete;
  WipedTokens& operator=(const WipedTokens&) = delete;
  ~WipedTokens() {
    Wipe(*record.mutable_access_token());
    Wipe(*record.mutable_refresh_token());
    Wipe(*record.mutable_id_token());
    for (auto& [name, value] : *record.mutable_kept()) Wipe(value);
  }

  GrantTokens record;
};

// The text of the thread whose memory the next opened token has. Else each took an allocation of a
// size that malloc has to look for.
std::string& SpareText() {
  thread_local std::string spare;
  return spare;
}
// What is larger is not kept.
constexpr size_t kMaxSpareBytes = 16'384;

bool Parses(google::protobuf::MessageLite& record, absl::string_view bytes) {
  return record.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()));
}

int64_t MillisOf(const std::optional<absl::Time>& time) {
  return time ? absl::ToUnixMillis(*time) : 0;
}

std::optional<absl::Time> TimeOf(int64_t unix_ms) {
  if (unix_ms == 0) return std::nullopt;
  return absl::FromUnixMillis(unix_ms);
}

}  // namespace

std::string SerializeTokens(const TokenSet& tokens) {
  WipedTokens wiped;
  wiped.record.set_access_token(tokens.access_token);
  wiped.record.set_refresh_token(tokens.refresh_token);
  wiped.record.set_id_token(tokens.id_token);
  for (const auto& [name, value] : tokens.kept) (*wiped.record.mutable_kept())[name] = value;
  return wiped.record.SerializeAsString();
}

std::optional<TokenSet> ParseTokens(absl::string_view bytes) {
  WipedTokens wiped;
  if (!Parses(wiped.record, bytes)) return std::nullopt;
  TokenSet tokens;
  tokens.access_token = wiped.record.access_token();
  tokens.refresh_token = wiped.record.refresh_token();
  tokens.id_token = wiped.record.id_token();
  for (const auto& [name, value] : wiped.record.kept()) tokens.kept[name] = value;
  return tokens;
}

void DescribeTokens(const TokenSet& tokens, Grant& grant) {
  grant.set_scopes_are_known(tokens.scopes.has_value());
  grant.clear_scopes();
  if (tokens.scopes) grant.mutable_scopes()->Add(tokens.scopes->begin(), tokens.scopes->end());
  grant.set_access_token_expires_at_ms(MillisOf(tokens.access_token_expires_at));
  grant.set_refresh_token_expires_at_ms(MillisOf(tokens.refresh_token_expires_at));
  grant.set_has_refresh_token(!tokens.refresh_token.empty());
  grant.set_has_id_token(!tokens.id_token.empty());
  grant.clear_kept_names();
  for (const auto& [name, value] : tokens.kept) grant.add_kept_names(name);
}

void CompleteTokens(const Grant& grant, TokenSet& tokens) {
  tokens.access_token_expires_at = TimeOf(grant.access_token_expires_at_ms());
  tokens.refresh_token_expires_at = TimeOf(grant.refresh_token_expires_at_ms());
  tokens.scopes = std::nullopt;
  if (grant.scopes_are_known()) tokens.scopes.emplace(grant.scopes().begin(), grant.scopes().end());
  tokens.subject = grant.subject();
}

static_assert(int{GrantTokens::kAccessTokenFieldNumber} ==
              int{SocialAccountToken::kAccessTokenFieldNumber});

OpenedAccessToken::OpenedAccessToken() : bytes_(std::exchange(SpareText(), std::string())) {}

OpenedAccessToken::~OpenedAccessToken() {
  Wipe(bytes_);
  // One that was moved from has nothing to give.
  std::string& spare = SpareText();
  if (bytes_.capacity() > spare.capacity() && bytes_.capacity() <= kMaxSpareBytes) {
    spare.swap(bytes_);
  }
}

absl::StatusOr<OpenedAccessToken> OpenedAccessToken::From(
    absl::FunctionRef<absl::Status(std::string&)> open) {
  OpenedAccessToken opened;
  if (absl::Status status = open(opened.bytes_); !status.ok()) return status;
  if (!opened.FindToken()) {
    return absl::InternalError("the tokens of a record are not what was sealed");
  }
  return opened;
}

bool OpenedAccessToken::FindToken() {
  // All fields of both are texts or messages, with their length in front.
  constexpr uint32_t kLengthDelimited = 2;
  constexpr uint32_t kTag = GrantTokens::kAccessTokenFieldNumber << 3 | kLengthDelimited;
  google::protobuf::io::CodedInputStream in(reinterpret_cast<const uint8_t*>(bytes_.data()),
                                            static_cast<int>(bytes_.size()));
  while (const uint32_t tag = in.ReadTag()) {
    int size = 0;
    if ((tag & 7) != kLengthDelimited || !in.ReadVarintSizeAsInt(&size)) return false;
    if (tag == kTag) {
      begin_ = static_cast<size_t>(in.CurrentPosition());
      size_ = static_cast<size_t>(size);
    }
    if (!in.Skip(size)) return false;
  }
  return in.ConsumedEntireMessage();
}

std::string SerializeOwnToken(absl::string_view access_token) {
  SocialAccountToken record;
  record.set_access_token(access_token.data(), access_token.size());
  std::string bytes = record.SerializeAsString();
  Wipe(*record.mutable_access_token());
  return bytes;
}

std::optional<std::string> ParseOwnToken(absl::string_view bytes) {
  SocialAccountToken record;
  if (!Parses(record, bytes)) return std::nullopt;
  return std::move(*record.mutable_access_token());
}

std::string SerializeChoiceTokens(absl::Span<const absl::string_view> access_tokens) {
  ChoiceTokens record;
  for (const absl::string_view token : access_tokens) {
    record.add_access_tokens(token.data(), token.size());
  }
  std::string bytes = record.SerializeAsString();
  for (std::string& token : *record.mutable_access_tokens()) Wipe(token);
  return bytes;
}

std::optional<std::vector<std::string>> ParseChoiceTokens(absl::string_view bytes) {
  ChoiceTokens record;
  if (!Parses(record, bytes)) return std::nullopt;
  std::vector<std::string> tokens;
  for (std::string& token : *record.mutable_access_tokens()) tokens.push_back(std::move(token));
  // Short texts are copied where they are moved from.
  for (std::string& token : *record.mutable_access_tokens()) Wipe(token);
  return tokens;
}

}  // namespace authurl
