#include "storage/tokens.h"

#include "storage/audit_priv.h"
#include "storage/seen_priv.h"
#include "storage/store_priv.h"

#include "base/secret.h"
#include "base/text.h"

#include <inttypes.h>

enum { TOKEN_BYTES = 32, TOKEN_USED_STEP_S = 3600 };

/* Stored in tokens.scopes: these bits never change. */
_Static_assert(SCOPE_PUBLISH == 1 && SCOPE_POLICY == 2 && SCOPE_ROLLOUT == 4 &&
		       SCOPE_DEVICE_READ == 8 && SCOPE_DEVICE_COMMAND == 16 &&
		       SCOPE_ADMIN == 32,
	       "bits of scopes are stored");
#define SCOPE_ALL ((1u << API_N_SCOPES) - 1)

bool scope_allows(unsigned have, unsigned wanted)
{
	return (have & SCOPE_ADMIN) != 0 || wanted == 0 || (have & wanted & SCOPE_ALL) != 0;
}

/* base64url without padding (RFC 4648 section 5). */
static void make_text(char out[static TOKEN_TEXT_SIZE], const uint8_t bytes[static TOKEN_BYTES])
{
	char b64[BASE64_SIZE(TOKEN_BYTES)];

	base64_encode(b64, bytes, TOKEN_BYTES);
	for (char *p = b64; *p; p++)
		*p = *p == '+' ? '-' : *p == '/' ? '_' : *p;
	snprintf(out, TOKEN_TEXT_SIZE, "vt_%.43s", b64);
	wipe(b64, sizeof(b64));
}

/* ---- making, revoking ---- */

struct create {
	const char *name, *actor;
	unsigned scopes;
	int64_t now_s, expires_at, number;
	uint8_t sha256[SHA256_SIZE];
};

static bool create(struct db *db, void *ctx, struct err *e)
{
	struct create *c = ctx;
	char subject[24];

	if (!db_run(db, e,
		    "INSERT INTO tokens (sha256, name, scopes, created_at, created_by, expires_at)"
		    " VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
		    H(c->sha256), S(c->name), I(c->scopes), I(c->now_s), S(c->actor),
		    I(c->expires_at)))
		return false;
	c->number = db_inserted(db);
	snprintf(subject, sizeof(subject), "k%" PRId64, c->number);
	return audit_row_add(db, c->now_s, c->actor, "token.create", subject, c->name, e);
}

bool tokens_create(struct store *s, const char *name, unsigned scopes, int64_t ttl_s,
		   const char *actor, struct token *ret, char ret_text[static TOKEN_TEXT_SIZE],
		   struct err *e)
{
	struct create c = {
		.name = name, .actor = actor, .scopes = scopes, .now_s = store_now_s(s)
	};
	uint8_t bytes[TOKEN_BYTES];

	if (!check_actor(actor, e) || !check_name("token name", name, e))
		return false;
	if (scopes == 0 || (scopes & ~SCOPE_ALL) != 0)
		return err_set(e, E_FORMAT,
			       "a token needs at least one scope, and known ones only");
	if (ttl_s < 0 || ttl_s > TOKENS_TTL_MAX_S)
		return err_set(e, E_FORMAT, "a token lives at most ten years");
	c.expires_at = ttl_s ? c.now_s + ttl_s : 0;
	rng_fill(s->o.rng, bytes, sizeof(bytes));
	make_text(ret_text, bytes);
	wipe(bytes, sizeof(bytes));
	sha256(c.sha256, ret_text, TOKEN_TEXT_SIZE - 1);
	if (!store_write(s, create, &c, e)) {
		wipe(ret_text, TOKEN_TEXT_SIZE);
		return false;
	}
	*ret = (struct token){ .number = c.number,
			       .scopes = scopes,
			       .created_at = c.now_s,
			       .expires_at = c.expires_at };
	snprintf(ret->name, sizeof(ret->name), "%s", name);
	snprintf(ret->created_by, sizeof(ret->created_by), "%s", actor);
	return true;
}

struct revoke {
	int64_t number, now_s;
	const char *actor;
};

