#include "delta/account.h"
#include "delta/content.h"
#include "delta/recipe.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

/* ---- noting ---- */

struct account account_begin(uint64_t index_bytes)
{
	return (struct account){ .before = index_bytes, .sums.index_bytes = index_bytes };
}

void account_done(struct account *a)
{
	free(a->v);
	a->v = NULL;
	a->n = a->cap = 0;
}

static uint64_t spent(struct account *a, uint64_t coded)
{
	uint64_t n = coded - a->before;

	a->before = coded;
	return n;
}

void account_commands(struct account *a, uint64_t coded)
{
	a->sums.command_bytes += spent(a, coded);
}

void account_add(struct account *a, enum spent_on on, uint64_t at, size_t n, uint64_t coded)
{
	uint64_t bytes = spent(a, coded);

	if (bytes == 0)
		return;
	if (a->n == a->cap) {
		size_t cap = a->cap ? 2 * a->cap : 4096;
		struct spending *v = reallocarray(a->v, cap, sizeof(*v));

		if (!v) {
			a->is_short = true;
			return;
		}
		a->v = v;
		a->cap = cap;
	}
	a->v[a->n++] = (struct spending){
		.at = at, .n = (uint32_t)n, .bytes = (uint32_t)bytes, .on = on
	};
}

static void encoder_name(char *ret, size_t room, const struct recipe *r)
{
	const struct guess_how *h = &r->how;
	bool usual = h->is_gzip ||
		     (h->window_bits == 15 && h->memory == 8 && h->strategy == GUESS_DEFAULT);
	bool corrected = r->blocks < r->blocks_end || r->tokens < r->tokens_end;

	snprintf(ret, room, "%s -%u%s%s", h->is_gzip ? "gzip" : "zlib", h->level,
		 usual ? "" : " with parameters", corrected ? ", corrected" : "");
}

void account_stream(struct account *account, const uint8_t *recipe, size_t recipe_n,
		    uint64_t packed, uint64_t plain, uint64_t spent)
{
	struct delta_account *a = &account->sums;
	char name[DELTA_ENCODER_NAME] = "unknown";
	struct recipe r;
	unsigned i = 0;
	struct err e;

	if (recipe_parse(&r, recipe, recipe_n, &e))
		encoder_name(name, sizeof(name), &r);
	while (i < a->n_encoders && strcmp(a->encoders[i].name, name) != 0)
		i++;
	if (i == DELTA_ENCODERS) /* more than there are of ours: the last one has the rest */
		i--;
	struct delta_encoder *x = &a->encoders[i];
	if (i == a->n_encoders) {
		memcpy(x->name, name, sizeof(name));
		a->n_encoders++;
	}
	x->streams++;
	x->packed_bytes += packed;
	x->plain_bytes += plain;
	x->spent_bytes += spent;
}

/* ---- sorting out ---- */

struct sorting {
	struct delta_account *sums;
	struct atlas atlas;
	struct contents *contents;
	uint64_t *files; /* what was spent on each of the atlas */
};

static void count(struct sorting *s, enum delta_content kind, uint32_t file, uint64_t bytes)
{
	s->sums->content_bytes[kind] += bytes;
	if (file != ATLAS_NO_FILE)
		s->files[file] += bytes;
}

/* What a block cost is shared out evenly among all that lies in it. */
static void count_raw(struct sorting *s, const struct spending *x)
{
	uint64_t end = x->at + x->n, shared = 0, next;

	for (uint64_t at = x->at; at < end; at = next) {
		uint32_t file;
		enum delta_content kind = content_at(s->contents, at, end, &next, &file);
		uint64_t so_far = x->bytes * (next - x->at) / x->n;

		count(s, kind, file, so_far - shared);
		shared = so_far;
	}
}

static void count_stream(struct sorting *s, const struct spending *x)
{
	const struct atlas_range *r = atlas_at(&s->atlas, x->at).range;
	uint32_t file = r ? r->file : ATLAS_NO_FILE;

	if (x->on == SPENT_PLAIN) {
		count(s, content_of_stream(s->atlas.image, x->at), file, x->bytes);
		return;
	}
	s->sums->recipe_bytes += x->bytes;
	if (file != ATLAS_NO_FILE)
		s->files[file] += x->bytes;
}

struct dear { /* a file, and what it cost */
	uint64_t bytes;
	uint32_t file;
};

