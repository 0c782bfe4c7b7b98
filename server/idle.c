#include "server/idle.h"
#include "server/hash.h"

#include <pthread.h>

enum { LOCKS = 64, NONCE_AT = 16, NONCE_N = 32 };

struct place {
	bool used, empty_ok;
	struct device_stamp stamp;
	uint64_t hash; /* 0: only the row is known */
	struct device_checkin row;
};

struct idle {
	uint64_t seed;
	size_t mask;
	pthread_mutex_t locks[LOCKS];
	struct place *places;
};

bool idle_new(struct idle **ret, size_t places, uint64_t seed, struct err *e)
{
	struct idle *c = calloc(1, sizeof(*c));

	if (c)
		c->places = calloc(places, sizeof(*c->places));
	if (!c || !c->places) {
		free(c);
		return err_nomem(e);
	}
	c->seed = seed;
	c->mask = places - 1;
	for (int i = 0; i < LOCKS; i++)
		pthread_mutex_init(&c->locks[i], NULL);
	*ret = c;
	return true;
}

void idle_free(struct idle *c)
{
	if (!c)
		return;
	for (int i = 0; i < LOCKS; i++)
		pthread_mutex_destroy(&c->locks[i]);
	free(c->places);
	free(c);
}

static struct place *lock_place(struct idle *c, const char *id, pthread_mutex_t **ret_lock)
{
	size_t i = (size_t)hash64(id, strlen(id), c->seed) & c->mask;

	*ret_lock = &c->locks[i % LOCKS];
	pthread_mutex_lock(*ret_lock);
	return &c->places[i];
}

static bool same_stamp(const struct device_stamp *a, const struct device_stamp *b)
{
	return a->all == b->all && a->own == b->own;
}

static bool is_of(const struct place *p, const char *id, const struct device_stamp *stamp)
{
	return p->used && same_stamp(&p->stamp, stamp) && strcmp(p->row.id, id) == 0;
}

bool idle_row(struct idle *c, struct store *s, const char *id, struct device_checkin *ret,
	      struct device_stamp *ret_stamp, struct err *e)
{
	pthread_mutex_t *lock;
	struct place *p;
	bool found;

	/* Before the read: a change in between makes what is read look old, never new. */
	devices_stamp(s, id, ret_stamp);
	p = lock_place(c, id, &lock);
	found = is_of(p, id, ret_stamp);
	if (found)
		*ret = p->row;
	pthread_mutex_unlock(lock);
	return found || devices_checkin(s, id, ret, e);
}

/* {"v":1,"nonce":"<32 hex digits>",...: what our encoder writes (proto/checkin.c).  Another order
 * of members is read in full each time. */
uint64_t idle_hash(const struct idle *c, const void *body, size_t n)
{
	static const char head[] = "{\"v\":1,\"nonce\":\"";
	const char *p = body;
	uint64_t h;

	if (n < NONCE_AT + NONCE_N + 1 || memcmp(p, head, NONCE_AT) != 0 ||
	    p[NONCE_AT + NONCE_N] != '"')
		return 0;
	for (int i = 0; i < NONCE_N; i++) {
		char d = p[NONCE_AT + i];

		if (!((d >= '0' && d <= '9') || (d >= 'a' && d <= 'f')))
			return 0;
	}
	h = hash64(p + NONCE_AT + NONCE_N, n - NONCE_AT - NONCE_N, c->seed ^ n);
	return h ? h : 1;
}

bool idle_is_known(struct idle *c, const char *id, const struct device_stamp *stamp,
		   uint64_t hash, bool *ret_empty_ok)
{
	pthread_mutex_t *lock;
	struct place *p;
	bool known;

	if (hash == 0)
		return false;
	p = lock_place(c, id, &lock);
	known = is_of(p, id, stamp) && p->hash == hash;
	if (known)
		*ret_empty_ok = p->empty_ok;
	pthread_mutex_unlock(lock);
	return known;
}

void idle_put(struct idle *c, const struct device_checkin *row,
	      const struct device_stamp *stamp, uint64_t hash, bool empty_ok)
{
	pthread_mutex_t *lock;
	struct place *p = lock_place(c, row->id, &lock);

	p->used = true;
	p->stamp = *stamp;
	p->hash = hash;
	p->empty_ok = empty_ok;
	p->row = *row;
	pthread_mutex_unlock(lock);
}
