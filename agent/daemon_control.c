#include "agent/daemon_priv.h"

#include "agent/rekey.h"
#include "base/cli.h"
#include "base/log.h"
#include "base/text.h"

#include <stdio.h>
#include <sys/socket.h>

static void write_release(struct jw *w, const char *key, const struct release_id *id)
{
	if (release_id_is_set(id))
		jw_str(w, key, release_id_text(id).s);
	else
		jw_null(w, key);
}

static void write_slot(struct jw *w, const struct state *s, uint8_t slot)
{
	jw_obj(w, slot_name(slot));
	write_release(w, "release", &s->slot[slot]);
	jw_bool(w, "whole", s->slot_flags[slot] & SLOT_WHOLE);
	jw_bool(w, "bad", s->slot_flags[slot] & SLOT_BAD);
	jw_end(w);
}

static void write_update(struct jw *w, const struct agent *a)
{
	const struct state *s = &a->st;
	char waits_for[LIMIT_TEXT];

	jw_obj(w, "update");
	jw_str(w, "state", update_state_names[s->update]);
	write_release(w, "target", &s->target);
	jw_str(w, "rollout", s->rollout);
	jw_str(w, "reason", s->reason);
	agent_waits_for(a, waits_for, sizeof(waits_for));
	jw_lossy(w, "waits_for", waits_for, strlen(waits_for));
	jw_u64(w, "failures", s->failures);
	if (s->update == UPDATE_FETCHING) {
		jw_u64(w, "total_bytes", atomic_load(&a->progress.total_bytes));
		jw_u64(w, "done_bytes", atomic_load(&a->progress.done_bytes));
		jw_u64(w, "fetched_bytes", atomic_load(&a->progress.fetched_bytes));
		jw_u64(w, "delta_bytes", atomic_load(&a->progress.delta_bytes));
	}
	jw_end(w);
}

static void write_vm(struct jw *w, const struct agent *a)
{
	jw_obj(w, "vm");
	jw_str(w, "state", vm_state_names[a->vm.state]);
	jw_str(w, "slot", slot_name(a->vm.slot));
	jw_str(w, "engine", a->vm.state == VM_STOPPED ? "" : a->vm.engine);
	jw_bool(w, "healthy", a->healthy);
	jw_str(w, "detail", a->vm_detail);
	jw_lossy(w, "error", a->vm_error, strlen(a->vm_error));
	jw_end(w);
}

/* Whether the server serves this handset, by its last answer. */
static const char *enrolment_word(const struct agent *a)
{
	if (a->enrolment.pending)
		return "pending";
	return a->poll_err.code == E_DENIED ? "refused" : "active";
}

/* The last check-in: why it failed, "" if it did not. */
static void write_check_in(struct jw *w, const struct agent *a)
{
	const struct err *why = &a->poll_err;
	bool failed = why->code != E_NONE;

	jw_obj(w, "check_in");
	jw_lossy(w, "error", why->text, failed ? strlen(why->text) : 0);
	jw_str(w, "hint", failed ? why->hint : "");
	jw_end(w);
}

static void write_keys(struct jw *w, const struct agent *a)
{
	jw_obj(w, "keys");
	jw_time(w, "since", a->identity.since_s);
	jw_bool(w, "changing",
		a->rekey_now || rekey_is_asked(&a->identity, a->enrolment.director_root));
	jw_lossy(w, "error", a->rekey_error, strlen(a->rekey_error));
	jw_end(w);
}

static void write_policies(struct jw *w, const struct agent *a)
{
	jw_obj(w, "policies");
	for (size_t i = 0; a->policy && i < a->policy->n; i++)
		jw_u64(w, a->policy->bundles[i]->name, a->policy->bundles[i]->version);
	jw_end(w);
}

bool agent_status(const struct agent *a, struct buf *out, struct err *e)
{
	const struct state *s = &a->st;
	struct jw w;

	jw_init(&w, out);
	jw_obj(&w, NULL);
	jw_str(&w, "agent", VALISE_VERSION);
	jw_str(&w, "device", a->enrolment.device);
	jw_str(&w, "fingerprint", a->identity.fingerprint);
	write_keys(&w, a);
	jw_str(&w, "server", a->enrolment.url);
	jw_str(&w, "enrolment", enrolment_word(a));
	write_check_in(&w, a);
	jw_str(&w, "model", a->enrolment.model);
	jw_str(&w, "active", slot_name(s->active));
	if (s->active != SLOT_NONE)
		write_release(&w, "release", &s->slot[s->active]);
	else
		jw_null(&w, "release");
	jw_obj(&w, "slots");
	write_slot(&w, s, SLOT_A);
	write_slot(&w, s, SLOT_B);
	jw_end(&w);
	write_update(&w, a);
	write_vm(&w, a);
	write_policies(&w, a);
	jw_u64(&w, "security_version_floor", s->floor);
	jw_u64(&w, "events_waiting", s->next_event - 1 - s->acked_event);
	jw_u64(&w, "last_event", s->next_event - 1);
	jw_time(&w, "trusted_time", ttime_now_s(&a->time));
	jw_str(&w, "refused", a->last_refusal);
	jw_end(&w);
	return jw_finish(&w, e);
}

