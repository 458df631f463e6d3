// curl_handles.h: libcurl's memory, which is wiped when it is freed, and its handles, which free
// themselves. For the files curl_* alone.
#pragma once

#include <curl/curl.h>

#include <memory>
#include <string>

#include "absl/time/time.h"

namespace authurl {

// False where libcurl does not work. REQUIRES: called before all else here. Safe to call again, and
// from many threads at once.
bool InitCurl();

struct CurlDeleter {
  void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
// CURL and CURLM are the same type to the compiler.
struct CurlEasyDeleter {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
using CurlMulti = std::unique_ptr<CURLM, CurlDeleter>;
using CurlEasy = std::unique_ptr<CURL, CurlEasyDeleter>;
using CurlUrl = std::unique_ptr<CURLU, CurlDeleter>;
using CurlList = std::unique_ptr<curl_slist, CurlDeleter>;

// False where there is no memory; the list is as it was then.
bool AppendTo(CurlList& list, const std::string& text);

// At least 1: to libcurl, 0 is no limit, or no wait.
long ToMilliseconds(absl::Duration duration);

}  // namespace authurl
