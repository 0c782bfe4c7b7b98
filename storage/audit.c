#include "storage/audit_priv.h"

#include "storage/store_priv.h"

#include "proto/audit.h"

#include <inttypes.h>

bool check_actor(const char *actor, struct err *e)
{
	if (!actor || !*actor)
		return err_set(e, E_FORMAT, "an actor is missing");
	return check_text("actor", actor, LIMIT_TEXT, e);
}

static bool hash_row(uint8_t out[static SHA256_SIZE],
		     const uint8_t previous[static SHA256_SIZE], const struct audit_row *row,
		     struct err *e)
{
	const struct audit_link link = { row->n,    row->at,      row->actor,
					 row->verb, row->subject, row->detail };

	return audit_hash(out, previous, &link, e);
}

static bool load_head(struct db *db, struct audit_head *ret, struct err *e)
{
	CLEANUP(rows_done) struct rows r = { 0 };
	struct audit_head head = { 0 };
	bool found;

	if (!db_one(db, &r, &found, e, "SELECT n, hash FROM audit ORDER BY n DESC LIMIT 1"))
		return false;
	if (found) {
		head.n = (uint64_t)col_int(&r, 0);
		if (!col_hash(&r, 1, head.hash, e))
			return false;
	}
	*ret = head;
	return true;
}

bool audit_row_add(struct db *db, int64_t now_s, const char *actor, const char *verb,
		   const char *subject, const char *detail, struct err *e)
{
	struct audit_head head;
	struct audit_row row;

	if (!load_head(db, &head, e))
		return false;
	row.n = head.n + 1;
	row.at = now_s;
	snprintf(row.actor, sizeof(row.actor), "%s", actor);
	snprintf(row.verb, sizeof(row.verb), "%s", verb);
	snprintf(row.subject, sizeof(row.subject), "%s", subject);
	snprintf(row.detail, sizeof(row.detail), "%s", detail ? detail : "");
	return hash_row(row.hash, head.hash, &row, e) &&
	       db_run(db, e, "INSERT INTO audit VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)", I(row.n),
		      I(row.at), S(row.actor), S(row.verb), S(row.subject), S(row.detail),
		      H(row.hash));
}

struct add {
	int64_t now_s;
	const char *actor, *verb, *subject, *detail;
};

static bool add(struct db *db, void *ctx, struct err *e)
{
	const struct add *a = ctx;

	return audit_row_add(db, a->now_s, a->actor, a->verb, a->subject, a->detail, e);
}

bool audit_add(struct store *s, const char *actor, const char *verb, const char *subject,
	       const char *detail, struct err *e)
{
	struct add a = { store_now_s(s), actor, verb, subject, detail };

	return check_actor(actor, e) && check_text("verb", verb, LIMIT_NAME, e) &&
	       check_text("subject", subject, LIMIT_TEXT, e) && store_write(s, add, &a, e);
}

static bool load_row(struct rows *r, struct audit_row *ret, struct err *e)
{
	ret->n = (uint64_t)col_int(r, 0);
	ret->at = col_int(r, 1);
	return col_text(r, 2, ret->actor, sizeof(ret->actor), e) &&
	       col_text(r, 3, ret->verb, sizeof(ret->verb), e) &&
	       col_text(r, 4, ret->subject, sizeof(ret->subject), e) &&
	       col_text(r, 5, ret->detail, sizeof(ret->detail), e) &&
	       col_hash(r, 6, ret->hash, e);
}

bool audit_list(struct store *s, uint64_t after, size_t limit, struct audit_page *ret,
		struct err *e)
{
	CLEANUP(audit_page_done) struct audit_page page = { 0 };
	CLEANUP(reader_put) struct reader rd = { 0 };
	CLEANUP(rows_done) struct rows r = { 0 };
	bool more;

