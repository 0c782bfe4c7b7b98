#include "server/rate.h"
#include "server/hash.h"

#include <pthread.h>
#include <stdlib.h>

bool bucket_take(struct bucket *b, uint64_t rate, uint64_t burst, int64_t now_ms,
		 uint32_t *ret_wait_s)
{
	uint64_t max = burst * 1000, back;
	int64_t passed = now_ms - b->at_ms;

	if (rate == 0)
		return true;
	/* rate tokens a second are rate thousandths a millisecond; after 2^31 ms it is full anyway. */
	back = passed <= 0 ? 0 : (uint64_t)(passed > INT32_MAX ? INT32_MAX : passed) * rate;
	b->used = b->used > back ? b->used - back : 0;
	b->at_ms = now_ms;
	if (b->used + 1000 > max) {
		*ret_wait_s = (uint32_t)((b->used + 1000 - max) / (rate * 1000) + 1);
		return false;
	}
	b->used += 1000;
	return true;
}

enum { WAYS = 8, LOCKS = 64 };

struct entry {
	uint64_t key; /* keyed hash of the real one; 0: free */
	struct bucket bucket;
};

struct rates {
	uint64_t seed;
	size_t mask;
	pthread_mutex_t locks[LOCKS];
	struct entry (*rows)[WAYS];
};

bool rates_new(struct rates **ret, size_t rows, uint64_t seed, struct err *e)
{
	struct rates *r = calloc(1, sizeof(*r));

	if (r)
		r->rows = calloc(rows, sizeof(*r->rows));
	if (!r || !r->rows) {
		free(r);
		return err_nomem(e);
	}
	r->mask = rows - 1;
	r->seed = seed;
	for (int i = 0; i < LOCKS; i++)
		pthread_mutex_init(&r->locks[i], NULL);
	*ret = r;
	return true;
}

void rates_free(struct rates *r)
{
	if (!r)
		return;
	for (int i = 0; i < LOCKS; i++)
		pthread_mutex_destroy(&r->locks[i]);
	free(r->rows);
	free(r);
}

static struct entry *find(struct entry *row, uint64_t key)
{
	struct entry *oldest = row;

	for (int i = 0; i < WAYS; i++) {
		if (row[i].key == key)
			return &row[i];
		if (row[i].bucket.at_ms < oldest->bucket.at_ms)
			oldest = &row[i];
	}
	*oldest = (struct entry){ .key = key };
	return oldest;
}

bool rates_take(struct rates *r, const void *key, size_t n, uint64_t rate, uint64_t burst,
		int64_t now_ms, uint32_t *ret_wait_s)
{
	pthread_mutex_t *lock;
	uint64_t h;
	size_t row;
	bool ok;

	if (rate == 0)
		return true;
	h = hash64(key, n, r->seed) | 1;
	row = (size_t)(h >> 8) & r->mask;
	lock = &r->locks[row % LOCKS];
	pthread_mutex_lock(lock);
	ok = bucket_take(&find(r->rows[row], h)->bucket, rate, burst, now_ms, ret_wait_s);
	pthread_mutex_unlock(lock);
	return ok;
}
