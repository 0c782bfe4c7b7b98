/* server/api_audit.c - the audit log, for whoever checks it from outside. */
#include "server/api.h"
#include "server/api_json.h"
#include "base/text.h"
#include "proto/audit.h"
#include "storage/audit.h"

#include <inttypes.h>

bool api_audit_list(struct req *r, struct err *e)
{
	CLEANUP(audit_page_done) struct audit_page page = { 0 };
	char after[80];
	uint64_t n = 0;
	size_t limit;
	struct jw w;

	if (!req_page(r, after, &limit, e))
		return false;
	if (after[0] && !u64_parse(&n, after, strlen(after)))
		return err_set(e, E_FORMAT, "after: not a number");
	if (!audit_list(r->web->store, n, limit, &page, e))
		return false;
	reply_list(r, &w);
	for (size_t i = 0; i < page.n; i++) {
		const struct audit_row *row = &page.items[i];
		const struct audit_link link = { row->n,    row->at,      row->actor,
						 row->verb, row->subject, row->detail };

		jw_obj(&w, NULL);
		audit_link_write(&w, &link, row->hash);
		jw_end(&w);
	}
	snprintf(after, sizeof(after), "%" PRIu64, page.n > 0 ? page.items[page.n - 1].n : 0);
	return reply_list_end(&w, page.more ? after : "", e);
}
