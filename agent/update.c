#include "agent/update.h"

#include "base/text.h"

#include <stdio.h>

static const struct update_step no_step = { 0 };

static bool is_before_trial(const struct state *s)
{
	return s->update == UPDATE_OFFERED || s->update == UPDATE_FETCHING ||
	       s->update == UPDATE_STAGED;
}

/* Enters a state; what every arrow has in common. */
static struct update_step enter(struct state *s, const struct update_event *ev,
				enum update_state to, int64_t lasts_s)
{
	s->update = to;
	s->deadline_s = lasts_s ? ev->now_s + lasts_s : 0;
	return (struct update_step){ .changed = true };
}

static void set_reason(struct state *s, const char *text)
{
	snprintf(s->reason, sizeof(s->reason), "%s", text ? text : "");
	text_clean(s->reason, strlen(s->reason), ""); /* the cut may go through a character */
}

static void forget_target(struct state *s)
{
	s->target = (struct release_id){ "" };
	s->target_slot = SLOT_NONE;
	s->rollout[0] = '\0';
	s->failures = s->tries_left = 0;
}

/* An end of the update that the server must hear of. */
static struct update_step end(struct state *s, const struct update_event *ev,
			      enum update_state to, const char *reason)
{
	struct update_step step = enter(s, ev, to, 0);

	set_reason(s, reason);
	s->target_slot = SLOT_NONE;
	s->tries_left = 0;
	step.report = true;
	return step;
}

static struct update_step fail(struct state *s, const struct update_event *ev,
			       const char *reason)
{
	bool was_fetching = s->update == UPDATE_FETCHING;
	struct update_step step = end(s, ev, UPDATE_FAILED, reason);

	step.act = was_fetching ? ACT_STOP_FETCH : ACT_NOTHING;
	return step;
}

/* With nothing active, a slot that already holds (most of) the release is repaired in place. */
static uint8_t choose_slot(const struct state *s)
{
	if (s->active != SLOT_NONE)
		return slot_other(s->active);
	return release_id_same(&s->slot[SLOT_B], &s->target) ? SLOT_B : SLOT_A;
}

static struct update_step wanted(struct state *s, const struct update_event *ev)
{
	const char *rollout = ev->rollout ? ev->rollout : "";
	bool same_target = release_id_same(&ev->target, &s->target);
	bool same_rollout = strcmp(s->rollout, rollout) == 0;
	bool runs = s->active != SLOT_NONE && release_id_same(&ev->target, &s->slot[s->active]);
	bool was_fetching = s->update == UPDATE_FETCHING;

	/* A trial ends first; what is wanted is told again afterwards. */
	if (s->update == UPDATE_TRIAL)
		return no_step;
	if (runs) {
		struct update_event unwanted = *ev;
		unwanted.kind = EV_UNWANTED;
		return update_apply(s, &unwanted);
	}
	bool was_tried = s->update == UPDATE_ROLLED_BACK || s->update == UPDATE_FAILED;
	if (same_target && same_rollout && (is_before_trial(s) || was_tried))
		return no_step;
	if (same_target && is_before_trial(s)) {
		snprintf(s->rollout, sizeof(s->rollout), "%s", rollout);
		return (struct update_step){ .changed = true };
	}

	struct update_step step = enter(s, ev, UPDATE_OFFERED, UPDATE_OFFERED_S);
	forget_target(s);
	set_reason(s, "");
	s->target = ev->target;
	snprintf(s->rollout, sizeof(s->rollout), "%s", rollout);
	s->report_event = 0;
	step.act = was_fetching ? ACT_STOP_FETCH : ACT_NOTHING;
	return step;
}

static struct update_step unwanted(struct state *s, const struct update_event *ev)
{
	if (!is_before_trial(s))
		return no_step;
	bool was_fetching = s->update == UPDATE_FETCHING;
	struct update_step step = enter(s, ev, UPDATE_IDLE, 0);

	forget_target(s);
	set_reason(s, "no longer wanted");
	step.report = true;
	step.act = was_fetching ? ACT_STOP_FETCH : ACT_NOTHING;
	return step;
}

/* From here on the slot's old content is gone as far as anybody may know. */
static struct update_step may_fetch(struct state *s, const struct update_event *ev)
{
	if (s->update != UPDATE_OFFERED)
		return no_step;
	struct update_step step = enter(s, ev, UPDATE_FETCHING, UPDATE_FETCHING_S);

	s->target_slot = choose_slot(s);
	s->slot_flags[s->target_slot] = 0;
	s->slot[s->target_slot] = s->target;
	return step;
}

static struct update_step fetched(struct state *s, const struct update_event *ev)
{
	if (s->update != UPDATE_FETCHING)
		return no_step;
	struct update_step step = enter(s, ev, UPDATE_STAGED, UPDATE_STAGED_S);

	s->slot_flags[s->target_slot] = SLOT_WHOLE;
	s->failures = 0;
	step.report = true;
	return step;
}

/* What a second try cannot make better.  Network, space and memory come back by themselves (the state's
 * deadline bounds the waiting); damaged data and system errors get K tries. */
static bool is_final(enum err_code code)
{
	return !err_is_temporary(code) && code != E_CORRUPT && code != E_SYSTEM;
}

static struct update_step fetch_failed(struct state *s, const struct update_event *ev)
{
	if (s->update != UPDATE_FETCHING || ev->code == E_CANCELLED)
		return no_step;
	if (is_final(ev->code))
		return fail(s, ev, ev->text);
	if (err_is_temporary(ev->code))
		return no_step;
	s->failures++;
	if (s->failures >= ev->max_failures)
		return fail(s, ev, ev->text);
	return (struct update_step){ .changed = true };
}

