#include "core/errors.h"

#include "absl/strings/cord.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "google/rpc/error_details.pb.h"

namespace authurl {
namespace {

constexpr absl::string_view kDomain = "authurl";
constexpr absl::string_view kErrorInfoUrl = "type.googleapis.com/google.rpc.ErrorInfo";
constexpr absl::string_view kBadRequestUrl = "type.googleapis.com/google.rpc.BadRequest";
constexpr absl::string_view kRetryInfoUrl = "type.googleapis.com/google.rpc.RetryInfo";
// Never leaves the process: server/serving/grpc_status.h passes on the three above only.
constexpr absl::string_view kCauseUrl = "authurl/cause";
// A status travels as metadata, of which a gRPC client takes 8 KiB in all unless it is told
// otherwise: the message twice, once of it in base64, as the violations are.
constexpr size_t kMaxMessageBytes = 1024;
constexpr size_t kMaxViolationBytes = 2560;
constexpr size_t kMaxDescriptionBytes = 512;

void Attach(absl::Status& status, absl::string_view url, const google::protobuf::Message& detail) {
  status.SetPayload(url, absl::Cord(detail.SerializeAsString()));
}

template <typename Detail>
std::optional<Detail> DetailOf(const absl::Status& status, absl::string_view url) {
  const auto payload = status.GetPayload(url);
  Detail detail;
  if (!payload.has_value() || !detail.ParseFromString(std::string(*payload))) return std::nullopt;
  return detail;
}

// Never cut inside of a UTF-8 character, which would make the whole detail invalid.
std::string Shortened(absl::string_view text) {
  if (text.size() <= kMaxDescriptionBytes) return std::string(text);
  size_t end = kMaxDescriptionBytes;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xc0) == 0x80) --end;
  return absl::StrCat(text.substr(0, end), "…");
}

}  // namespace

void FieldViolations::Add(absl::string_view field, absl::string_view description) {
  violations_.push_back({std::string(field), std::string(description)});
}

absl::Status FieldViolations::ToStatus() const {
  if (violations_.empty()) return absl::OkStatus();
  google::rpc::BadRequest bad_request;
  std::string message = "Invalid payload:";
  size_t told = 0;
  size_t detailed = 0;
  for (const FieldViolation& violation : violations_) {
    const std::string description = Shortened(violation.description);
    if (bad_request.ByteSizeLong() + violation.field.size() + description.size() >
        kMaxViolationBytes) {
      break;
    }
    auto* added = bad_request.add_field_violations();
    added->set_field(violation.field);
    added->set_description(description);
    // In the message too, as long as there is room and none was passed over.
    const std::string sentence = absl::StrCat(detailed == 0 ? " " : "; ", violation.field,
                                              violation.field.empty() ? "" : ": ", description);
    if (told == detailed++ && message.size() + sentence.size() <= kMaxMessageBytes) {
      absl::StrAppend(&message, sentence);
      ++told;
    }
  }
  if (told < violations_.size()) {
    absl::StrAppend(&message, "; and ", violations_.size() - told, " more");
  }
  if (detailed < violations_.size()) {
    bad_request.add_field_violations()->set_description(absl::StrCat(
        violations_.size() - detailed, " more faults are not shown; correct these first"));
  }
  absl::Status status = MakeError(absl::StatusCode::kInvalidArgument, "INVALID_PAYLOAD", message);
  Attach(status, kBadRequestUrl, bad_request);
  return status;
}

absl::Status MakeError(absl::StatusCode code, absl::string_view reason, absl::string_view message) {
  absl::Status status(code, message);
  google::rpc::ErrorInfo info;
  info.set_reason(std::string(reason));
  info.set_domain(std::string(kDomain));
  Attach(status, kErrorInfoUrl, info);
  return status;
}

absl::Status MakeRetryableError(absl::StatusCode code, absl::string_view reason,
                                absl::string_view message, absl::Duration retry_after) {
  absl::Status status = MakeError(code, reason, message);
  google::rpc::RetryInfo info;
  info.mutable_retry_delay()->set_seconds(absl::ToInt64Seconds(retry_after));
  info.mutable_retry_delay()->set_nanos(
      static_cast<int32_t>((retry_after % absl::Seconds(1)) / absl::Nanoseconds(1)));
  Attach(status, kRetryInfoUrl, info);
  return status;
}

void AddErrorMetadata(absl::Status& status, absl::string_view key, absl::string_view value) {
  auto info = DetailOf<google::rpc::ErrorInfo>(status, kErrorInfoUrl);
  if (!info.has_value()) return;
  (*info->mutable_metadata())[std::string(key)] = std::string(value);
  Attach(status, kErrorInfoUrl, *info);
}

absl::Status StorageUnavailable(absl::string_view cause) {
  absl::Status status =
      MakeRetryableError(absl::StatusCode::kUnavailable, "STORAGE_UNAVAILABLE",
                         "The credential store can't be reached; try again", absl::Seconds(1));
  status.SetPayload(kCauseUrl, absl::Cord(cause));
  return status;
}

std::string ReasonOf(const absl::Status& status) {
  const auto info = DetailOf<google::rpc::ErrorInfo>(status, kErrorInfoUrl);
  return info.has_value() ? info->reason() : "";
}

std::vector<FieldViolation> ViolationsOf(const absl::Status& status) {
  std::vector<FieldViolation> violations;
  const auto bad_request = DetailOf<google::rpc::BadRequest>(status, kBadRequestUrl);
  if (!bad_request.has_value()) return violations;
  for (const auto& violation : bad_request->field_violations()) {
    violations.push_back({violation.field(), violation.description()});
  }
  return violations;
}

std::optional<absl::Duration> RetryAfterOf(const absl::Status& status) {
  const auto info = DetailOf<google::rpc::RetryInfo>(status, kRetryInfoUrl);
  if (!info.has_value()) return std::nullopt;
  return absl::Seconds(info->retry_delay().seconds()) +
         absl::Nanoseconds(info->retry_delay().nanos());
}

std::string CauseOf(const absl::Status& status) {
  if (const auto cause = status.GetPayload(kCauseUrl)) return std::string(*cause);
  return ReasonOf(status).empty() ? std::string(status.message()) : "";
}

std::string Quoted(absl::string_view value) {
  constexpr size_t kMaxBytes = 64;
  const bool cut = value.size() > kMaxBytes;
  return absl::StrCat("\"", absl::CHexEscape(value.substr(0, kMaxBytes)), cut ? "…\"" : "\"");
}

}  // namespace authurl
