#include "tests/fuzz/message_input.h"

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "google/protobuf/descriptor.h"
#include "google/protobuf/io/tokenizer.h"
#include "google/protobuf/stubs/common.h"
#include "google/protobuf/stubs/logging.h"
#include "google/protobuf/text_format.h"

// libFuzzer's own mutations of bytes.
extern "C" size_t LLVMFuzzerMutate(uint8_t* data, size_t size, size_t max_size);

namespace authurl::fuzz {
namespace {

using google::protobuf::EnumDescriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;

constexpr int kMaxDepth = 100;
constexpr size_t kMaxGrowth = 64;

struct Silent final : google::protobuf::io::ErrorCollector {
  void AddError(int, int, const std::string&) override {}
};

bool ParseText(const uint8_t* data, size_t size, Message& message) {
  Silent silent;
  google::protobuf::TextFormat::Parser parser;
  parser.RecordErrorsTo(&silent);
  parser.SetRecursionLimit(kMaxDepth);
  return parser.ParseFromString(std::string(reinterpret_cast<const char*>(data), size), &message);
}

// The message and all those inside it.
void Collect(Message& message, std::vector<Message*>& all) {
  all.push_back(&message);
  const Reflection& reflection = *message.GetReflection();
  std::vector<const FieldDescriptor*> fields;
  reflection.ListFields(message, &fields);
  for (const FieldDescriptor* field : fields) {
    if (field->cpp_type() != FieldDescriptor::CPPTYPE_MESSAGE) continue;
    if (!field->is_repeated()) {
      Collect(*reflection.MutableMessage(&message, field), all);
      continue;
    }
    for (int i = 0; i < reflection.FieldSize(message, field); ++i) {
      Collect(*reflection.MutableRepeatedMessage(&message, field, i), all);
    }
  }
}

class Mutator final {
 public:
  explicit Mutator(unsigned seed) : random_(seed) {}

  bool OneIn(size_t n) { return Below(n) == 0; }

  void Mutate(Message& message) {
    std::vector<Message*> all;
    Collect(message, all);
    Message& chosen = *all[Below(all.size())];
    const auto& type = *chosen.GetDescriptor();
    if (type.field_count() == 0) return;
    const auto& field =
        *type.field(static_cast<int>(Below(static_cast<size_t>(type.field_count()))));
    if (field.is_repeated()) {
      MutateRepeated(chosen, field);
    } else if (OneIn(8)) {
      chosen.GetReflection()->ClearField(&chosen, &field);
    } else {
      MutateSingular(chosen, field);
    }
  }

 private:
  size_t Below(size_t n) { return random_() % n; }

  std::string MutatedBytes(std::string bytes, FieldDescriptor::Type type) {
    const size_t size = bytes.size();
    bytes.resize(size + kMaxGrowth);
    auto* data = reinterpret_cast<uint8_t*>(bytes.data());
    bytes.resize(LLVMFuzzerMutate(data, size, bytes.size()));
    // A message whose text is not UTF-8 goes no further; that is soon tried out.
    if (type == FieldDescriptor::TYPE_STRING && !OneIn(32) &&
        !google::protobuf::internal::IsStructurallyValidUTF8(bytes)) {
      for (char& c : bytes) c = static_cast<char>(c & 0x7f);
    }
    return bytes;
  }

  template <typename Number>
  Number MutatedNumber(Number number) {
    if (OneIn(4)) return static_cast<Number>(Below(3));
    LLVMFuzzerMutate(reinterpret_cast<uint8_t*>(&number), sizeof(number), sizeof(number));
    return number;
  }

  int AnyOf(const EnumDescriptor& type) {
    return type.value(static_cast<int>(Below(static_cast<size_t>(type.value_count()))))->number();
  }

  void MutateSingular(Message& message, const FieldDescriptor& field) {
    const Reflection& reflection = *message.GetReflection();
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_STRING:
        return reflection.SetString(
            &message, &field, MutatedBytes(reflection.GetString(message, &field), field.type()));
      case FieldDescriptor::CPPTYPE_BOOL:
        return reflection.SetBool(&message, &field, !reflection.GetBool(message, &field));
      case FieldDescriptor::CPPTYPE_ENUM:
        return reflection.SetEnumValue(&message, &field, AnyOf(*field.enum_type()));
      case FieldDescriptor::CPPTYPE_INT32:
        return reflection.SetInt32(&message, &field,
                                   MutatedNumber(reflection.GetInt32(message, &field)));
      case FieldDescriptor::CPPTYPE_UINT32:
        return reflection.SetUInt32(&message, &field,
                                    MutatedNumber(reflection.GetUInt32(message, &field)));
      case FieldDescriptor::CPPTYPE_INT64:
        return reflection.SetInt64(&message, &field,
                                   MutatedNumber(reflection.GetInt64(message, &field)));
      case FieldDescriptor::CPPTYPE_UINT64:
        return reflection.SetUInt64(&message, &field,
                                    MutatedNumber(reflection.GetUInt64(message, &field)));
      case FieldDescriptor::CPPTYPE_MESSAGE:
        reflection.MutableMessage(&message, &field);
        return;
      default:
        return;
    }
  }

  // Our repeated fields are text or messages.
  void MutateRepeated(Message& message, const FieldDescriptor& field) {
    const Reflection& reflection = *message.GetReflection();
    const int size = reflection.FieldSize(message, &field);
    const int at = size == 0 ? 0 : static_cast<int>(Below(static_cast<size_t>(size)));
    if (size > 0 && OneIn(4)) {
      reflection.SwapElements(&message, &field, at, size - 1);
      return reflection.RemoveLast(&message, &field);
    }
    if (field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE) {
      Message* added = reflection.AddMessage(&message, &field);
      if (size > 0 && OneIn(2)) {
        added->CopyFrom(reflection.GetRepeatedMessage(message, &field, at));
      }
    } else if (field.cpp_type() == FieldDescriptor::CPPTYPE_STRING) {
      if (size == 0 || OneIn(3)) {
        return reflection.AddString(&message, &field, MutatedBytes("", field.type()));
      }
      reflection.SetRepeatedString(
          &message, &field, at,
          MutatedBytes(reflection.GetRepeatedString(message, &field, at), field.type()));
    }
  }

  std::minstd_rand random_;
};

}  // namespace

bool ReadMessage(const uint8_t* data, size_t size, Message& message) {
  // Text that is not UTF-8 is a caller's fault, and would be logged each time.
  static const google::protobuf::LogSilencer silencer;
  return ParseText(data, size, message) && message.ParseFromString(message.SerializeAsString());
}

size_t MutateMessage(uint8_t* data, size_t size, size_t max_size, unsigned seed, Message& message) {
  Mutator mutator(seed);
  if (mutator.OneIn(32) || !ParseText(data, size, message)) {
    return LLVMFuzzerMutate(data, size, max_size);
  }
  do {
    mutator.Mutate(message);
  } while (mutator.OneIn(2));
  std::string text;
  google::protobuf::TextFormat::PrintToString(message, &text);
  if (text.size() > max_size) return size;
  std::copy(text.begin(), text.end(), data);
  return text.size();
}

}  // namespace authurl::fuzz
