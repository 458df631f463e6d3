#include "server/outbound/curl_handles.h"

#include <malloc.h>
#include <openssl/crypto.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <cstring>

namespace authurl {
namespace {

// libcurl has copies of URLs, headers and bodies in its memory.
void FreeWiped(void* memory) {
  if (memory == nullptr) return;
  OPENSSL_cleanse(memory, malloc_usable_size(memory));
  free(memory);
}
void* ReallocWiped(void* memory, size_t size) {
  void* const moved = malloc(size);
  if (moved == nullptr) return nullptr;
  if (memory != nullptr) std::memcpy(moved, memory, std::min(size, malloc_usable_size(memory)));
  FreeWiped(memory);
  return moved;
}

}  // namespace

bool InitCurl() {
  static const bool good = curl_global_init_mem(CURL_GLOBAL_DEFAULT, malloc, FreeWiped,
                                                ReallocWiped, strdup, calloc) == CURLE_OK;
  return good;
}

bool AppendTo(CurlList& list, const std::string& text) {
  curl_slist* const longer = curl_slist_append(list.get(), text.c_str());
  if (longer == nullptr) return false;
  (void)list.release();
  list.reset(longer);
  return true;
}

long ToMilliseconds(absl::Duration duration) {
  return static_cast<long>(std::max<int64_t>(absl::ToInt64Milliseconds(duration), 1));
}

}  // namespace authurl
