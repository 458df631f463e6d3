// message_input.h: fuzz inputs that are protobuf messages in text format.
#pragma once

#include <cstddef>
#include <cstdint>

#include "google/protobuf/message.h"

namespace authurl::fuzz {

// Reads the message as a caller's would be read, who sends valid UTF-8 or is refused. False where
// the input is no such message; says nothing of it.
bool ReadMessage(const uint8_t* data, size_t size, google::protobuf::Message& message);

// For LLVMFuzzerCustomMutator: changes some fields of the message, and now and then the bytes of
// its text. `message` is empty, and of the input's type.
size_t MutateMessage(uint8_t* data, size_t size, size_t max_size, unsigned seed,
                     google::protobuf::Message& message);

}  // namespace authurl::fuzz
