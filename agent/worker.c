#include "agent/worker.h"

#include "base/io.h"

#include <errno.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

bool worker_init(struct worker *w, struct err *e)
{
	*w = (struct worker){ .done_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) };
	return w->done_fd >= 0 ? true : err_sys(e, errno, "eventfd");
}

static void *thread_main(void *arg)
{
	struct worker *w = arg;
	uint64_t one = 1;

	w->run(w->job);
	/* An eventfd takes this write always; the loop would else wait for its next timeout. */
	ssize_t ignored = write(w->done_fd, &one, sizeof(one));
	(void)ignored;
	return NULL;
}

bool worker_start(struct worker *w, void (*run)(void *job), void *job, struct err *e)
{
	sigset_t all, before;

	atomic_store(&w->cancel, false);
	w->run = run;
	w->job = job;
	/* Signals are the loop's. */
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int rc = pthread_create(&w->thread, NULL, thread_main, w);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (rc != 0)
		return err_sys(e, rc, "thread");
	w->busy = true;
	return true;
}

void worker_cancel(struct worker *w)
{
	atomic_store(&w->cancel, true);
}

void *worker_take(struct worker *w)
{
	uint64_t count;

	if (!w->busy)
		return NULL;
	pthread_join(w->thread, NULL);
	ssize_t ignored = read(w->done_fd, &count, sizeof(count));
	(void)ignored;
	w->busy = false;
	return TAKE(w->job);
}

void worker_done(struct worker *w)
{
	worker_cancel(w);
	worker_take(w);
	fd_closep(&w->done_fd);
}
