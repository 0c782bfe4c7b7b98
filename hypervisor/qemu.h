/* hypervisor/qemu.h - QEMU's command line for one launch spec.  Pure.
 *
 * The machine is the smallest that a stock kernel boots on reliably: q35, virtio on PCI, one
 * serial port.  Nothing of the host is in it but descriptors: no default devices, no user
 * configuration, no shared folder, no display, no path below the state directory. */
#ifndef VALISE_HYPERVISOR_QEMU_H
#define VALISE_HYPERVISOR_QEMU_H

#include "proto/launch.h"

#define QEMU_X86_64 "/usr/bin/qemu-system-x86_64"

/* Descriptors that QEMU inherits under these numbers. */
struct qemu_fds {
	int kernel, initrd;               /* sealed copies; initrd -1 for none */
	int qmp, serial, health, control; /* QEMU's ends of stream socket pairs */
	int net;                          /* the same for its network card; -1: it has none */
};

enum { QEMU_ARGS_MAX = 128 };

struct qemu_args {
	const char *v[QEMU_ARGS_MAX + 1]; /* NULL-terminated; texts lie in `text` */
	size_t n;
	struct buf text;
	int keep_fds[LAUNCH_DISKS_MAX + 8];
	size_t n_keep_fds;
};

bool qemu_args_init(struct qemu_args *a, const struct launch_spec *spec,
		    const struct qemu_fds *fds, bool kvm, struct err *e) MUST_USE;
void qemu_args_done(struct qemu_args *a);

#endif