static int by_bytes(const void *a, const void *b)
{
	const struct dear *x = a, *y = b;

	if (x->bytes != y->bytes)
		return x->bytes > y->bytes ? -1 : 1;
	return x->file < y->file ? -1 : x->file > y->file;
}

/* As text: what is not printable ASCII, and backslashes, as \xHH. */
static bool path_text(char **ret, const struct atlas *atlas, uint32_t file, struct err *e)
{
	CLEANUP(buf_done) struct buf path = BUF_INIT(ATLAS_PATH_MAX);
	CLEANUP(buf_done) struct buf text = BUF_INIT(4 * ATLAS_PATH_MAX + 1);
	size_t n;

	if (!atlas_path(atlas, file, &path, e))
		return false;
	for (size_t i = 0; i < path.n; i++) {
		unsigned c = path.p[i];

		if (!buf_printf(&text, e, c < ' ' || c > '~' || c == '\\' ? "\\x%02x" : "%c",
				c))
			return false;
	}
	return buf_take(&text, ret, &n, e);
}

static bool paths_name(struct sorting *s, const struct dear *v, size_t n, struct err *e)
{
	struct delta_account *a = s->sums;

	a->paths_all = n;
	if (n > DELTA_PATHS)
		n = DELTA_PATHS;
	a->paths = calloc(n + 1, sizeof(*a->paths));
	if (!a->paths)
		return err_nomem(e);
	for (; a->n_paths < n; a->n_paths++) {
		struct delta_path *f = &a->paths[a->n_paths];

		if (!path_text(&f->path, &s->atlas, v[a->n_paths].file, e))
			return false;
		f->spent_bytes = v[a->n_paths].bytes;
	}
	return true;
}

static bool files_sort(struct sorting *s, struct err *e)
{
	struct dear *v = reallocarray(NULL, s->atlas.n_files + 1, sizeof(*v));
	size_t n = 0;

	if (!v)
		return err_nomem(e);
	for (size_t i = 0; i < s->atlas.n_files; i++)
		if (s->files[i])
			v[n++] = (struct dear){ .bytes = s->files[i], .file = (uint32_t)i };
	qsort(v, n, sizeof(*v), by_bytes);
	bool ok = paths_name(s, v, n, e);
	free(v);
	return ok;
}

static bool sort_out(struct account *a, struct sorting *s, const uint8_t *image, uint64_t size,
		     struct err *e)
{
	if (!atlas_read(&s->atlas, image, size, e))
		return false;
	contents_init(s->contents, &s->atlas);
	s->files = calloc(s->atlas.n_files + 1, sizeof(*s->files));
	if (!s->files)
		return err_nomem(e);
	for (size_t i = 0; i < a->n; i++)
		if (a->v[i].on == SPENT_RAW)
			count_raw(s, &a->v[i]);
		else
			count_stream(s, &a->v[i]);
	/* An image that is one file has no names to tell. */
	return s->atlas.n_folders == 0 || files_sort(s, e);
}

static bool sort_mapped(struct account *a, const uint8_t *image, uint64_t size, struct err *e)
{
	struct sorting s = { .sums = &a->sums, .atlas = ATLAS_INIT };

	s.contents = malloc(sizeof(*s.contents));
	bool ok = s.contents ? sort_out(a, &s, image, size, e) : err_nomem(e);
	free(s.files);
	free(s.contents);
	atlas_done(&s.atlas);
	return ok;
}

bool account_end(struct account *a, int image_fd, uint64_t size, struct delta_account *ret,
		 struct err *e)
{
	bool ok = true;

	if (a->is_short)
		return err_nomem(e);
	if (size) {
		void *image = mmap(NULL, (size_t)size, PROT_READ, MAP_SHARED, image_fd, 0);

		if (image == MAP_FAILED)
			return err_sys(e, errno, "mapping the new image");
		ok = sort_mapped(a, image, size, e);
		munmap(image, (size_t)size);
	}
	if (ok)
		*ret = a->sums;
	else
		delta_account_done(&a->sums);
	return ok;
}

void delta_account_done(struct delta_account *a)
{
	for (size_t i = 0; i < a->n_paths; i++)
		free(a->paths[i].path);
	free(a->paths);
	a->paths = NULL;
	a->n_paths = 0;
}
