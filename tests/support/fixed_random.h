// fixed_random.h: randomness that is the same in every run.
#pragma once

#include <cstdint>
#include <memory>
#include <random>
#include <span>

#include "core/crypto/crypto.h"

namespace authurl::testing {

// A source whose bytes depend on the seed alone. For one thread at a time.
inline RandomSource SeededRandom(uint32_t seed) {
  auto generator = std::make_shared<std::mt19937>(seed);
  return [generator](std::span<uint8_t> out) {
    for (uint8_t& byte : out) byte = static_cast<uint8_t>((*generator)());
  };
}

// A source that yields 00 01 02 …, on from where it was. For one thread at a time.
inline RandomSource CountingRandom() {
  auto next = std::make_shared<uint8_t>(0);
  return [next](std::span<uint8_t> out) {
    for (uint8_t& byte : out) byte = (*next)++;
  };
}

// The nonce 00 01 02 … 17.
inline Nonce CountingNonce() { return NewNonce(CountingRandom()); }

// The text of a key ring whose one key (id 1) is 32 zero bytes: golden values are made with it.
inline constexpr char kZeroKeyRing[] = "1 AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\n";

}  // namespace authurl::testing
