/* storage/objects_gc.c - objects that nothing needs any more. */
#include "storage/objects_priv.h"

#include "base/io.h"
#include "base/names.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

enum { GC_BATCH = 200 }; /* rows removed in one transaction: others write in between */

struct gc {
	int64_t now_s;
	struct object gone[GC_BATCH];
	size_t n;
};

/* Withdrawn releases that nobody shall run or is about to run let go of their objects; the
 * release's row stays for the record. */
static bool release_withdrawn(struct db *db, void *ctx, struct err *e)
{
	const struct gc *gc = ctx;

	return db_run(db, e,
		      "DELETE FROM targets WHERE dir IN ("
		      " SELECT 'releases/' || product || '/' || version FROM releases l"
		      " WHERE withdrawn_at < ?1"
		      " AND NOT EXISTS (SELECT 1 FROM devices WHERE wanted = l.number))",
		      I(gc->now_s - OBJECTS_WITHDRAWN_S));
}

static bool remove_rows(struct db *db, void *ctx, struct err *e)
{
	struct gc *gc = ctx;
	CLEANUP(rows_done) struct rows r = { 0 };
	bool more;

	gc->n = 0;
	if (!db_rows(db, &r, e,
		     "DELETE FROM objects WHERE sha256 IN ("
		     " SELECT sha256 FROM objects o WHERE kept_until < ?1"
		     " AND NOT EXISTS (SELECT 1 FROM targets t WHERE t.sha256 = o.sha256)"
		     " AND NOT EXISTS (SELECT 1 FROM uploads u WHERE u.sha256 = o.sha256)"
		     " AND NOT EXISTS (SELECT 1 FROM deltas d WHERE d.sha256 = o.sha256)"
		     " LIMIT ?2) RETURNING sha256, size",
		     I(gc->now_s), I(GC_BATCH)))
		return false;
	for (;;) {
		if (!rows_next(&r, &more, e))
			return false;
		if (!more)
			return true;
		if (gc->n == GC_BATCH)
			return err_set(e, E_INTERNAL, "more rows removed than asked for");
		if (!col_hash(&r, 0, gc->gone[gc->n].sha256, e))
			return false;
		gc->gone[gc->n++].size = (uint64_t)col_int(&r, 1);
	}
}

static bool remove_orphans_in(struct store *s, struct db *db, const char *dir, uint64_t *count,
			      struct err *e)
{
	CLEANUP(names_done) struct names n = NAMES_INIT;
	const char *name;

	if (!names_open(&n, s->objects_fd, dir, dir, e))
		return e->code == E_NOT_FOUND || err_wrap(e, "objects");
	for (;;) {
		char hex[HEX_SIZE(SHA256_SIZE)];
		uint8_t sha256[SHA256_SIZE];
		bool exists;

		if (!names_next(&n, &name, e))
			return err_wrap(e, "objects");
		if (!name)
			return true;
		snprintf(hex, sizeof(hex), "%s%s", dir, name);
		if (strlen(name) != 62 || !hex_decode(sha256, SHA256_SIZE, hex, 64))
			continue; /* not ours */
		if (!object_row_exists(db, sha256, &exists, e))
			return false;
		if (exists)
			continue;
		if (!object_file_remove(s, sha256, e))
			return false;
		(*count)++;
	}
}

/* The lock is held exclusively: no object is between its file and its row. */
static bool remove_orphans(struct store *s, uint64_t *count, struct err *e)
{
	CLEANUP(reader_put) struct reader rd = { 0 };

	if (!reader_get(&rd, s, e))
		return false;
	for (unsigned i = 0; i < 256; i++) {
		char dir[3];

		snprintf(dir, sizeof(dir), "%02x", i);
		if (!remove_orphans_in(s, rd.db, dir, count, e))
			return false;
	}
	return true;
}

bool objects_gc(struct store *s, struct objects_gc *ret, struct err *e)
{
	struct gc gc = { .now_s = store_now_s(s) };
	CLEANUP(fd_closep) int lock = -1;
	struct objects_gc sum = { 0 };

	if (!store_write(s, release_withdrawn, &gc, e) || !objects_lock(s, true, &lock, e))
		return false;
	do {
		if (!store_write(s, remove_rows, &gc, e))
			return false;
		for (size_t i = 0; i < gc.n; i++) {
			if (!object_file_remove(s, gc.gone[i].sha256, e))
				return false;
			sum.objects++;
			sum.bytes += gc.gone[i].size;
		}
	} while (gc.n == GC_BATCH);
	if (!remove_orphans(s, &sum.orphans, e))
		return false;
	*ret = sum;
	return true;
}
