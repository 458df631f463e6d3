// record_size.h: how much memory a record takes, for bounding what is kept of them.
#pragma once

#include <cstddef>
#include <string>

#include "authurl/record/v1/record.pb.h"

namespace authurl {

// What the allocator (glibc's) takes for one allocation of so many bytes: a header of 8 bytes, in
// multiples of 16.
constexpr size_t AllocatedBytes(size_t bytes) {
  return bytes < 24 ? 32 : (bytes + 23) & ~size_t{15};
}

// The characters of a std::string, beyond the object itself.
size_t AllocatedBytes(const std::string& text);

// A record that std::make_shared made, with all that it points to. Not protobuf's SpaceUsedLong():
// that leaves out what the allocator adds, a third of such small pieces.
size_t SharedBytes(const record::v1::ApiKey& key);
size_t SharedBytes(const record::v1::Organization& organization);
size_t SharedBytes(const record::v1::SocialNetworkSettings& settings);
size_t SharedBytes(const record::v1::Grant& grant);
size_t SharedBytes(const record::v1::SocialAccount& account);

}  // namespace authurl
