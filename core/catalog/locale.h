// locale.h: languages as networks write them.
#pragma once

#include <string>

#include "absl/strings/string_view.h"
#include "authurl/catalog/v1/network.pb.h"

namespace authurl {

// The BCP 47 tag as the network writes it; of those that it knows, where it names them, the
// nearest: the same, else one of the same language. Empty where it knows none.
std::string LocaleFor(const catalog::v1::Locale& rules, absl::string_view tag);

}  // namespace authurl
