#include "server/nonces.h"
#include "server/hash.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

enum { SHARDS = 16, FIRST_ROOM = 256 };

/* Open addressing over 128-bit fingerprints of (key, nonce); zero marks a free place. */
struct set {
	uint64_t (*v)[2];
	size_t room, n;
};

struct shard {
	pthread_mutex_t lock;
	struct set young, old;
	int64_t turned_ms;
};

struct nonces {
	uint64_t seed;
	int64_t window_ms;
	size_t max; /* of one set */
	struct shard shards[SHARDS];
};

static bool set_has(const struct set *s, const uint64_t f[2])
{
	if (s->room == 0)
		return false;
	for (size_t i = f[0] & (s->room - 1);; i = (i + 1) & (s->room - 1)) {
		if (s->v[i][0] == 0)
			return false;
		if (memcmp(s->v[i], f, sizeof(s->v[i])) == 0)
			return true;
	}
}

static void set_place(struct set *s, const uint64_t f[2])
{
	size_t i = f[0] & (s->room - 1);

	while (s->v[i][0] != 0)
		i = (i + 1) & (s->room - 1);
	s->v[i][0] = f[0];
	s->v[i][1] = f[1];
	s->n++;
}

static bool set_grow(struct set *s, struct err *e)
{
	struct set next = { .room = s->room ? s->room * 2 : FIRST_ROOM };

	next.v = calloc(next.room, sizeof(*next.v));
	if (!next.v)
		return err_nomem(e);
	for (size_t i = 0; i < s->room; i++) {
		if (s->v[i][0] != 0)
			set_place(&next, s->v[i]);
	}
	free(s->v);
	*s = next;
	return true;
}

static bool set_add(struct set *s, const uint64_t f[2], size_t max, struct err *e)
{
	if (s->n >= max)
		return err_set(e, E_BUSY, "too many requests within the clock window");
	/* At most half full: what is looked for is mostly not there, and ends at the first free place. */
	if ((s->n + 1) * 2 > s->room && !set_grow(s, e))
		return false;
	set_place(s, f);
	return true;
}

static void turn(struct shard *sh, int64_t now_ms, int64_t window_ms)
{
	int64_t age = now_ms - sh->turned_ms;

	if (age < window_ms)
		return;
	free(sh->old.v);
	sh->old = sh->young;
	sh->young = (struct set){ .room = 0 };
	if (age >= 2 * window_ms) {
		free(sh->old.v);
		sh->old = (struct set){ .room = 0 };
	}
	sh->turned_ms = now_ms;
}

bool nonces_new(struct nonces **ret, uint32_t window_s, size_t max, uint64_t seed,
		struct err *e)
{
	struct nonces *n = calloc(1, sizeof(*n));

	if (!n)
		return err_nomem(e);
	n->seed = seed;
	n->window_ms = (int64_t)window_s * 1000;
	n->max = (max + SHARDS - 1) / SHARDS;
	for (int i = 0; i < SHARDS; i++)
		pthread_mutex_init(&n->shards[i].lock, NULL);
	*ret = n;
	return true;
}

void nonces_free(struct nonces *n)
{
	if (!n)
		return;
	for (int i = 0; i < SHARDS; i++) {
		free(n->shards[i].young.v);
		free(n->shards[i].old.v);
		pthread_mutex_destroy(&n->shards[i].lock);
	}
	free(n);
}

bool nonces_add(struct nonces *n, const char *keyid, const char *nonce, int64_t now_ms,
		struct err *e)
{
	uint64_t k = hash64(keyid, strlen(keyid), n->seed);
	uint64_t f[2] = { hash64(nonce, strlen(nonce), n->seed ^ k) | 1,
			  hash64(nonce, strlen(nonce), ~(n->seed ^ k)) };
	struct shard *sh = &n->shards[f[1] % SHARDS];
	bool ok;

	pthread_mutex_lock(&sh->lock);
	turn(sh, now_ms, n->window_ms);
	if (set_has(&sh->young, f) || set_has(&sh->old, f))
		ok = err_set(e, E_AUTH, "this request was seen before");
	else
		ok = set_add(&sh->young, f, n->max, e);
	pthread_mutex_unlock(&sh->lock);
	return ok;
}
