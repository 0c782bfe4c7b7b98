/* storage/objects_check.c - whether the stored bytes still are what their names say. */
#include "storage/objects_priv.h"

#include "base/io.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

static bool check_one(struct store *s, const struct object *o, struct err *e)
{
	CLEANUP(fd_closep) int fd = -1;
	uint8_t got[SHA256_SIZE];
	struct object_path path;
	uint64_t size;

	object_path(&path, o->sha256);
	if (!objects_open(s, o->sha256, &fd, &size, e))
		return e->code == E_NOT_FOUND ? err_set(e, E_CORRUPT, "object %s%s is gone",
							path.dir, path.name)
					      : false;
	if (!sha256_fd(got, &size, fd, e))
		return err_wrap(e, "object %s%s", path.dir, path.name);
	if (size != o->size || memcmp(got, o->sha256, SHA256_SIZE) != 0)
		return err_set(e, E_CORRUPT, "object %s%s was altered", path.dir, path.name);
	return true;
}

/* Publishing may have healed the object while it was read: only the very file that was found bad
 * goes. */
static bool remove_same(struct store *s, const uint8_t sha256[static SHA256_SIZE],
			const struct stat *bad, struct err *e)
{
	CLEANUP(fd_closep) int lock = -1;
	char name[OBJECT_NAME_SIZE];
	struct stat now;

	object_name(name, sha256);
	if (!objects_lock(s, true, &lock, e))
		return false;
	if (fstatat(s->objects_fd, name, &now, AT_SYMLINK_NOFOLLOW) != 0)
		return errno == ENOENT ? true : err_sys(e, errno, "objects/%s", name);
	return now.st_dev != bad->st_dev || now.st_ino != bad->st_ino ||
	       object_file_remove(s, sha256, e);
}

bool objects_drop_damaged(struct store *s, const uint8_t sha256[static SHA256_SIZE],
			  bool *ret_dropped, struct err *e)
{
	CLEANUP(fd_closep) int fd = -1;
	uint8_t got[SHA256_SIZE];
	struct stat st;
	uint64_t size;

	*ret_dropped = false;
	if (!objects_open(s, sha256, &fd, &size, e))
		return e->code == E_NOT_FOUND;
	if (!sha256_fd(got, &size, fd, e))
		return err_wrap(e, "object");
	if (memcmp(got, sha256, SHA256_SIZE) == 0)
		return true;
	if (fstat(fd, &st) != 0)
		return err_sys(e, errno, "object");
	if (!remove_same(s, sha256, &st, e))
		return false;
	*ret_dropped = true;
	return true;
}

bool objects_check(struct store *s, struct object_totals *ret, struct err *e)
{
	CLEANUP(object_page_done) struct object_page page = { 0 };
	CLEANUP(fd_closep) int lock = -1;
	struct object_totals sum = { 0 };
	uint8_t after[SHA256_SIZE];
	bool more = true, first = true;

	/* Shared with publishers; collection would make "gone" mean nothing. */
	if (!objects_lock(s, false, &lock, e))
		return false;
	while (more) {
		object_page_done(&page);
		if (!objects_list(s, first ? NULL : after, 0, &page, e))
			return false;
		for (size_t i = 0; i < page.n; i++) {
			if (!check_one(s, &page.items[i], e))
				return false;
			sum.count++;
			sum.bytes += page.items[i].size;
		}
		more = page.more;
		first = false;
		if (page.n > 0)
			memcpy(after, page.items[page.n - 1].sha256, SHA256_SIZE);
	}
	*ret = sum;
	return true;
}
