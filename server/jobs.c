#include "server/jobs.h"
#include "server/ipc.h"
#include "base/io.h"

#include <pthread.h>
#include <time.h>

enum { REMEMBER_MS = 3600000, TRIES = 2, HEAR_MS = 200 };

enum job_state { FREE, WAITING, RUNNING, GOOD, BAD };

struct slot {
	enum job_state state;
	uint8_t key[SHA256_SIZE]; /* of the job and its object */
	uint32_t id, worker;
	unsigned tries;
	bool send_again; /* its worker was lost */
	int64_t end_by_ms, ended_ms;
	struct err why;
};

struct jobs {
	pthread_mutex_t lock;
	pthread_cond_t change;
	pthread_t thread;
	bool ending;
	int fd, control;
	int64_t time_ms;
	const struct clock *clock;
	uint32_t next_id;
	struct jobs_stats stats;
	struct slot slots[JOBS_MAX];
};

static struct slot *by_id(struct jobs *j, uint32_t id)
{
	for (int i = 0; i < JOBS_MAX; i++) {
		struct slot *s = &j->slots[i];

		if ((s->state == WAITING || s->state == RUNNING) && s->id == id)
			return s;
	}
	return NULL;
}

static void end(struct jobs *j, struct slot *s, enum job_state state)
{
	s->state = state;
	s->ended_ms = clock_boot_ms(j->clock);
	if (state == GOOD)
		j->stats.good++;
	else
		j->stats.bad++;
}

/* Under the lock. */
static void heard(struct jobs *j, const struct ipc_msg *m)
{
	struct slot *s = by_id(j, m->id);

	if (!s)
		return; /* for the web process before this one */
	switch (m->type) {
	case IPC_TAKEN:
		memcpy(&s->worker, m->p, sizeof(s->worker));
		s->end_by_ms = clock_boot_ms(j->clock) + j->time_ms;
		s->state = RUNNING;
		break;
	case IPC_VERIFIED:
		end(j, s, GOOD);
		break;
	default:
		ipc_get_err(m, &s->why);
		end(j, s, BAD);
	}
	pthread_cond_broadcast(&j->change);
}

/* Under the lock.  Should mgr not be told, or its signal not be heard, it is asked again. */
static void end_the_stuck(struct jobs *j)
{
	int64_t now = clock_boot_ms(j->clock);

	for (int i = 0; i < JOBS_MAX; i++) {
		struct slot *s = &j->slots[i];
		struct err ignored;

		if (s->state != RUNNING || now < s->end_by_ms)
			continue;
		s->end_by_ms = now + j->time_ms;
		(void)!ipc_send(j->control, IPC_STUCK, 0, &s->worker, sizeof(s->worker), -1,
				&ignored);
	}
}

static void *hear(void *arg)
{
	const uint32_t accept =
		IPC_BIT(IPC_TAKEN) | IPC_BIT(IPC_VERIFIED) | IPC_BIT(IPC_FAILED_JOB);
	CLEANUP(buf_done) struct buf buf = BUF_INIT(IPC_HEADER + IPC_MAX);
	struct jobs *j = arg;
	struct ipc_msg m;
	struct err e;
	bool ending = false;

	while (!ending) {
		bool got = ipc_recv(&m, j->fd, &buf, accept, HEAR_MS, &e);

		pthread_mutex_lock(&j->lock);
		if (got)
			heard(j, &m);
		end_the_stuck(j);
		ending = j->ending || (!got && e.code == E_UNAVAILABLE);
		pthread_mutex_unlock(&j->lock);
	}
	return NULL;
}

bool jobs_new(struct jobs **ret, int fd, int control, uint64_t time_s,
	      const struct clock *clock, uint32_t first_id, struct err *e)
{
	struct jobs *j = calloc(1, sizeof(*j));
	pthread_condattr_t attr;

	if (!j)
		return err_nomem(e);
	pthread_mutex_init(&j->lock, NULL);
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(&j->change, &attr);
	pthread_condattr_destroy(&attr);
	j->fd = fd;
	j->control = control;
	j->time_ms = (int64_t)time_s * 1000;
	j->clock = clock;
	j->next_id = first_id;
	if (pthread_create(&j->thread, NULL, hear, j) != 0) {
		free(j);
		return err_set(e, E_NOMEM, "no thread for jobs");
	}
	*ret = j;
	return true;
}

void jobs_stop(struct jobs *j)
{
	pthread_mutex_lock(&j->lock);
	j->ending = true;
	pthread_cond_broadcast(&j->change);
	pthread_mutex_unlock(&j->lock);
}

void jobs_free(struct jobs *j)
{
	if (!j)
		return;
	jobs_stop(j);
	pthread_join(j->thread, NULL);
	pthread_mutex_destroy(&j->lock);
	pthread_cond_destroy(&j->change);
	free(j);
}

static bool is_over(const struct jobs *j, const struct slot *s)
{
	return (s->state == GOOD || s->state == BAD) &&
	       clock_boot_ms(j->clock) - s->ended_ms > REMEMBER_MS;
}

/* The slot of this key; a free one if there is none; the oldest that ended if all are taken. */
static struct slot *find(struct jobs *j, const uint8_t key[static SHA256_SIZE])
{
	struct slot *room = NULL;

