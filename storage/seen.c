#include "storage/seen_priv.h"

#include <pthread.h>

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

bool seen_due(struct seen *t, int64_t step_s, struct seen_entry **ret, size_t *ret_n,
	      struct err *e)
{
	struct seen_entry *due;
	size_t n = 0;

	pthread_mutex_lock(&t->lock);
	due = calloc(t->n + 1, sizeof(*due));
	for (size_t i = 0; due && i < t->cap; i++)
		if (t->slots[i].number != 0 &&
		    t->slots[i].at_s - t->slots[i].written_s > step_s)
			due[n++] = (struct seen_entry){ t->slots[i].number, t->slots[i].at_s };
	pthread_mutex_unlock(&t->lock);
	if (!due)
		return err_nomem(e);
	*ret = due;
	*ret_n = n;
	return true;
}

void seen_written(struct seen *t, const struct seen_entry *entries, size_t n)
{
	pthread_mutex_lock(&t->lock);
	for (size_t i = 0; i < n && t->cap; i++) {
		struct slot *slot = find(t->slots, t->cap, entries[i].number);

		if (slot->number != 0)
			slot->written_s = entries[i].at_s;
	}
	pthread_mutex_unlock(&t->lock);
}
