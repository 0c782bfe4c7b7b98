#include "proto/arch.h"

#include <stddef.h>

const char *const arch_names[] = { [ARCH_X86_64] = "x86_64", [ARCH_AARCH64] = "aarch64", NULL };
