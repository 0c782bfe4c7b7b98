#include "delta/tasks.h"

static bool take(struct tasks *t, size_t *ret)
{
	bool got;

	pthread_mutex_lock(&t->lock);
	got = !t->failed && t->next < t->n;
	if (got)
		*ret = t->next++;
	pthread_mutex_unlock(&t->lock);
	return got;
}

static void finish(struct tasks *t, bool ok, const struct err *e, size_t *ret_done)
{
	pthread_mutex_lock(&t->lock);
	*ret_done = ++t->done;
	if (!ok && !t->failed) {
		t->failed = true;
		t->error = *e;
	}
	pthread_mutex_unlock(&t->lock);
}

static void work(struct tasks *t, unsigned thread)
{
	struct err e = { 0 };
	size_t index = 0, done;

	while (take(t, &index)) {
		bool ok = t->run(t->ctx, index, thread, &e);

		finish(t, ok, &e, &done);
		if (thread == 0 && ok && t->progress && !t->progress(t->ctx, done)) {
			err_set(&e, E_CANCELLED, "cancelled");
			finish(t, false, &e, &done);
		}
	}
}

struct worker {
	struct tasks *tasks;
	unsigned index;
	pthread_t thread;
};

static void *worker_main(void *arg)
{
	struct worker *w = arg;

	work(w->tasks, w->index);
	return NULL;
}

/* Threads that cannot be started are done without. */
bool tasks_run(struct tasks *t, struct err *e)
{
	struct worker workers[TASKS_THREADS_MAX];
	unsigned n = 0;

	pthread_mutex_init(&t->lock, NULL);
	while (n + 1 < t->threads && n + 1 < t->n && n + 1 < TASKS_THREADS_MAX) {
		workers[n] = (struct worker){ .tasks = t, .index = n + 1 };
		if (pthread_create(&workers[n].thread, NULL, worker_main, &workers[n]) != 0)
			break;
		n++;
	}
	work(t, 0);
	while (n > 0)
		pthread_join(workers[--n].thread, NULL);
	pthread_mutex_destroy(&t->lock);
	if (t->failed)
		*e = t->error;
	return !t->failed;
}
