/* proto/arch.h - instruction sets a virtual phone may have, by the names `uname -m` gives. */
#ifndef VALISE_PROTO_ARCH_H
#define VALISE_PROTO_ARCH_H

enum arch { ARCH_X86_64, ARCH_AARCH64 };

extern const char *const arch_names[]; /* by enum arch; NULL-terminated */

#endif
