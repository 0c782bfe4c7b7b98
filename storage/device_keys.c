/* A handset's own keys change, once or several times at once: the newest pair comes, the old keys go for good,
 * or nothing happens. */
#include "storage/devices_priv.h"

#include "storage/audit_priv.h"
#include "storage/store_priv.h"

enum { DAY_S = 86400 };

struct rotate {
	const struct rotation *in;
	int64_t now_s;
	bool changed;
};

struct has {
	int64_t number;
	enum device_state state;
	uint8_t identity[DEVICE_KEY_SIZE], sealing[DEVICE_KEY_SIZE];
};

static bool find(struct db *db, const char *id, struct has *ret, struct err *e)
{
	CLEANUP(rows_done) struct rows r = { 0 };
	bool found;

	if (!db_one(db, &r, &found, e,
		    "SELECT number, state, identity, sealing FROM devices WHERE id = ?1",
		    S(id)))
		return false;
	if (!found)
		return err_set(e, E_NOT_FOUND, "no device %.*s", DEVICE_ID_SIZE - 1, id);
	ret->number = col_int(&r, 0);
	ret->state = (enum device_state)col_int(&r, 1);
	return col_hash(&r, 2, ret->identity, e) && col_hash(&r, 3, ret->sealing, e);
}

static bool is_served(const struct has *h, struct err *e)
{
	switch (h->state) {
	case DEVICE_ACTIVE:
	case DEVICE_LOCKED:
		return true;
	case DEVICE_PENDING:
		return err_set(e, E_DENIED, "this device waits for approval");
	case DEVICE_REVOKED:
		break;
	}
	return err_set(e, E_DENIED, "this device was revoked");
}

bool device_key_is_former(struct db *db, const uint8_t *identity, bool *ret, struct err *e)
{
	CLEANUP(rows_done) struct rows r = { 0 };

	return db_one(db, &r, ret, e, "SELECT 1 FROM former_keys WHERE identity = ?1",
		      B(identity, DEVICE_KEY_SIZE));
}

static bool is_unused(struct db *db, const uint8_t *identity, struct err *e)
{
	CLEANUP(rows_done) struct rows r = { 0 };
	bool now, before;

	if (!db_one(db, &r, &now, e, "SELECT 1 FROM devices WHERE identity = ?1",
		    B(identity, DEVICE_KEY_SIZE)) ||
	    !device_key_is_former(db, identity, &before, e))
		return false;
	if (now || before)
		return err_set(e, E_EXISTS, "the new key is or was another one's");
	return true;
}

/* Each row stays for good, so a handset in bad hands must not be able to make many. */
static bool is_within_limit(struct db *db, const struct rotate *x, int64_t number,
			    struct err *e)
{
	CLEANUP(rows_done) struct rows r = { 0 };
	bool found;

	if (!db_one(db, &r, &found, e,
		    "SELECT count(*) FROM former_keys WHERE device = ?1 AND replaced_at > ?2",
		    I(number), I(x->now_s - DAY_S)))
		return false;
	if (col_int(&r, 0) >= LIMIT_ROTATIONS_DAY)
		return err_set(e, E_RATE, "this device changed its key %d times within a day",
			       LIMIT_ROTATIONS_DAY);
	return true;
}

static bool replace(struct db *db, const struct rotate *x, struct has *h,
		    const struct rotation_step *s, struct err *e)
{
	char actor[DEVICE_ID_SIZE + 8], was[FINGERPRINT_SIZE], is[FINGERPRINT_SIZE];
	char detail[2 * FINGERPRINT_SIZE + 8];

	fingerprint_of(was, h->identity, h->sealing);
	fingerprint_of(is, s->identity, s->sealing);
	snprintf(actor, sizeof(actor), "device:%s", x->in->device);
	snprintf(detail, sizeof(detail), "%s after %s", is, was);
	if (!db_run(db, e,
		    "INSERT INTO former_keys (identity, device, replaced_at)"
		    " VALUES (?1, ?2, ?3)",
		    B(h->identity, DEVICE_KEY_SIZE), I(h->number), I(x->now_s)) ||
	    !db_run(db, e,
		    "UPDATE devices SET identity = ?2, sealing = ?3, key_since = ?4"
		    " WHERE number = ?1",
		    I(h->number), B(s->identity, DEVICE_KEY_SIZE),
		    B(s->sealing, DEVICE_KEY_SIZE), I(x->now_s)) ||
	    !audit_row_add(db, x->now_s, actor, "device.rotate_key", x->in->device, detail, e))
		return false;
	memcpy(h->identity, s->identity, DEVICE_KEY_SIZE);
	memcpy(h->sealing, s->sealing, DEVICE_KEY_SIZE);
	return true;
}

static bool newest_former(struct db *db, int64_t device, uint8_t ret[static DEVICE_KEY_SIZE],
			  bool *ret_found, struct err *e)
{
	CLEANUP(rows_done) struct rows r = { 0 };

	return db_one(db, &r, ret_found, e,
		      "SELECT identity FROM former_keys WHERE device = ?1"
		      " ORDER BY number DESC LIMIT 1",
		      I(device)) &&
	       (!*ret_found || col_hash(&r, 0, ret, e));
}

/* The new key is there already: by this very rotation, whose answer was lost? */
static bool was_done(struct db *db, const struct rotate *x, const struct has *h, struct err *e)
{
	uint8_t before[DEVICE_KEY_SIZE];
	bool found;

	if (!newest_former(db, h->number, before, &found, e))
		return false;
	if (!found || memcmp(before, x->in->now.old, sizeof(before)) != 0 ||
	    memcmp(h->sealing, x->in->now.sealing, sizeof(h->sealing)) != 0)
		return err_set(e, E_CONFLICT, "the device has this key by another change");
	return true;
}

static bool rotate(struct db *db, void *ctx, struct err *e)
{
	struct rotate *x = ctx;
	struct has h;
	size_t n;

	x->changed = false;
	if (!find(db, x->in->device, &h, e) || !is_served(&h, e))
		return false;
	if (memcmp(h.identity, x->in->now.identity, sizeof(h.identity)) == 0)
		return was_done(db, x, &h, e);
	if (!rotation_find(&n, x->in, h.identity))
		return err_set(e, E_CONFLICT, "the device has another key by now");
	x->changed = true;
	for (; n <= x->in->n_before; n++) {
		const struct rotation_step *s = rotation_step(x->in, n);

		if (!is_unused(db, s->identity, e) || !is_within_limit(db, x, h.number, e) ||
		    !replace(db, x, &h, s, e))
			return false;
	}
	return true;
}

bool devices_rotate_key(struct store *s, const struct rotation *in, bool *ret_changed,
			struct err *e)
{
	struct rotate x = { .in = in, .now_s = store_now_s(s) };

	if (!store_write_device(s, in->device, rotate, &x, e))
		return false;
	*ret_changed = x.changed;
	return true;
}

bool devices_former_key(struct store *s, int64_t number, uint8_t ret[static DEVICE_KEY_SIZE],
			bool *ret_found, struct err *e)
{
	CLEANUP(reader_put) struct reader rd = { 0 };

	return reader_get_one(&rd, s, e) && newest_former(rd.db, number, ret, ret_found, e);
}