	limit = page_limit(limit);
	if (!reader_get_one(&rd, s, e) ||
	    !db_rows(rd.db, &r, e,
		     "SELECT n, at, actor, verb, subject, detail, hash FROM audit"
		     " WHERE n > ?1 ORDER BY n LIMIT ?2",
		     I(after), I(limit + 1)))
		return false;
	for (;;) {
		if (!rows_next(&r, &more, e))
			return false;
		if (!more || page.n == limit)
			break;
		if (!grow(&page.items, page.n, sizeof(*page.items), e) ||
		    !load_row(&r, &page.items[page.n++], e))
			return false;
	}
	page.more = more;
	*ret = page;
	page = (struct audit_page){ 0 };
	return true;
}

void audit_page_done(struct audit_page *p)
{
	free(p->items);
	*p = (struct audit_page){ 0 };
}

bool audit_head(struct store *s, struct audit_head *ret, struct err *e)
{
	CLEANUP(reader_put) struct reader rd = { 0 };

	return reader_get_one(&rd, s, e) && load_head(rd.db, ret, e);
}

bool audit_verify(struct store *s, struct audit_head *ret, struct err *e)
{
	CLEANUP(reader_put) struct reader rd = { 0 };
	CLEANUP(rows_done) struct rows r = { 0 };
	struct audit_head head = { 0 };
	bool more;

	if (!reader_get_one(&rd, s, e) ||
	    !db_rows(rd.db, &r, e,
		     "SELECT n, at, actor, verb, subject, detail, hash FROM audit ORDER BY n"))
		return false;
	for (;;) {
		struct audit_row row;
		uint8_t hash[SHA256_SIZE];

		if (!rows_next(&r, &more, e))
			return false;
		if (!more)
			break;
		if (!load_row(&r, &row, e) || !hash_row(hash, head.hash, &row, e))
			return false;
		if (row.n != head.n + 1 || memcmp(hash, row.hash, SHA256_SIZE) != 0)
			return err_set(e, E_CORRUPT,
				       "audit row %" PRIu64 " does not follow row %" PRIu64,
				       row.n, head.n);
		head.n = row.n;
		memcpy(head.hash, hash, SHA256_SIZE);
	}
	*ret = head;
	return true;
}

/* ---- signed heads ---- */

bool audit_head_due(struct store *s, int64_t age_s, bool *ret_due, struct audit_head *ret_head,
		    struct err *e)
{
	CLEANUP(reader_put) struct reader rd = { 0 };
	CLEANUP(rows_done) struct rows r = { 0 };
	struct audit_head head;
	bool found;

	*ret_due = false;
	/* Looks back to the last signed one: a day's rows. */
	if (!reader_get_one(&rd, s, e) || !load_head(rd.db, &head, e) ||
	    !db_one(rd.db, &r, &found, e,
		    "SELECT n, at FROM audit WHERE verb = '" AUDIT_HEAD_VERB
		    "' AND actor = '" AUDIT_HEAD_ACTOR "' ORDER BY n DESC LIMIT 1"))
		return false;
	*ret_due = head.n > 0 && (!found || ((uint64_t)col_int(&r, 0) < head.n &&
					     store_now_s(s) - col_int(&r, 1) >= age_s));
	*ret_head = head;
	return true;
}

struct add_head {
	int64_t now_s;
	const struct audit_signed *h;
};

static bool add_head(struct db *db, void *ctx, struct err *e)
{
	const struct add_head *a = ctx;
	char subject[24], detail[AUDIT_HEAD_DETAIL];
	struct audit_head head;

	if (!load_head(db, &head, e))
		return false;
	if (head.n != a->h->n || memcmp(head.hash, a->h->hash, SHA256_SIZE) != 0)
		return err_set(e, E_CONFLICT,
			       "the audit log has %" PRIu64 " rows, %" PRIu64 " were signed",
			       head.n, a->h->n);
	snprintf(subject, sizeof(subject), "%" PRIu64, a->h->n);
	audit_head_detail(detail, a->h);
	return audit_row_add(db, a->now_s, AUDIT_HEAD_ACTOR, AUDIT_HEAD_VERB, subject, detail,
			     e);
}

bool audit_add_head(struct store *s, const struct audit_signed *h, struct err *e)
{
	struct add_head a = { store_now_s(s), h };

	return store_write(s, add_head, &a, e);
}
