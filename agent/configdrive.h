/* agent/configdrive.h - the configuration drive: how settings reach the guest (docs/GUEST.md).
 *
 * An ISO 9660 image with the volume label `cidata`, as cloud-init's NoCloud wants it: `meta-data` with the
 * identity of this boot and `user-data` with the policy's settings.  It is made anew for each boot, in
 * memory only (memfd): application settings may hold passwords and shall not stay on the handset's
 * disk.  The one user of libarchive. */
#ifndef VALISE_AGENT_CONFIGDRIVE_H
#define VALISE_AGENT_CONFIGDRIVE_H

#include "base/err.h"

enum { CONFIGDRIVE_FILE_MAX = 262144, BOOT_NONCE_TEXT = 33 };

struct configdrive {
	const char *instance; /* stays the same for one handset */
	const char *hostname; /* a name (base/text.h) */
	const char *boot;     /* 32 hexadecimal digits, new at each boot */
	const char *product, *version;
	const char *apps_config; /* JSON object text, "{}" for none; taken as it is */
	int64_t made_s;          /* time stamp of the files */
};

/* *ret: a descriptor that can only be read, the caller's to close.  E_TOO_BIG for settings beyond
 * CONFIGDRIVE_FILE_MAX; E_FORMAT for a text with a control character. */
bool configdrive_make(int *ret, const struct configdrive *c, struct err *e) MUST_USE;

#endif
