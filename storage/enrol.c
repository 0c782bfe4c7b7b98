/* The one step that lets a device in: ticket used up and device made, or neither. */
#include "storage/tickets_priv.h"

#include "storage/audit_priv.h"
#include "storage/devices_priv.h"
#include "storage/store_priv.h"

#include <inttypes.h>

/* Stored in devices.state: these numbers never change. */
_Static_assert(DEVICE_PENDING == 0 && DEVICE_ACTIVE == 1 && DEVICE_LOCKED == 2 &&
		       DEVICE_REVOKED == 3,
	       "numbers of device states are stored");

struct enrol {
	const struct enrolment *in;
	int64_t now_s;
	struct enrolled out;
	/* A refusal that has to be written down: the write succeeds, the call fails with it. */
	bool refused;
	struct err why;
};

struct known {
	bool found, former; /* its key is a device's, or was one's */
	int64_t number;
	enum device_state state;
};

/* A device whose keys changed keeps the id of its first one. */
static bool find_known(struct db *db, const struct enrolment *in, struct known *ret,
		       char ret_id[static DEVICE_ID_SIZE], struct err *e)
{
	CLEANUP(rows_done) struct rows r = { 0 };

	if (!device_key_is_former(db, in->identity, &ret->former, e) ||
	    !db_one(db, &r, &ret->found, e,
		    "SELECT number, state, id FROM devices WHERE identity = ?1",
		    B(in->identity, DEVICE_KEY_SIZE)))
		return false;
	ret->number = ret->found ? col_int(&r, 0) : 0;
	ret->state = ret->found ? (enum device_state)col_int(&r, 1) : DEVICE_PENDING;
	device_id_of(ret_id, in->identity);
	return !ret->found || col_text(&r, 2, ret_id, DEVICE_ID_SIZE, e);
}

static bool is_welcome(const struct known *known, struct err *why)
{
	if (known->found && known->state == DEVICE_REVOKED)
		return err_set(why, E_DENIED, "this device's key was revoked");
	if (!known->former)
		return true;
	err_set(why, E_DENIED, "this key was replaced by a newer one of its device");
	return err_hint(why, "make new keys: enrol with --again --new-keys");
}

static bool refuse_if_not_open(const struct ticket_row *t, struct err *why)
{
	switch (t->state) {
	case TICKET_OPEN:
		return true;
	case TICKET_EXPIRED:
		err_set(why, E_EXPIRED, "the ticket has expired");
		break;
	case TICKET_USED:
		err_set(why, E_GONE, "the ticket was used by another device");
		break;
	case TICKET_REVOKED:
		err_set(why, E_GONE, "the ticket was revoked");
		break;
	case TICKET_BLOCKED:
		err_set(why, E_GONE, "the ticket was tried %d times in vain", TICKETS_TRIES);
		break;
	default:
		return err_set(why, E_INTERNAL, "ticket state %d", (int)t->state);
	}
	return err_hint(why, "ask the administrator for a new ticket");
}

static bool accepts(const struct ticket_row *t, const struct enrolment *in, struct err *why)
{
	if (!refuse_if_not_open(t, why))
		return false;
	if (*t->serial && strcmp(t->serial, in->serial) != 0)
		return err_set(why, E_DENIED, "the ticket is for another handset");
	return true;
}

static bool write_refusal(struct db *db, struct enrol *n, const struct ticket_row *t,
			  struct err *e)
{
	n->refused = true;
	return ticket_try(db, t, n->out.id, n->why.text, n->now_s, e);
}

static bool insert_device(struct db *db, const struct enrol *n, const struct ticket_row *t,
			  int64_t *ret_number, struct err *e)
{
	const struct enrolment *in = n->in;

	if (!db_run(db, e,
		    "INSERT INTO devices (id, state, identity, sealing, model, name, serial, ticket,"
		    " enrolled_at, key_since, attributes)"
		    " VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?9, ?10)",
		    S(n->out.id), I(n->out.state), B(in->identity, DEVICE_KEY_SIZE),
		    B(in->sealing, DEVICE_KEY_SIZE), S(in->model), S(in->name), S(in->serial),
		    I(t->number), I(n->now_s), S(in->attributes)))
		return false;
	*ret_number = db_inserted(db);
	return true;
}

