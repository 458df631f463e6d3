// precompiled.h: headers that nearly every file needs and none of ours. Sources still include what
// they use.
#pragma once

#include <grpcpp/server_builder.h>
#include <grpcpp/server_context.h>

#include "core/precompiled.h"
