/* hypervisor/kvm.h - can this host's KVM run a stock kernel?
 *
 * Opening /dev/kvm and asking for capabilities does not tell: under some virtualised hosts
 * guest kernel code is emulated instruction by instruction at about 2 MIPS and dies at the first
 * `lock cmpxchg16b`, which looks like a hanging guest.  So a tiny guest is run that does what
 * every kernel does in its first milliseconds:
 *
 *	long mode with paging; int3 and iretq; a million iterations within LOOP_LIMIT_MS;
 *	lock cmpxchg16b; iretq to CPL 3; int 0x80 from CPL 3 through a TSS stack switch.
 *
 * It runs in a forked child, so that even a KVM that never returns costs PROBE_LIMIT_MS only.
 * On a healthy host it takes a few milliseconds. */
#ifndef VALISE_HYPERVISOR_KVM_H
#define VALISE_HYPERVISOR_KVM_H

#include "base/err.h"

/* True if a stock kernel will run.  Otherwise e says why not: E_UNSUPPORTED with the step that
 * failed.  Changes nothing on the host. */
bool kvm_probe(struct err *e) MUST_USE;

#endif
