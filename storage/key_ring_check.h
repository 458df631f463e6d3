// key_ring_check.h: proof, kept in the database, that the key ring is the one its records were
// sealed with.
//
// The proof is one sealed empty text for every key that may have sealed a record: that key opens it
// and no other does.
#pragma once

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/crypto/crypto.h"
#include "core/crypto/sealer.h"
#include "storage/backend.h"

namespace authurl {

// Puts the proof into a new database; checks it in any other, and adds the ring's first key if it
// is new. FAILED_PRECONDITION with a sentence for the operator if the ring lacks a key or has
// another one under its id.
absl::Status CheckKeyRing(Backend& backend, const Sealer& sealer, const RandomSource& random);

// Whether the ring's first key is the only one that may have sealed a record.
absl::StatusOr<bool> OnlyFirstKeyInUse(Backend& backend, const Sealer& sealer);
// Says so from now on: the other keys may leave the ring.
absl::Status RecordOnlyFirstKeyInUse(Backend& backend, const Sealer& sealer,
                                     const RandomSource& random);

}  // namespace authurl
