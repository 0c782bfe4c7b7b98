#include "server/signer.h"
#include "server/ipc.h"

#include <pthread.h>

enum { ANSWER_MS = 5000 };

struct signer {
	pthread_mutex_t lock;
	int fd;
	uint32_t next_id;
	struct buf in, out;
	struct online_public keys;
};

/* Under the lock.  The payload of the answer stays in s->in. */
static bool ask(struct signer *s, enum ipc_type type, struct ipc_msg *ret, struct err *e)
{
	uint32_t id = s->next_id++;

	if (!ipc_send(s->fd, type, id, s->out.p, s->out.n, -1, e))
		return false;
	for (;;) {
		if (!ipc_recv(ret, s->fd, &s->in, IPC_BIT(IPC_SIGNED) | IPC_BIT(IPC_REFUSED),
			      ANSWER_MS, e))
			return e->code == E_TIMEOUT
				       ? err_set(e, E_BUSY, "the keys process does not answer")
				       : err_wrap(e, "keys process");
		if (ret->id != id)
			continue; /* came too late, or was for the web process before this one */
		return ret->type == IPC_SIGNED ? true : ipc_get_err(ret, e);
	}
}

bool signer_new(struct signer **ret, int fd, uint32_t first_id, struct err *e)
{
	struct signer *s = calloc(1, sizeof(*s));
	struct ipc_msg m;

	if (!s)
		return err_nomem(e);
	pthread_mutex_init(&s->lock, NULL);
	s->fd = fd;
	s->next_id = first_id;
	buf_init(&s->in, IPC_HEADER + IPC_MAX);
	buf_init(&s->out, IPC_MAX);
	if (!ask(s, IPC_PUBLIC_KEYS, &m, e)) {
		signer_free(s);
		return false;
	}
	if (m.n != sizeof(s->keys)) {
		signer_free(s);
		return err_set(e, E_FORMAT, "keys process: %zu bytes of public keys", m.n);
	}
	memcpy(&s->keys, m.p, sizeof(s->keys));
	*ret = s;
	return true;
}

void signer_free(struct signer *s)
{
	if (!s)
		return;
	pthread_mutex_destroy(&s->lock);
	buf_done(&s->in);
	buf_done(&s->out);
	free(s);
}

const struct online_public *signer_keys(const struct signer *s)
{
	return &s->keys;
}

static bool copy_answer(const struct ipc_msg *m, struct buf *text, struct sign_answer *ret,
			struct err *e)
{
	buf_reset(text);
	return buf_add(text, m->p, m->n, e) && sign_answer_parse(ret, text->p, text->n, e);
}

bool signer_director(struct signer *s, const struct sign_director *r, struct buf *text,
		     struct sign_answer *ret, struct err *e)
{
	struct ipc_msg m;
	bool ok;

	pthread_mutex_lock(&s->lock);
	buf_reset(&s->out);
	ok = sign_director_encode(&s->out, r, e) && ask(s, IPC_SIGN_DIRECTOR, &m, e) &&
	     copy_answer(&m, text, ret, e);
	pthread_mutex_unlock(&s->lock);
	return ok;
}

bool signer_image(struct signer *s, const struct sign_image *r, struct buf *text,
		  struct sign_answer *ret, struct err *e)
{
	struct ipc_msg m;
	bool ok;

	pthread_mutex_lock(&s->lock);
	buf_reset(&s->out);
	ok = sign_image_encode(&s->out, r, e) && ask(s, IPC_SIGN_IMAGE, &m, e) &&
	     copy_answer(&m, text, ret, e);
	pthread_mutex_unlock(&s->lock);
	return ok;
}

bool signer_audit(struct signer *s, const struct sign_audit *r, struct audit_signed *ret,
		  struct err *e)
{
	struct audit_signed signed_head = { .n = r->n };
	struct ipc_msg m;
	bool ok;

	memcpy(signed_head.hash, r->hash, sizeof(signed_head.hash));
	pthread_mutex_lock(&s->lock);
	buf_reset(&s->out);
	ok = sign_audit_encode(&s->out, r, e) && ask(s, IPC_SIGN_AUDIT, &m, e) &&
	     sign_audit_answer_parse(&signed_head, m.p, m.n, e);
	pthread_mutex_unlock(&s->lock);
	if (ok)
		*ret = signed_head;
	return ok;
}