static bool revoke(struct db *db, void *ctx, struct err *e)
{
	const struct revoke *v = ctx;
	char subject[24];
	int64_t one = 0;

	if (!db_int(db, &one, e, "SELECT 1 FROM tokens WHERE number = ?1", I(v->number)))
		return false;
	if (one == 0)
		return err_set(e, E_NOT_FOUND, "no token k%" PRId64, v->number);
	if (!db_run(db, e,
		    "UPDATE tokens SET revoked_at = ?2 WHERE number = ?1 AND revoked_at IS NULL",
		    I(v->number), I(v->now_s)))
		return false;
	if (db_changes(db) == 0)
		return true;
	snprintf(subject, sizeof(subject), "k%" PRId64, v->number);
	return audit_row_add(db, v->now_s, v->actor, "token.revoke", subject, "", e);
}

bool tokens_revoke(struct store *s, int64_t number, const char *actor, struct err *e)
{
	struct revoke v = { number, store_now_s(s), actor };

	return check_actor(actor, e) && store_write(s, revoke, &v, e);
}

/* ---- reading ---- */

#define COLUMNS \
	"number, name, scopes, created_at, expires_at, last_used_at, revoked_at, created_by"

static bool load_row(struct store *s, struct rows *r, struct token *t, struct err *e)
{
	t->number = col_int(r, 0);
	t->scopes = (unsigned)col_int(r, 2);
	t->created_at = col_int(r, 3);
	t->expires_at = col_int(r, 4);
	t->last_used_at = seen_latest(s->tokens_seen, t->number, col_int(r, 5));
	t->revoked_at = col_int(r, 6);
	return col_text(r, 1, t->name, sizeof(t->name), e) &&
	       col_text(r, 7, t->created_by, sizeof(t->created_by), e);
}

static bool is_valid(const struct token *t, int64_t now_s)
{
	return t->revoked_at == 0 && (t->expires_at == 0 || t->expires_at > now_s);
}

bool tokens_check(struct store *s, const char *text, size_t n, struct token *ret, struct err *e)
{
	CLEANUP(reader_put) struct reader rd = { 0 };
	CLEANUP(rows_done) struct rows r = { 0 };
	uint8_t hash[SHA256_SIZE];
	struct token t = { 0 };
	bool found;

	if (n != TOKEN_TEXT_SIZE - 1 || memcmp(text, "vt_", 3) != 0)
		return err_set(e, E_AUTH, "the token is not valid");
	/* Looked up by hash: how long that takes tells nothing about the token. */
	sha256(hash, text, n);
	if (!reader_get_one(&rd, s, e) ||
	    !db_one(rd.db, &r, &found, e, "SELECT " COLUMNS " FROM tokens WHERE sha256 = ?1",
		    H(hash)) ||
	    (found && !load_row(s, &r, &t, e)))
		return false;
	if (!found || !is_valid(&t, store_now_s(s)))
		return err_set(e, E_AUTH, "the token is not valid");
	seen_note(s->tokens_seen, t.number, store_now_s(s));
	*ret = t;
	return true;
}

bool tokens_flush(struct store *s, bool all, struct err *e)
{
	return seen_flush(s->tokens_seen, s,
			  "UPDATE tokens SET last_used_at = ?2"
			  " WHERE number = ?1 AND last_used_at < ?2 - ?3",
			  all ? 0 : TOKEN_USED_STEP_S, e);
}

bool tokens_list(struct store *s, int64_t after, size_t limit, struct token_page *ret,
		 struct err *e)
{
	CLEANUP(token_page_done) struct token_page page = { 0 };
	CLEANUP(reader_put) struct reader rd = { 0 };
	CLEANUP(rows_done) struct rows r = { 0 };
	bool more;

	limit = page_limit(limit);
	if (!reader_get_one(&rd, s, e) ||
	    !db_rows(rd.db, &r, e,
		     "SELECT " COLUMNS
		     " FROM tokens WHERE number > ?1 ORDER BY number LIMIT ?2",
		     I(after), I(limit + 1)))
		return false;
	for (;;) {
		if (!rows_next(&r, &more, e))
			return false;
		if (!more || page.n == limit)
			break;
		if (!grow(&page.items, page.n, sizeof(*page.items), e) ||
		    !load_row(s, &r, &page.items[page.n++], e))
			return false;
	}
	page.more = more;
	*ret = page;
	page = (struct token_page){ 0 };
	return true;
}

void token_page_done(struct token_page *p)
{
	free(p->items);
	*p = (struct token_page){ 0 };
}