/* Everything that was assigned starts anew; the director's versions go on, as the handset has
 * accepted them. */
static bool renew_device(struct db *db, const struct enrol *n, const struct ticket_row *t,
			 int64_t number, struct err *e)
{
	const struct enrolment *in = n->in;

	return db_run(db, e,
		      "UPDATE devices SET state = ?2, sealing = ?3, model = ?4, name = ?5, serial = ?6,"
		      " ticket = ?7, enrolled_at = ?8, attributes = ?9, planned = -1, plan = plan + 1,"
		      " wanted = NULL, delivered = NULL, rollout = NULL, report_sha256 = NULL"
		      " WHERE number = ?1",
		      I(number), I(n->out.state), B(in->sealing, DEVICE_KEY_SIZE), S(in->model),
		      S(in->name), S(in->serial), I(t->number), I(n->now_s),
		      S(in->attributes)) &&
	       db_run(db, e,
		      "UPDATE device_policies SET wanted = 0, delivered = 0 WHERE device = ?1",
		      I(number)) &&
	       db_run(db, e, "DELETE FROM device_groups WHERE device = ?1", I(number));
}

static bool use_ticket(struct db *db, const struct enrol *n, const struct ticket_row *t,
		       int64_t number, struct err *e)
{
	char actor[DEVICE_ID_SIZE + 8], detail[64];

	snprintf(actor, sizeof(actor), "device:%s", n->out.id);
	snprintf(detail, sizeof(detail), "ticket t%" PRId64 "%s%s", t->number,
		 n->out.state == DEVICE_PENDING ? ", waits for approval" : "",
		 n->out.known ? ", again" : "");
	return db_run(db, e,
		      "INSERT INTO device_groups SELECT ?1, name FROM ticket_groups WHERE ticket = ?2",
		      I(number), I(t->number)) &&
	       db_run(db, e, "UPDATE tickets SET used_at = ?2, used_by = ?3 WHERE number = ?1",
		      I(t->number), I(n->now_s), S(n->out.id)) &&
	       audit_row_add(db, n->now_s, actor, "device.enrol", n->out.id, detail, e);
}

static bool enrol(struct db *db, void *ctx, struct err *e)
{
	struct enrol *n = ctx;
	struct ticket_row t;
	struct known known;
	bool found, good;
	int64_t number;

	n->refused = false;
	if (!find_known(db, n->in, &known, n->out.id, e) ||
	    !ticket_find(db, n->in->token, n->now_s, &t, &found, e))
		return false;
	good = found && accepts(&t, n->in, &n->why);
	n->out.known = known.found;
	n->out.state = t.manual ? DEVICE_PENDING : DEVICE_ACTIVE;
	number = known.number;

	if (!is_welcome(&known, &n->why)) {
		if (found)
			return write_refusal(db, n, &t, e);
		n->refused = true;
		return true;
	}
	if (known.found && !good) {
		n->out.state = known.state;
		return true;
	}
	if (!found)
		return err_set(e, E_AUTH, "no such ticket");
	if (!good)
		return write_refusal(db, n, &t, e);
	return (known.found ? renew_device(db, n, &t, number, e)
			    : insert_device(db, n, &t, &number, e)) &&
	       use_ticket(db, n, &t, number, e);
}

static bool check_enrolment(const struct enrolment *in, struct err *e)
{
	return check_name("model", in->model, e) &&
	       check_text("name", in->name, LIMIT_ATTRIBUTE, e) &&
	       check_text("serial", in->serial, LIMIT_NAME, e) &&
	       check_text("attributes", in->attributes, DEVICES_ATTRIBUTES_MAX, e);
}

bool devices_enrol(struct store *s, const struct enrolment *in, struct enrolled *ret,
		   struct err *e)
{
	struct enrol n = { .in = in, .now_s = store_now_s(s) };

	if (!check_enrolment(in, e))
		return false;
	/* The id is found out on the way, before whoever changed is told. */
	if (!store_write_device(s, n.out.id, enrol, &n, e))
		return false;
	if (n.refused) {
		*e = n.why;
		return false;
	}
	*ret = n.out;
	return true;
}
