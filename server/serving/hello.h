// hello.h: whether what a peer has sent so far is the beginning that a server waits for.
#pragma once

#include <cstddef>

#include "absl/strings/string_view.h"

namespace authurl {

// Real ones have 200 bytes to a few KiB.
inline constexpr size_t kMaxHelloBytes = 16 * 1024;

enum class Hello {
  kUnfinished,  // As far as it goes it is right.
  kWhole,       // All that a peer says before it waits for the server; more may follow.
  kWrong,
};

// A TLS ClientHello, in one record or in several. Looks at its length, not at what it asks for.
Hello LookAtTlsHello(absl::string_view bytes);

// The preface with which a client of plaintext HTTP/2 begins.
Hello LookAtHttp2Preface(absl::string_view bytes);

}  // namespace authurl
