#include "server/serving/hello.h"

#include <cstdint>

#include "absl/strings/match.h"

namespace authurl {
namespace {

// RFC 8446: a record is a type, a version, and 16 bits of length; a handshake message is a type and
// 24 bits of length, and may be cut into records anywhere.
constexpr uint8_t kHandshakeRecord = 22;
constexpr uint8_t kMajorVersion = 3;
constexpr size_t kRecordHeaderBytes = 5;
constexpr size_t kMaxRecordBytes = 16 * 1024;
constexpr uint8_t kClientHello = 1;
constexpr size_t kMessageHeaderBytes = 4;

uint8_t ByteAt(absl::string_view bytes, size_t position) {
  return static_cast<uint8_t>(bytes[position]);
}

}  // namespace

Hello LookAtTlsHello(absl::string_view bytes) {
  size_t length = kMessageHeaderBytes;  // Of the message, as far as its header is there.
  size_t seen = 0;                      // Of the message.
  while (true) {
    if (!bytes.empty() && ByteAt(bytes, 0) != kHandshakeRecord) return Hello::kWrong;
    if (bytes.size() > 1 && ByteAt(bytes, 1) != kMajorVersion) return Hello::kWrong;
    if (bytes.size() < kRecordHeaderBytes) return Hello::kUnfinished;
    const size_t record_bytes = size_t{ByteAt(bytes, 3)} << 8 | ByteAt(bytes, 4);
    if (record_bytes == 0 || record_bytes > kMaxRecordBytes) return Hello::kWrong;
    bytes.remove_prefix(kRecordHeaderBytes);
    const absl::string_view record = bytes.substr(0, record_bytes);
    for (size_t i = 0; i < record.size() && seen + i < kMessageHeaderBytes; ++i) {
      const size_t place = seen + i;
      if (place == 0 && ByteAt(record, i) != kClientHello) return Hello::kWrong;
      if (place > 0) length += size_t{ByteAt(record, i)} << 8 * (kMessageHeaderBytes - 1 - place);
    }
    if (length > kMaxHelloBytes) return Hello::kWrong;
    seen += record.size();
    if (seen >= kMessageHeaderBytes && seen >= length) return Hello::kWhole;
    if (record.size() < record_bytes) return Hello::kUnfinished;
    bytes.remove_prefix(record_bytes);
  }
}

Hello LookAtHttp2Preface(absl::string_view bytes) {
  constexpr absl::string_view kPreface = "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
  if (absl::StartsWith(bytes, kPreface)) return Hello::kWhole;
  return absl::StartsWith(kPreface, bytes) ? Hello::kUnfinished : Hello::kWrong;
}

}  // namespace authurl
