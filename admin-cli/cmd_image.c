/* `valise image`: what an image is like before it is published. */
#include "admin-cli/cmd.h"
#include "admin-cli/image.h"
#include "admin-cli/opts.h"
#include "base/io.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>

static const char *opt_previous;
static bool opt_strict;

const struct cli_opt image_check_opts[] = {
	{ "previous", 0, "FILE", "the image before this one: what changed without need",
	  CLI_STRING, &opt_previous },
	{ "strict", 0, NULL, "exit status 65 when there is something to improve", CLI_FLAG,
	  &opt_strict },
	{ 0 },
};

static bool check_file(struct image_report *ret, const char *path, struct err *e)
{
	CLEANUP(fd_closep) int fd = -1;

	if (!file_open_at(&fd, AT_FDCWD, path, O_RDONLY, 0, e))
		return false;
	return image_check(ret, fd, e) || err_wrap(e, "%s", path);
}

/* ---- for programs ---- */

static void write_parts(struct jw *w, const struct image_report *r)
{
	jw_arr(w, "parts");
	for (unsigned i = 0; i < r->n_parts; i++) {
		const struct image_part *p = &r->parts[i];

		jw_obj(w, NULL);
		jw_u64(w, "partition", p->number);
		jw_str(w, "kind", image_kind_text(p->kind));
		jw_u64(w, "offset", p->offset);
		jw_u64(w, "size", p->size);
		if (p->block_bytes)
			jw_u64(w, "block_bytes", p->block_bytes);
		if (p->kind == IMAGE_EXT4)
			jw_u64(w, "free_bytes", p->free_bytes);
		if (p->has_uuid)
			jw_hex(w, "uuid", p->uuid, sizeof(p->uuid));
		jw_end(w);
	}
	jw_end(w);
}

static bool print_json(const struct image_report *r, struct err *e)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(LIMIT_SMALL_BODY);
	struct jw w;

	jw_init(&w, &b);
	jw_obj(&w, NULL);
	jw_u64(&w, "size", r->size);
	jw_u64(&w, "zero_bytes", r->zero_bytes);
	write_parts(&w, r);
	jw_arr(&w, "findings");
	for (unsigned i = 0; i < r->n_findings; i++) {
		const struct image_finding *f = &r->findings[i];

		jw_obj(&w, NULL);
		jw_str(&w, "id", image_finding_word(f->id));
		jw_u64(&w, "partition", r->parts[f->part].number);
		if (f->bytes)
			jw_u64(&w, "bytes", f->bytes);
		jw_str(&w, "text", f->text);
		jw_str(&w, "advice", image_finding_advice(f->id));
		jw_end(&w);
	}
	jw_end(&w);
	jw_end(&w);
	return jw_finish(&w, e) && buf_add_str(&b, "\n", e) && out_write(&b, e);
}

/* ---- for people ---- */

static bool add_part(struct buf *b, const struct image_part *p, struct err *e)
{
	char size[TEXT_SIZE_MAX], free_size[TEXT_SIZE_MAX];

	size_format(size, p->size);
	size_format(free_size, p->free_bytes);
	if (p->number && !buf_printf(b, e, "partition %u: ", p->number))
		return false;
	return buf_printf(b, e, "%s, %s", image_kind_text(p->kind), size) &&
	       (p->block_bytes == 0 ||
		buf_printf(b, e, ", blocks of %" PRIu32 " bytes", p->block_bytes)) &&
	       (p->kind != IMAGE_EXT4 || buf_printf(b, e, ", %s free", free_size)) &&
	       buf_add_str(b, "\n", e);
}

static bool add_finding(struct buf *b, const struct image_report *r,
			const struct image_finding *f, struct err *e)
{
	char size[TEXT_SIZE_MAX];
	unsigned number = r->parts[f->part].number;

	size_format(size, f->bytes);
	return buf_add_str(b, "\n", e) &&
	       (number == 0 || buf_printf(b, e, "partition %u: ", number)) &&
	       buf_add_str(b, f->text, e) &&
	       (f->bytes == 0 || buf_printf(b, e, " (%s)", size)) &&
	       buf_printf(b, e, "\n  %s\n", image_finding_advice(f->id));
}

static bool print_text(const struct image_report *r, struct err *e)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(LIMIT_SMALL_BODY);
	char zero[TEXT_SIZE_MAX];

	for (unsigned i = 0; i < r->n_parts; i++)
		if (!add_part(&b, &r->parts[i], e))
			return false;
	size_format(zero, r->zero_bytes);
	if (!buf_printf(&b, e, "%s of zeros\n", zero))
		return false;
	for (unsigned i = 0; i < r->n_findings; i++)
		if (!add_finding(&b, r, &r->findings[i], e))
			return false;
	if (r->n_findings == 0 && !buf_add_str(&b, "nothing to improve for deltas\n", e))
		return false;
	return out_write(&b, e);
}

bool cmd_image_check(int argc UNUSED, char **argv, struct err *e)
{
	static struct image_report now, before;

	if (!opts_check(e) || !check_file(&now, argv[0], e))
		return false;
	if (opt_previous) {
		if (!check_file(&before, opt_previous, e))
			return false;
		image_compare(&now, &before);
	}
	if (!(opts_json() ? print_json(&now, e) : print_text(&now, e)))
		return false;
	if (opt_strict && now.n_findings)
		return err_set(e, E_FORMAT, "%s: %u things would make deltas smaller", argv[0],
			       now.n_findings);
	return true;
}