	for (int i = 0; i < JOBS_MAX; i++) {
		struct slot *s = &j->slots[i];

		if (is_over(j, s))
			s->state = FREE;
		if (s->state != FREE && memcmp(s->key, key, SHA256_SIZE) == 0)
			return s;
		if (s->state == WAITING || s->state == RUNNING)
			continue;
		if (!room ||
		    (room->state != FREE && (s->state == FREE || s->ended_ms < room->ended_ms)))
			room = s;
	}
	return room;
}

static bool send_job(struct jobs *j, struct slot *s, const struct job *job,
		     bool (*open)(void *arg, int *ret_fd, struct err *e), void *arg,
		     struct err *e)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(JOB_SIZE_MAX);
	CLEANUP(fd_closep) int fd = -1;

	s->send_again = false;
	s->tries++;
	s->id = j->next_id++;
	s->state = WAITING;
	j->stats.started++;
	return job_encode(&text, job, e) && open(arg, &fd, e) &&
	       ipc_send(j->fd, IPC_VERIFY, s->id, text.p, text.n, fd, e);
}

static void deadline_after(struct timespec *ret, int64_t ms)
{
	clock_gettime(CLOCK_MONOTONIC, ret);
	ret->tv_sec += ms / 1000;
	ret->tv_nsec += ms % 1000 * 1000000;
	if (ret->tv_nsec >= 1000000000) {
		ret->tv_sec++;
		ret->tv_nsec -= 1000000000;
	}
}

bool jobs_verify(struct jobs *j, const struct job *job,
		 const uint8_t object[static SHA256_SIZE],
		 bool (*open)(void *arg, int *ret_fd, struct err *e), void *arg,
		 int64_t wait_ms, struct err *e)
{
	CLEANUP(buf_done) struct buf text = BUF_INIT(JOB_SIZE_MAX);
	uint8_t key[SHA256_SIZE];
	struct timespec until;
	struct slot *s;
	bool ok = true;

	if (!job_encode(&text, job, e))
		return false;
	sha256_two(key, text.p, text.n, object, SHA256_SIZE);
	deadline_after(&until, wait_ms);

	pthread_mutex_lock(&j->lock);
	s = find(j, key);
	if (!s) {
		pthread_mutex_unlock(&j->lock);
		return err_set(e, E_BUSY, "%d checks are waiting already", JOBS_MAX);
	}
	if (s->state == FREE || memcmp(s->key, key, SHA256_SIZE) != 0) {
		*s = (struct slot){ .send_again = true };
		memcpy(s->key, key, SHA256_SIZE);
		s->state = WAITING;
	}
	while (ok && (s->state == WAITING || s->state == RUNNING)) {
		if (s->send_again) {
			ok = send_job(j, s, job, open, arg, e);
			if (!ok)
				s->state = FREE;
			continue;
		}
		if ((j->ending || pthread_cond_timedwait(&j->change, &j->lock, &until) != 0) &&
		    (s->state == WAITING || s->state == RUNNING))
			ok = err_set(e, E_BUSY, "the upload is still being checked");
		/* While we slept the slot may have ended and been given away. */
		if (ok && memcmp(s->key, key, SHA256_SIZE) != 0)
			ok = err_set(e, E_BUSY, "too many checks at once");
	}
	if (ok && s->state != GOOD) {
		if (s->state == BAD)
			*e = s->why;
		else
			err_set(e, E_BUSY, "the check was given up; ask again");
		ok = false;
		if (s->state == BAD)
			s->state = FREE;
	}
	pthread_mutex_unlock(&j->lock);
	return ok;
}

void jobs_worker_lost(struct jobs *j, uint32_t pid)
{
	bool known = false;

	pthread_mutex_lock(&j->lock);
	for (int i = 0; i < JOBS_MAX; i++) {
		struct slot *s = &j->slots[i];

		if (s->state != RUNNING || s->worker != pid)
			continue;
		known = true;
		j->stats.lost++;
		if (s->tries < TRIES) {
			s->state = WAITING;
			s->send_again = true;
			continue;
		}
		err_set(&s->why, E_CORRUPT, "the process that checked it was ended %u times",
			TRIES);
		err_hint(
			&s->why,
			"the object breaks the decoder or needs more than work.memory, work.cpu or work.time");
		end(j, s, BAD);
	}
	/* It may have ended between taking a job and saying so: which one is not known.  A job that
	 * is done twice does no harm, as the first one's id is forgotten. */
	for (int i = 0; i < JOBS_MAX && !known; i++) {
		if (j->slots[i].state == WAITING)
			j->slots[i].send_again = true;
	}
	pthread_cond_broadcast(&j->change);
	pthread_mutex_unlock(&j->lock);
}

void jobs_stats(struct jobs *j, struct jobs_stats *ret)
{
	pthread_mutex_lock(&j->lock);
	*ret = j->stats;
	for (int i = 0; i < JOBS_MAX; i++) {
		ret->waiting += j->slots[i].state == WAITING;
		ret->running += j->slots[i].state == RUNNING;
	}
	pthread_mutex_unlock(&j->lock);
}
