#include "storage/key_ring_check.h"

#include <optional>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "storage/tables.h"

namespace authurl {
namespace {

constexpr absl::string_view kKeyRingCheckName = "key_ring_check";
constexpr absl::string_view kKeyRingCheckContext = "authurl key ring check";

std::string NewProof(const Sealer& sealer, const RandomSource& random) {
  return sealer.Seal(Purpose::kKeyRingCheck, NewNonce(random), "", kKeyRingCheckContext);
}

absl::Status Refused(absl::string_view what) {
  return absl::FailedPreconditionError(
      absl::StrCat("this key ring does not belong to this database: ", what));
}

// A database without a proof must be a new one.
absl::Status CheckNoRecords(Backend& backend) {
  bool is_empty = true;
  for (const Table* table : {&kOrganizations, &kApiKeys}) {
    const auto page =
        backend.List(CallContext::Background(), *table, std::nullopt, "", {.rows = 1}, 0);
    if (!page.ok()) return page.status();
    if (!page->rows.empty()) is_empty = false;
  }
  if (is_empty) return absl::OkStatus();
  return Refused(
      "its proof of the key ring is missing, so the database was damaged; restore it from a "
      "backup");
}

absl::Status CheckProof(const Sealer& sealer, absl::string_view proof) {
  const std::optional<SealedHeader> header = ReadSealedHeader(proof);
  if (!header) return Refused("its proof of the key ring is damaged; restore it from a backup");
  const int key_id = header->key_id;
  if (sealer.keys().Find(header->key_id, Purpose::kKeyRingCheck) == nullptr) {
    return Refused(absl::StrCat(
        "records may be sealed under key ", key_id,
        ", which is not in the ring; put that key back, or name the key-ring file that the "
        "database was made with"));
  }
  if (!sealer.Open(Purpose::kKeyRingCheck, proof, kKeyRingCheckContext).ok()) {
    return Refused(absl::StrCat(
        "its key ", key_id,
        " is another one than the ring's; name the key-ring file that the database was made "
        "with"));
  }
  return absl::OkStatus();
}

}  // namespace

absl::Status CheckKeyRing(Backend& backend, const Sealer& sealer, const RandomSource& random) {
  const absl::StatusOr<std::optional<std::string>> stored = backend.GetMeta(kKeyRingCheckName);
  if (!stored.ok()) return stored.status();
  if (!*stored) {
    if (const absl::Status status = CheckNoRecords(backend); !status.ok()) return status;
    return RecordOnlyFirstKeyInUse(backend, sealer, random);
  }
  const absl::string_view proofs = **stored;
  bool has_first_key = false;
  for (size_t begin = 0; begin == 0 || begin < proofs.size(); begin += kSealedOverhead) {
    const absl::string_view proof = proofs.substr(begin, kSealedOverhead);
    if (const absl::Status status = CheckProof(sealer, proof); !status.ok()) return status;
    if (ReadSealedHeader(proof)->key_id == sealer.keys().primary_id()) has_first_key = true;
  }
  if (has_first_key) return absl::OkStatus();
  return backend.PutMeta(kKeyRingCheckName, absl::StrCat(proofs, NewProof(sealer, random)));
}

absl::StatusOr<bool> OnlyFirstKeyInUse(Backend& backend, const Sealer& sealer) {
  const absl::StatusOr<std::optional<std::string>> stored = backend.GetMeta(kKeyRingCheckName);
  if (!stored.ok()) return stored.status();
  if (!*stored || (*stored)->size() != kSealedOverhead) return false;
  return ReadSealedHeader(**stored)->key_id == sealer.keys().primary_id();
}

absl::Status RecordOnlyFirstKeyInUse(Backend& backend, const Sealer& sealer,
                                     const RandomSource& random) {
  return backend.PutMeta(kKeyRingCheckName, NewProof(sealer, random));
}

}  // namespace authurl
