/* storage/devices_priv.h - what the files about devices share. */
#ifndef VALISE_STORAGE_DEVICES_PRIV_H
#define VALISE_STORAGE_DEVICES_PRIV_H

#include "storage/db_priv.h"
#include "storage/devices.h"

/* E_NOT_FOUND.  *ret_state may be NULL. */
bool device_find(struct db *db, const char *id, int64_t *ret_number,
		 enum device_state *ret_state, struct err *e) MUST_USE;

/* Whether some device had this key and has another one now. */
bool device_key_is_former(struct db *db, const uint8_t *identity, bool *ret,
			  struct err *e) MUST_USE;

/* Stores those beyond the highest number stored, raises that, forgets old ones. */
bool events_add(struct db *db, int64_t device, const struct event_new *events, size_t n,
		int64_t now_s, uint64_t *ret_ack, struct err *e) MUST_USE;
bool events_check(const struct event_new *events, size_t n, struct err *e) MUST_USE;

/* SQL: whether a row of `a` (columns kind, name: a target) reaches the device `d`. */
#define SQL_REACHES                                         \
	"(a.kind = 0 OR (a.kind = 2 AND a.name = d.id)"     \
	" OR (a.kind = 1 AND a.name IN (SELECT g.name FROM" \
	" device_groups g WHERE g.device = d.number)))"

/* SQL: the highest mark that reaches the device `d`.  CROSS JOIN keeps SQLite from starting with
 * the marks of all groups. */
#define SQL_MARK                                                                          \
	"max(coalesce((SELECT m.mark FROM marks m WHERE m.kind = 0 AND m.name = ''), 0)," \
	" coalesce((SELECT m.mark FROM marks m WHERE m.kind = 2 AND m.name = d.id), 0),"  \
	" coalesce((SELECT max(m.mark) FROM device_groups g CROSS JOIN marks m"           \
	"  ON m.kind = 1 AND m.name = g.name WHERE g.device = d.number), 0))"

/* The one statement of a check-in; its plan is held in a test. */
#define SQL_CHECKIN                                                                            \
	"SELECT d.number, d.state, d.identity, d.sealing, d.model, d.report_sha256, d.ack,"    \
	" d.security_floor, d.planned < " SQL_MARK ", d.plan, r.plan,"                         \
	" r.timestamp_version, r.refresh_at,"                                                  \
	" (SELECT max(t.version) FROM tuf_files t WHERE t.repo = 1 AND t.role = 'timestamp')," \
	" d.id FROM devices d LEFT JOIN director r ON r.device = d.number WHERE d.id = ?1"

#endif
