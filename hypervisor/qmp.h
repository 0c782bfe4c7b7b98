/* hypervisor/qmp.h - the little of QEMU's machine protocol that the monitor needs.  Pure.
 *
 * A guest that took over QEMU can say anything here: lines are read by the strict JSON reader,
 * and what they say decides only which reason is reported. */
#ifndef VALISE_HYPERVISOR_QMP_H
#define VALISE_HYPERVISOR_QMP_H

#include "base/err.h"

enum qmp_said {
	QMP_OTHER,
	QMP_SHUTDOWN_GUEST, /* the guest powered off */
	QMP_SHUTDOWN_RESET, /* the guest asked for a reset, or panicked with panic=-1 */
	QMP_SHUTDOWN_HOST,  /* because we or a signal said so */
};

/* Lines that cannot be read are QMP_OTHER. */
enum qmp_said qmp_parse(const void *p, size_t n);

/* What we say, each with its newline. */
extern const char qmp_hello[];     /* leaves the greeting mode; first of all */
extern const char qmp_powerdown[]; /* presses the ACPI power button */

#endif
