// equals_proto.h: a matcher for messages. Their bytes will not do: maps are written in any order.
#pragma once

#include <gmock/gmock.h>
#include <google/protobuf/util/message_differencer.h>

namespace authurl::testing {

MATCHER_P(EqualsProto, message, "equals " + message.ShortDebugString()) {
  return google::protobuf::util::MessageDifferencer::Equals(arg, message);
}

}  // namespace authurl::testing