static struct update_step start_trial(struct state *s, const struct update_event *ev)
{
	struct update_step step = enter(s, ev, UPDATE_TRIAL, UPDATE_TRIAL_S);

	s->tries_left = UPDATE_TRIES;
	step.report = true;
	step.act = ACT_BOOT_TRIAL;
	return step;
}

static struct update_step roll_back(struct state *s, const struct update_event *ev,
				    const char *reason)
{
	s->slot_flags[s->target_slot] |= SLOT_BAD;
	struct update_step step = end(s, ev, UPDATE_ROLLED_BACK, reason);

	step.act = ACT_BOOT_ACTIVE;
	return step;
}

/* Written before the boot: a power cut in it has used up the try. */
static struct update_step trial_boot(struct state *s, const struct update_event *ev)
{
	if (s->update != UPDATE_TRIAL)
		return no_step;
	if (s->tries_left == 0)
		return roll_back(s, ev, "the trial boot was cut short every time");
	s->tries_left--;
	return (struct update_step){ .changed = true };
}

static struct update_step trial_stopped(struct state *s, const struct update_event *ev)
{
	if (s->update != UPDATE_TRIAL || s->tries_left >= UPDATE_TRIES)
		return no_step;
	s->tries_left++;
	return (struct update_step){ .changed = true };
}

static struct update_step healthy(struct state *s, const struct update_event *ev)
{
	if (s->update != UPDATE_TRIAL)
		return no_step;
	uint8_t slot = s->target_slot;
	struct update_step step = end(s, ev, UPDATE_CONFIRMED, "");

	s->active = slot;
	if (s->slot[slot].security_version > s->floor)
		s->floor = s->slot[slot].security_version;
	return step;
}

bool update_can_fall_back(const struct state *s)
{
	if (s->active == SLOT_NONE)
		return false;
	uint8_t other = slot_other(s->active);

	return s->slot_flags[other] == SLOT_WHOLE && s->target_slot != other &&
	       release_id_is_set(&s->slot[other]) &&
	       s->slot[other].security_version >= s->floor;
}

/* The damaged slot keeps its release's name, so that staging it again repairs it in place. */
static struct update_step active_bad(struct state *s, const struct update_event *ev)
{
	if (s->active == SLOT_NONE || s->update == UPDATE_TRIAL)
		return no_step;
	uint8_t damaged = s->active;
	struct update_step step = { .changed = true, .report = true };

	s->slot_flags[damaged] = SLOT_BAD;
	set_reason(s, ev->text);
	if (s->update == UPDATE_STAGED) {
		/* The release that waited for its window is the only whole one. */
		s->active = SLOT_NONE;
		step = start_trial(s, ev);
		return step;
	}
	if (update_can_fall_back(s)) {
		s->active = slot_other(damaged);
		step.act = ACT_BOOT_ACTIVE;
	} else {
		s->active = SLOT_NONE;
	}
	/* Forgotten, so that the server's release is staged anew whatever rollout it came with; an
	 * update under way goes on. */
	if (!is_before_trial(s)) {
		s->update = UPDATE_IDLE; /* none of these states has a deadline */
		forget_target(s);
	}
	return step;
}

static struct update_step acked(struct state *s, const struct update_event *ev)
{
	if (s->update != UPDATE_CONFIRMED)
		return no_step;
	struct update_step step = enter(s, ev, UPDATE_IDLE, 0);

	forget_target(s);
	return step;
}

static struct update_step tick(struct state *s, const struct update_event *ev)
{
	if (s->deadline_s == 0 || ev->now_s < s->deadline_s)
		return no_step;
	switch (s->update) {
	case UPDATE_OFFERED:
		return fail(s, ev, ev->text ? ev->text : "the download was never allowed");
	case UPDATE_FETCHING:
		return fail(s, ev, ev->text ? ev->text : "the download took too long");
	case UPDATE_STAGED:
		return fail(s, ev, ev->text ? ev->text : "the installation was never allowed");
	case UPDATE_TRIAL:
		return roll_back(s, ev, "the trial did not end within a day");
	default:
		return no_step;
	}
}

struct update_step update_apply(struct state *s, const struct update_event *ev)
{
	switch (ev->kind) {
	case EV_WANTED:
		return wanted(s, ev);
	case EV_UNWANTED:
		return unwanted(s, ev);
	case EV_MAY_FETCH:
		return may_fetch(s, ev);
	case EV_FETCHED:
		return fetched(s, ev);
	case EV_FETCH_FAILED:
		return fetch_failed(s, ev);
	case EV_MAY_INSTALL:
		return s->update == UPDATE_STAGED ? start_trial(s, ev) : no_step;
	case EV_TRIAL_BOOT:
		return trial_boot(s, ev);
	case EV_TRIAL_STOPPED:
		return trial_stopped(s, ev);
	case EV_HEALTHY:
		return healthy(s, ev);
	case EV_UNHEALTHY:
		return s->update == UPDATE_TRIAL ? roll_back(s, ev, ev->text) : no_step;
	case EV_ACTIVE_BAD:
		return active_bad(s, ev);
	case EV_ACKED:
		return acked(s, ev);
	case EV_TICK:
		return tick(s, ev);
	case EV_KINDS:
		break;
	}
	return no_step;
}

uint8_t update_boot_slot(const struct state *s)
{
	return s->update == UPDATE_TRIAL ? s->target_slot : s->active;
}
