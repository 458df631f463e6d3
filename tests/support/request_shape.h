// request_shape.h: what a simulated network takes for the request of a step: the vector's, with any
// flow's values in place of the vector's. Safe to use from many threads at once.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "absl/strings/string_view.h"
#include "tests/core/flow/vectors.h"
#include "tests/support/network_step.h"
#include "tests/support/served_message.h"
#include "tests/support/vector_text.h"

namespace authurl::testing {

// By their names.
using CutParams = std::map<std::string, CutText>;

// The request of a step, with names where the vector has the values of its flow.
struct RequestShape {
  NetworkStep step = NetworkStep::kExchange;
  std::string method;
  std::string host;
  CutText path;  // As it is sent.
  CutParams query;
  CutParams body;
  bool is_json = false;
  CutParams headers;             // By their names in lower case.
  std::optional<CutText> basic;  // The pair of an Authorization header.
  bool basic_is_encoded = false;
  std::string page_param;
  bool is_signed = false;

  // Whether method, host and path are the request's. Adds the path's values.
  bool IsFor(const ServedRequest& request, FoundValues& values) const;
  // Its grant_type, where that is a parameter, is the request's.
  bool HasGrantTypeOf(const ServedRequest& request) const;
  // What is wrong with it, as the end of a sentence; empty where nothing is. Takes the page out.
  std::string Compare(const ServedRequest& request, absl::string_view client_secret,
                      FoundValues& values, std::string& page) const;
  std::string CompareHeaders(const ServedRequest& request, FoundValues& values) const;
};

// `instance`: the configuration's, in place of the vector's. REQUIRES: the vector has a request of
// the step.
RequestShape MakeRequestShape(const VectorFlow& flow, NetworkStep step,
                              const std::string& instance);

// What a request is, as far as can be told.
struct RecognizedRequest {
  const RequestShape* shape = nullptr;  // Null: nothing of the network's.
  FoundValues values;
  std::string page;
  std::string fault;  // Empty: it is as it should be.

  // Empty where it has none of that name.
  std::string Value(const char* name) const {
    const auto found = values.find(name);
    return found == values.end() ? "" : found->second;
  }
};

}  // namespace authurl::testing
