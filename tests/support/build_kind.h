// build_kind.h: whether the tests run under a sanitizer, where everything is several times slower
// and larger.
#pragma once

namespace authurl::testing {

#if defined(AUTHURL_SANITIZED)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

// Divide large counts of repetitions by this.
inline constexpr int kSlowdown = kSanitized ? 20 : 1;

}  // namespace authurl::testing
