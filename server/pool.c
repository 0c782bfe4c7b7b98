#include "server/pool.h"

#include <pthread.h>
#include <stdlib.h>

struct task {
	void (*fn)(void *arg);
	void *arg;
};

struct pool {
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct task queue[POOL_QUEUE];
	size_t first, n;
	bool ending;
	pthread_t *threads;
	unsigned threads_n;
};

static bool take(struct pool *p, struct task *ret)
{
	bool got = false;

	pthread_mutex_lock(&p->lock);
	while (p->n == 0 && !p->ending)
		pthread_cond_wait(&p->more, &p->lock);
	if (p->n > 0) {
		*ret = p->queue[p->first];
		p->first = (p->first + 1) % POOL_QUEUE;
		p->n--;
		got = true;
	}
	pthread_mutex_unlock(&p->lock);
	return got;
}

static void *work(void *arg)
{
	struct pool *p = arg;
	struct task t;

	while (take(p, &t))
		t.fn(t.arg);
	return NULL;
}

bool pool_new(struct pool **ret, unsigned threads, struct err *e)
{
	struct pool *p = calloc(1, sizeof(*p));

	if (!p)
		return err_nomem(e);
	pthread_mutex_init(&p->lock, NULL);
	pthread_cond_init(&p->more, NULL);
	p->threads = calloc(threads, sizeof(*p->threads));
	while (p->threads && p->threads_n < threads) {
		if (pthread_create(&p->threads[p->threads_n], NULL, work, p) != 0)
			break;
		p->threads_n++;
	}
	if (p->threads_n < threads) {
		err_set(e, E_NOMEM, "only %u of %u threads could be started", p->threads_n,
			threads);
		pool_free(p);
		return false;
	}
	*ret = p;
	return true;
}

bool pool_run(struct pool *p, void (*fn)(void *arg), void *arg, struct err *e)
{
	bool ok;

	pthread_mutex_lock(&p->lock);
	ok = p->n < POOL_QUEUE && !p->ending;
	if (ok) {
		p->queue[(p->first + p->n++) % POOL_QUEUE] = (struct task){ fn, arg };
		pthread_cond_signal(&p->more);
	}
	pthread_mutex_unlock(&p->lock);
	return ok ? true : err_set(e, E_BUSY, "too many requests are waiting");
}

void pool_stop(struct pool *p)
{
	pthread_mutex_lock(&p->lock);
	p->ending = true;
	pthread_cond_broadcast(&p->more);
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->threads_n; i++)
		pthread_join(p->threads[i], NULL);
	p->threads_n = 0;
}

void pool_free(struct pool *p)
{
	if (!p)
		return;
	pool_stop(p);
	free(p->threads);
	pthread_mutex_destroy(&p->lock);
	pthread_cond_destroy(&p->more);
	free(p);
}

size_t pool_waiting(struct pool *p)
{
	size_t n;

	pthread_mutex_lock(&p->lock);
	n = p->n;
	pthread_mutex_unlock(&p->lock);
	return n;
}
