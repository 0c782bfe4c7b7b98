/* storage/target.h - whom a rollout or a policy reaches: everybody, a group or one device.
 *
 * Closeness, for what wins between settings without an order of strictness (FORMATS.md section
 * 7): device, then group, then all. */
#ifndef VALISE_STORAGE_TARGET_H
#define VALISE_STORAGE_TARGET_H

#include "base/err.h"
#include "base/limits.h"

/* The numbers are stored and never change; greater is closer. */
enum target_kind { TARGET_ALL = 0, TARGET_GROUP = 1, TARGET_DEVICE = 2 };

struct target {
	enum target_kind kind;
	char name[LIMIT_NAME + 1]; /* the group or the device id; "" for all */
};

/* Whether kind and name fit together.  E_FORMAT. */
bool target_check(const struct target *t, struct err *e) MUST_USE;

#endif
