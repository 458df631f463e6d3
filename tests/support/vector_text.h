// vector_text.h: texts of a vector, cut where they have values of its flow, so that the same text
// with another flow's values can be told, and those values be read. Functions of values only.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace authurl::testing {

// A piece of a vector's text: as it is, or the name of the value that is there.
struct TextPiece {
  bool is_value = false;
  std::string text;
};
using CutText = std::vector<TextPiece>;
// By their names.
using FoundValues = std::map<std::string, std::string>;

// A value of every vector's flow, such as "code" with the text "code/+1".
struct KnownValue {
  std::string name;
  std::string text;
};
using KnownValues = std::vector<KnownValue>;

// Percent-encoded as well as they are.
KnownValues EncodedToo(const KnownValues& known);

CutText CutAtValues(absl::string_view text, const KnownValues& known);

// Whether `text` is what the vector has, but for the values, which are added to `values`; each is
// the same wherever it is. With `is_encoded` they are decoded.
bool FindValues(const CutText& cut, absl::string_view text, bool is_encoded, FoundValues& values);

}  // namespace authurl::testing
