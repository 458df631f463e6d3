// figures.h: the last line that every benchmark prints, for tests/bench/run.sh to read.
#pragma once

#include <cstdio>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"

namespace authurl::bench {

using Figures = std::vector<std::pair<std::string, double>>;

// {"qps_ratio": 0.95, "cpu_ratio": 1.03}
inline void PrintFigures(const Figures& figures) {
  const auto format = [](std::string* out, const Figures::value_type& figure) {
    absl::StrAppendFormat(out, "\"%s\": %.4g", figure.first, figure.second);
  };
  absl::PrintF("{%s}\n", absl::StrJoin(figures, ", ", format));
  std::fflush(stdout);
}

}  // namespace authurl::bench
