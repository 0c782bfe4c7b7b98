#include "storage/target_priv.h"

#include "base/text.h"

bool target_check(const struct target *t, struct err *e)
{
	switch (t->kind) {
	case TARGET_ALL:
		if (*t->name)
			return err_set(e, E_FORMAT, "target all has no name");
		return true;
	case TARGET_GROUP:
	case TARGET_DEVICE:
		if (!name_is_valid(t->name, LIMIT_NAME))
			return err_set(e, E_FORMAT, "target \"%.*s\" is not a name", LIMIT_NAME,
				       t->name);
		return true;
	}
	return err_set(e, E_FORMAT, "target kind %d", (int)t->kind);
}

bool mark_target(struct db *db, const struct target *t, struct err *e)
{
	return db_run(db, e, "UPDATE counters SET value = value + 1 WHERE name = 'marks'") &&
	       db_run(db, e,
		      "INSERT INTO marks (kind, name, mark)"
		      " SELECT ?1, ?2, value FROM counters WHERE name = 'marks'"
		      " ON CONFLICT (kind, name) DO UPDATE SET mark = excluded.mark",
		      I(t->kind), S(t->name));
}

bool target_exists(struct db *db, const struct target *t, struct err *e)
{
	int64_t one = t->kind != TARGET_DEVICE;

	/* Groups come and go with their members; a rollout may be there before the first. */
	if (t->kind == TARGET_DEVICE &&
	    !db_int(db, &one, e, "SELECT 1 FROM devices WHERE id = ?1", S(t->name)))
		return false;
	return one == 1 || err_set(e, E_NOT_FOUND, "no device %s", t->name);
}

bool target_load(struct rows *r, int col, struct target *ret, struct err *e)
{
	ret->kind = (enum target_kind)col_int(r, col);
	return col_text(r, col + 1, ret->name, sizeof(ret->name), e);
}

void target_format(char out[static TARGET_TEXT_SIZE], const struct target *t)
{
	snprintf(out, TARGET_TEXT_SIZE, "%s%s",
		 t->kind == TARGET_ALL     ? "all"
		 : t->kind == TARGET_GROUP ? "group "
					   : "device ",
		 t->name);
}
