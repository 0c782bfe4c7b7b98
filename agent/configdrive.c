#include <archive.h>
#include <archive_entry.h>

#include "agent/configdrive.h"

#include "base/io.h"
#include "proto/jwrite.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* Volume descriptors, path tables, Joliet's second copy of them, padding. */
#define IMAGE_MAX (4 * CONFIGDRIVE_FILE_MAX)

static bool line_is_clean(const char *s)
{
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			return false;
	return true;
}

static bool add_line(struct buf *out, const char *key, const char *value, struct err *e)
{
	if (!line_is_clean(value))
		return err_set(e, E_FORMAT, "%s: a control character", key);
	return buf_printf(out, e, "%s: %s\n", key, value);
}

static bool write_meta(struct buf *out, const struct configdrive *c, struct err *e)
{
	return add_line(out, "instance-id", c->instance, e) &&
	       add_line(out, "local-hostname", c->hostname, e) &&
	       add_line(out, "valise-boot", c->boot, e) &&
	       add_line(out, "valise-product", c->product, e) &&
	       add_line(out, "valise-version", c->version, e);
}

static bool write_user(struct buf *out, const struct configdrive *c, struct err *e)
{
	struct jw w;

	if (!buf_add_str(out, "#cloud-config\n", e))
		return false;
	jw_init(&w, out);
	jw_obj(&w, NULL);
	jw_str(&w, "hostname", c->hostname);
	jw_obj(&w, "valise");
	jw_obj(&w, "apps");
	jw_raw(&w, "config", c->apps_config, strlen(c->apps_config));
	jw_end(&w);
	jw_end(&w);
	jw_end(&w);
	return jw_finish(&w, e) && buf_add_str(out, "\n", e);
}

static void archive_freep(struct archive **a)
{
	if (*a)
		archive_write_free(*a);
}

static void entry_freep(struct archive_entry **entry)
{
	archive_entry_free(*entry);
}

static bool archive_fail(struct archive *a, struct err *e)
{
	const char *text = a ? archive_error_string(a) : NULL;

	return err_set(e, archive_errno(a) == ENOMEM ? E_NOMEM : E_SYSTEM, "ISO 9660: %s",
		       text ? text : "no reason given");
}

static bool add_file(struct archive *a, const char *name, const struct buf *b, int64_t at_s,
		     struct err *e)
{
	CLEANUP(entry_freep) struct archive_entry *entry = archive_entry_new();

	if (!entry)
		return err_nomem(e);
	archive_entry_set_pathname(entry, name);
	archive_entry_set_filetype(entry, AE_IFREG);
	archive_entry_set_perm(entry, 0444);
	archive_entry_set_size(entry, (int64_t)b->n);
	archive_entry_set_mtime(entry, at_s, 0);
	if (archive_write_header(a, entry) != ARCHIVE_OK ||
	    archive_write_data(a, b->p, b->n) != (ssize_t)b->n)
		return archive_fail(a, e);
	return true;
}

struct image_sink {
	struct buf *out;
	struct err *e;
};

static ssize_t take_bytes(struct archive *a, void *arg, const void *p, size_t n)
{
	struct image_sink *sink = arg;

	if (!buf_add(sink->out, p, n, sink->e)) {
		archive_set_error(a, ENOMEM, "%s", sink->e->text);
		return -1;
	}
	return (ssize_t)n;
}

static bool write_image(struct buf *out, const struct buf *meta, const struct buf *user,
			int64_t at_s, struct err *e)
{
	CLEANUP(archive_freep) struct archive *a = archive_write_new();
	struct image_sink sink = { out, e };

	if (!a)
		return err_nomem(e);
	if (archive_write_set_format_iso9660(a) != ARCHIVE_OK ||
	    archive_write_set_options(a, "volume-id=cidata,!pad") != ARCHIVE_OK ||
	    archive_write_open(a, &sink, NULL, take_bytes, NULL) != ARCHIVE_OK)
		return archive_fail(a, e);
	if (!add_file(a, "meta-data", meta, at_s, e) ||
	    !add_file(a, "user-data", user, at_s, e))
		return false;
	return archive_write_close(a) == ARCHIVE_OK ? true : archive_fail(a, e);
}

/* libarchive keeps to ECMA-119's d-characters, which are upper case; NoCloud's label is not, and everyone
 * who writes it (genisoimage -V cidata) writes it as it is.  Primary volume descriptor: sector 16,
 * volume identifier at byte 40 (ECMA-119, 8.4.7). */
static bool fix_label(struct buf *image, struct err *e)
{
	static const size_t at = 16 * 2048 + 40;

	if (image->n < at + 6 || memcmp(image->p + at, "CIDATA", 6) != 0)
		return err_set(e, E_INTERNAL, "ISO 9660: no volume label");
	memcpy(image->p + at, "cidata", 6);
	return true;
}

/* Sealed against changes, and opened again so that the receiver cannot even try. */
static bool to_memory_file(int *ret, const struct buf *image, struct err *e)
{
	char path[64];
	CLEANUP(fd_closep)
	int fd = memfd_create("valise-config", MFD_CLOEXEC | MFD_ALLOW_SEALING);

	if (fd < 0)
		return err_sys(e, errno, "memory file");
	if (!write_all(fd, image->p, image->n, e))
		return false;
	if (fcntl(fd, F_ADD_SEALS, F_SEAL_GROW | F_SEAL_SHRINK | F_SEAL_WRITE | F_SEAL_SEAL) <
	    0)
		return err_sys(e, errno, "memory file: seal");
	/* Readable for the monitor's own account, which opens it by /proc/self/fd. */
	if (fchmod(fd, 0444) < 0)
		return err_sys(e, errno, "memory file: mode");
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	*ret = open(path, O_RDONLY | O_CLOEXEC);
	return *ret >= 0 ? true : err_sys(e, errno, "memory file: open for reading");
}

bool configdrive_make(int *ret, const struct configdrive *c, struct err *e)
{
	CLEANUP(buf_done) struct buf meta = BUF_INIT(CONFIGDRIVE_FILE_MAX);
	CLEANUP(buf_done) struct buf user = BUF_INIT(CONFIGDRIVE_FILE_MAX);
	CLEANUP(buf_done) struct buf image = BUF_INIT(IMAGE_MAX);

	if (!write_meta(&meta, c, e) || !write_user(&user, c, e) ||
	    !write_image(&image, &meta, &user, c->made_s, e) || !fix_label(&image, e) ||
	    !to_memory_file(ret, &image, e))
		return err_wrap(e, "configuration drive");
	return true;
}
