// build_kind.h: whether the tests run under a sanitizer, where everything is several times slower
// and larger.
#pragma once

namespace authurl::testing {

#if defined(AUTHURL_SANITIZED)
inline constexpr bool kSanitized = true;
#else
inline constexpr bool kSanitized = false;
#endif

// To tell whether an object can be read, UndefinedBehaviorSanitizer, which the preset asan has too,
// opens a pipe: where a test leaves no file descriptors, it takes all for broken.
#if defined(AUTHURL_ASAN)
inline constexpr bool kNeedsFileDescriptors = true;
#else
inline constexpr bool kNeedsFileDescriptors = false;
#endif

// Divide large counts of repetitions by this.
inline constexpr int kSlowdown = kSanitized ? 20 : 1;

}  // namespace authurl::testing
