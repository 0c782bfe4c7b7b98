#include "proto/audit.h"

#include "base/bytes.h"
#include "base/limits.h"
#include "base/text.h"

#include <inttypes.h>
#include <string.h>

static void hash_text(struct sha256 *h, const char *s)
{
	uint8_t n[4];

	put_le32(n, (uint32_t)strlen(s));
	sha256_update(h, n, sizeof(n));
	sha256_update(h, s, strlen(s));
}

bool audit_hash(uint8_t ret[static SHA256_SIZE], const uint8_t previous[static SHA256_SIZE],
		const struct audit_link *row, struct err *e)
{
	struct sha256 h = { NULL };
	uint8_t numbers[16];

	if (!sha256_init(&h, e))
		return false;
	put_le64(numbers, row->n);
	put_le64(numbers + 8, (uint64_t)row->at);
	sha256_update(&h, previous, SHA256_SIZE);
	sha256_update(&h, numbers, sizeof(numbers));
	hash_text(&h, row->actor);
	hash_text(&h, row->verb);
	hash_text(&h, row->subject);
	hash_text(&h, row->detail);
	sha256_final(&h, ret);
	sha256_done(&h);
	return true;
}

void audit_link_write(struct jw *w, const struct audit_link *row,
		      const uint8_t hash[static SHA256_SIZE])
{
	jw_u64(w, "n", row->n);
	jw_time(w, "at", row->at);
	jw_str(w, "actor", row->actor);
	jw_str(w, "verb", row->verb);
	jw_str(w, "subject", row->subject);
	jw_str(w, "detail", row->detail);
	jw_hex(w, "hash", hash, SHA256_SIZE);
}

bool audit_link_read(struct audit_link *ret, uint8_t ret_hash[static SHA256_SIZE],
		     const struct jval *v, struct err *e)
{
	static const char *const keys[] = { "n",       "at",     "actor", "verb",
					    "subject", "detail", "hash",  NULL };
	struct audit_link l;

	if (!jval_is_obj(v, e) || !jobj_only(v, keys, e) ||
	    !jobj_u64(&l.n, v, "n", 1, J_INT_MAX, e) || !jobj_time(&l.at, v, "at", e) ||
	    !jobj_text(&l.actor, NULL, v, "actor", LIMIT_TEXT, e) ||
	    !jobj_text(&l.verb, NULL, v, "verb", LIMIT_TEXT, e) ||
	    !jobj_text(&l.subject, NULL, v, "subject", LIMIT_TEXT, e) ||
	    !jobj_text(&l.detail, NULL, v, "detail", LIMIT_TEXT, e) ||
	    !jobj_hex(ret_hash, SHA256_SIZE, v, "hash", e))
		return err_wrap(e, "audit row");
	*ret = l;
	return true;
}

bool audit_walk_step(struct audit_walk *w, const struct audit_link *row,
		     const uint8_t hash[static SHA256_SIZE], struct err *e)
{
	uint8_t want[SHA256_SIZE];

	if (!audit_hash(want, w->hash, row, e))
		return false;
	if (row->n != w->n + 1 || memcmp(want, hash, SHA256_SIZE) != 0)
		return err_set(e, E_CORRUPT,
			       "audit row %" PRIu64 " does not follow row %" PRIu64, row->n,
			       w->n);
	w->n = row->n;
	memcpy(w->hash, hash, SHA256_SIZE);
	return true;
}

/* ---- signed heads ------------------------------------------------------------------------ */

void audit_head_message(uint8_t ret[static AUDIT_HEAD_MESSAGE], uint64_t n, int64_t at,
			const uint8_t hash[static SHA256_SIZE])
{
	memcpy(ret, "valise-audit-head-1", 20);
	put_le64(ret + 20, n);
	put_le64(ret + 28, (uint64_t)at);
	memcpy(ret + 36, hash, SHA256_SIZE);
}

void audit_head_detail(char ret[static AUDIT_HEAD_DETAIL], const struct audit_signed *s)
{
	char sig[HEX_SIZE(SIG_SIZE)];

	hex_encode(sig, s->sig, sizeof(s->sig));
	snprintf(ret, AUDIT_HEAD_DETAIL, "%" PRId64 " %s %s", s->at, s->keyid, sig);
}

bool audit_head_is(const struct audit_link *row)
{
	return strcmp(row->actor, AUDIT_HEAD_ACTOR) == 0 &&
	       strcmp(row->verb, AUDIT_HEAD_VERB) == 0;
}

/* "1790000000 <64 hex> <128 hex>" */
static bool read_detail(struct audit_signed *s, const char *text)
{
	size_t digits = strcspn(text, " ");
	const char *id = text + digits + 1, *sig = id + TUF_KEYID_SIZE;
	uint64_t at;

	if (strlen(text) != digits + 1 + TUF_KEYID_SIZE + 2 * SIG_SIZE ||
	    id[TUF_KEYID_SIZE - 1] != ' ' || !u64_parse(&at, text, digits) || at > J_INT_MAX ||
	    !hex_decode(s->sig, sizeof(s->sig), sig, 2 * SIG_SIZE))
		return false;
	s->at = (int64_t)at;
	memcpy(s->keyid, id, TUF_KEYID_SIZE - 1);
	return true;
}

bool audit_head_read(struct audit_signed *ret, const struct audit_link *row,
		     const struct audit_walk *before, struct err *e)
{
	struct audit_signed s = { .n = 0 };

	if (!u64_parse(&s.n, row->subject, strlen(row->subject)) || s.n != before->n ||
	    s.n + 1 != row->n || !read_detail(&s, row->detail))
		return err_set(e, E_CORRUPT,
			       "audit row %" PRIu64 " is no signed head of the row before it",
			       row->n);
	memcpy(s.hash, before->hash, sizeof(s.hash));
	*ret = s;
	return true;
}

bool audit_head_verify(const struct audit_signed *s, const struct tuf_key *key)
{
	uint8_t message[AUDIT_HEAD_MESSAGE];

	audit_head_message(message, s->n, s->at, s->hash);
	return key->usable && strcmp(key->id, s->keyid) == 0 &&
	       sig_verify(&key->key, message, sizeof(message), s->sig, sizeof(s->sig));
}
