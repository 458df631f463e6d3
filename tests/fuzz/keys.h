// keys.h: a key ring that is the same in every run.
#pragma once

#include "core/crypto/crypto.h"
#include "core/crypto/key_ring.h"
#include "core/crypto/sealer.h"
#include "tests/fuzz/must.h"
#include "tests/support/fixed_random.h"

namespace authurl::fuzz {

inline const Sealer& FixedSealer() {
  static const bool ready = InitCrypto().ok();
  Must(ready, "the cryptographic library works");
  static const KeyRing keys = *KeyRing::Parse(testing::kZeroKeyRing);
  static const Sealer sealer(keys);
  return sealer;
}

}  // namespace authurl::fuzz
