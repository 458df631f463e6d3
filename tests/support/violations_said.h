// violations_said.h: what a check of fields says, as one text.
#pragma once

#include <string>

#include "absl/strings/str_cat.h"
#include "core/errors.h"

namespace authurl::testing {

// "field: description; …" of what `check` adds to the violations that it is given.
template <typename Check>
std::string Said(Check check) {
  FieldViolations violations;
  check(violations);
  std::string said;
  for (const FieldViolation& violation : violations.list()) {
    absl::StrAppend(&said, said.empty() ? "" : "; ", violation.field, ": ", violation.description);
  }
  return said;
}

}  // namespace authurl::testing
