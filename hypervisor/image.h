/* hypervisor/image.h - the files of a launch spec, checked against their signed roots.
 *
 * Kernel and initrd are copied into sealed memory first and then checked, so what is checked is
 * what runs, whoever can write the slot file.  Disks are checked where they lie, whole, before
 * the guest starts. */
#ifndef VALISE_HYPERVISOR_IMAGE_H
#define VALISE_HYPERVISOR_IMAGE_H

#include "proto/launch.h"

/* A copy of the file in a memfd that no one can write any more.  E_CORRUPT if it does not match
 * its root, or ends early.  *ret is the caller's to close. */
bool image_copy(int *ret, const char *name, const struct launch_file *file,
		struct err *e) MUST_USE;

/* Checks every disk that has a root.  E_CORRUPT names disk and place. */
bool image_check_disks(const struct launch_spec *spec, struct err *e) MUST_USE;

#endif