static bool do_start(struct agent *a, struct err *e)
{
	if (update_boot_slot(&a->st) == SLOT_NONE) {
		err_set(e, E_NOT_FOUND, "nothing is installed yet");
		return err_hint(e, "an administrator rolls a release out; `valise-agent "
				   "check-in` asks for it now");
	}
	a->vm_wanted = true;
	backoff_ok(&a->vm_backoff);
	return true;
}

static bool do_stop(struct agent *a, struct err *e)
{
	if (a->st.update == UPDATE_TRIAL)
		return err_set(e, E_BUSY, "a new release is on trial");
	a->vm_wanted = false;
	agent_vm_stop(a, a->set->vm_grace_s * 1000);
	return true;
}

static bool do_install(struct agent *a, struct err *e)
{
	if (a->st.update != UPDATE_STAGED) {
		err_set(e, E_NOT_FOUND, "no update is ready");
		return err_hint(e, "`valise-agent status` says how far it is");
	}
	a->install_now = true;
	return true;
}

/* With the next check-in, which is now. */
static bool do_rotate_key(struct agent *a, struct err *e)
{
	if (a->enrolment.pending)
		return err_set(e, E_PENDING,
			       "this handset waits for an administrator's approval");
	a->rekey_now = true;
	backoff_ok(&a->rekey_backoff);
	a->rekey_error[0] = '\0';
	a->poll_due_ms = agent_now_ms(a);
	return true;
}

static bool do_console(struct agent *a, struct control_client *client, struct err *e)
{
	if (a->vm.console_fd < 0) {
		err_set(e, E_UNAVAILABLE, "the virtual phone is not running");
		return err_hint(e, "`valise-agent start` starts it, `valise-agent status` says "
				   "why it does not run");
	}
	client->console = true;
	return true;
}

static bool obey(struct agent *a, struct control_client *client, enum control_verb verb,
		 struct buf *status, struct err *e)
{
	switch (verb) {
	case CONTROL_STATUS:
		return agent_status(a, status, e);
	case CONTROL_START:
		return do_start(a, e);
	case CONTROL_STOP:
		return do_stop(a, e);
	case CONTROL_INSTALL:
		return do_install(a, e);
	case CONTROL_CHECK_IN:
		a->poll_due_ms = agent_now_ms(a);
		return true;
	case CONTROL_ROTATE_KEY:
		return do_rotate_key(a, e);
	case CONTROL_CONSOLE:
		return do_console(a, client, e);
	}
	return err_set(e, E_USAGE, "unknown command");
}

/* What somebody types, to the guest's serial port; what does not fit is lost, as on a real one. */
static void type(struct agent *a, struct control_client *client)
{
	char bytes[512];
	ssize_t n = recv(client->fd, bytes, sizeof(bytes), MSG_DONTWAIT);

	if (n == 0) {
		control_drop(client);
		return;
	}
	if (n > 0 && a->vm.console_fd >= 0 &&
	    send(a->vm.console_fd, bytes, (size_t)n, MSG_NOSIGNAL | MSG_DONTWAIT) < 0)
		log_debug("console", "text=\"the guest does not read\"");
}

void agent_control_step(struct agent *a, struct control_client *client)
{
	CLEANUP(buf_done) struct buf status = BUF_INIT(LIMIT_CONTROL_LINE - 64);
	enum control_verb verb;
	struct err e;
	bool have;

	if (client->console) {
		type(a, client);
		return;
	}
	if (!control_read(client, &verb, &have)) {
		control_drop(client);
		return;
	}
	if (!have)
		return;
	if (verb != CONTROL_STATUS)
		log_info("control", "command=%s", control_verb_names[verb]);
	if (!obey(a, client, verb, &status, &e))
		control_fail(client, &e);
	else if (!control_ok(client, status.n ? &status : NULL))
		control_drop(client);
}
