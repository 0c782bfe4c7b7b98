#include "storage/seen_priv.h"

#include "storage/db_priv.h"
#include "storage/store_priv.h"

#include <pthread.h>
#include <stdlib.h>

/* Open addressing by row number; numbers start at 1, 0 is an empty slot. */
struct slot {
	int64_t number, at_s, written_s;
};

struct seen {
	pthread_mutex_t lock;
	struct slot *slots;
	size_t n, cap; /* cap is a power of two, at most half full */
};

bool seen_new(struct seen **ret)
{
	struct seen *t = calloc(1, sizeof(*t));

	if (!t)
		return false;
	pthread_mutex_init(&t->lock, NULL);
	*ret = t;
	return true;
}

void seen_free(struct seen *t)
{
	if (!t)
		return;
	pthread_mutex_destroy(&t->lock);
	free(t->slots);
	free(t);
}

static struct slot *find(struct slot *slots, size_t cap, int64_t number)
{
	size_t i = (size_t)((uint64_t)number * UINT64_C(0x9e3779b97f4a7c15) >> 20) & (cap - 1);

	while (slots[i].number != 0 && slots[i].number != number)
		i = (i + 1) & (cap - 1);
	return &slots[i];
}

static bool make_room(struct seen *t)
{
	size_t cap = t->cap ? t->cap * 2 : 256;
	struct slot *slots;

	if (t->n * 2 < t->cap)
		return true;
	slots = calloc(cap, sizeof(*slots));
	if (!slots)
		return false;
	for (size_t i = 0; i < t->cap; i++)
		if (t->slots[i].number != 0)
			*find(slots, cap, t->slots[i].number) = t->slots[i];
	free(t->slots);
	t->slots = slots;
	t->cap = cap;
	return true;
}

void seen_note(struct seen *t, int64_t number, int64_t now_s)
{
	struct slot *slot;

	pthread_mutex_lock(&t->lock);
	if (make_room(t)) {
		slot = find(t->slots, t->cap, number);
		t->n += slot->number == 0;
		slot->number = number;
		if (now_s > slot->at_s)
			slot->at_s = now_s;
	}
	pthread_mutex_unlock(&t->lock);
}

int64_t seen_latest(struct seen *t, int64_t number, int64_t stored_s)
{
	int64_t at_s = 0;

	pthread_mutex_lock(&t->lock);
	if (t->cap)
		at_s = find(t->slots, t->cap, number)->at_s;
	pthread_mutex_unlock(&t->lock);
	return at_s > stored_s ? at_s : stored_s;
}

/* ---- writing it down ---- */

struct entry {
	int64_t number, at_s;
};

struct flush {
	const char *update;
	int64_t step_s;
	struct entry *due;
	size_t n;
};

static bool collect_due(struct seen *t, struct flush *f, struct err *e)
{
	pthread_mutex_lock(&t->lock);
	f->due = calloc(t->n + 1, sizeof(*f->due));
	for (size_t i = 0; f->due && i < t->cap; i++)
		if (t->slots[i].number != 0 &&
		    t->slots[i].at_s - t->slots[i].written_s > f->step_s)
			f->due[f->n++] = (struct entry){ t->slots[i].number, t->slots[i].at_s };
	pthread_mutex_unlock(&t->lock);
	return f->due || err_nomem(e);
}

static void mark_written(struct seen *t, const struct flush *f)
{
	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < f->n; i++)
		find(t->slots, t->cap, f->due[i].number)->written_s = f->due[i].at_s;
	pthread_mutex_unlock(&t->lock);
}

static bool write_due(struct db *db, void *ctx, struct err *e)
{
	const struct flush *f = ctx;

	for (size_t i = 0; i < f->n; i++)
		if (!db_run(db, e, f->update, I(f->due[i].number), I(f->due[i].at_s),
			    I(f->step_s)))
			return false;
	return true;
}

bool seen_flush(struct seen *t, struct store *s, const char *update, int64_t step_s,
		struct err *e)
{
	struct flush f = { .update = update, .step_s = step_s };

	if (!collect_due(t, &f, e))
		return false;
	bool ok = f.n == 0 || store_write_device(s, NULL, write_due, &f, e);
	if (ok)
		mark_written(t, &f);
	free(f.due);
	return ok;
}
