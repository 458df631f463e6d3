// precompiled.h: headers that nearly every test needs and none of ours. Sources still include what
// they use.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "core/precompiled.h"
