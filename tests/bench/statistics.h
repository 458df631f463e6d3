// statistics.h: what rounds of a measurement come to.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"

namespace authurl::bench {

// REQUIRES: there are values.
inline double Median(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const size_t middle = values.size() / 2;
  return values.size() % 2 == 1 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

// Round by round: both measurements of a ratio come from the same round, seconds apart, so that a
// slow drift of the machine cancels out. REQUIRES: as many of the one as of the other.
inline std::vector<double> Ratios(const std::vector<double>& values,
                                  const std::vector<double>& base) {
  std::vector<double> ratios;
  for (size_t i = 0; i < values.size(); ++i) ratios.push_back(values[i] / base[i]);
  return ratios;
}

// "1.10 (1.05-1.12)": median and range.
inline std::string MedianAndRange(const std::vector<double>& values, int decimals = 2) {
  const auto [low, high] = std::minmax_element(values.begin(), values.end());
  return absl::StrFormat("%.*f (%.*f-%.*f)", decimals, Median(values), decimals, *low, decimals,
                         *high);
}

}  // namespace authurl::bench
