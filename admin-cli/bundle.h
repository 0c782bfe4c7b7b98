/* admin-cli/bundle.h - a policy bundle out of what people write.
 *
 * The input is a bundle (FORMATS.md section 7) of which only `name` and `settings` must be there; `format`,
 * `version`, `issued_at` and `not_before` are filled in.  The output is canonical and has passed
 * policy_parse. */
#ifndef VALISE_ADMIN_CLI_BUNDLE_H
#define VALISE_ADMIN_CLI_BUNDLE_H

#include "proto/policy.h"
#include "proto/tuf.h"

/* Appends the bundle.  next_version is for an input without one; not_before is issued_at unless
 * given. */
bool bundle_fill_in(struct buf *out, struct policy **ret, const struct jval *in,
		    uint64_t next_version, int64_t now_s, struct err *e) MUST_USE;

/* One more than the newest version of this bundle that the role names; role NULL: 1. */
bool bundle_next_version(uint64_t *ret, const struct tuf_meta *role, const char *name,
			 struct err *e) MUST_USE;

/* Appends the settings of a bundle, a line each: "  vm.vcpus_max = 2". */
bool bundle_settings(struct buf *out, const void *p, size_t n, struct err *e) MUST_USE;

#endif
