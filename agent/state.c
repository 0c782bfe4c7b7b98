#include "agent/state.h"

#include "base/bytes.h"
#include "base/file.h"
#include "base/text.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

enum {
	RELEASE_SIZE = 192,
	AT_SLOTS = 128,
	AT_TARGET = 512,
	AT_ROLLOUT = 704,
	AT_REASON = 768,
	AT_DIGEST = STATE_SIZE - SHA256_SIZE,
};

static const char *const copy_names[2] = { "commit.0", "commit.1" };

void state_init(struct state *s)
{
	*s = (struct state){
		.active = SLOT_NONE,
		.target_slot = SLOT_NONE,
		.next_event = 1,
	};
}

const char *slot_name(uint8_t slot)
{
	return slot == SLOT_A ? "a" : slot == SLOT_B ? "b" : "none";
}

uint8_t slot_other(uint8_t slot)
{
	return slot == SLOT_A ? SLOT_B : SLOT_A;
}

bool release_id_is_set(const struct release_id *r)
{
	return r->product[0] != '\0';
}

bool release_id_same(const struct release_id *a, const struct release_id *b)
{
	return release_id_is_set(a) && release_id_is_set(b) &&
	       memcmp(a->manifest, b->manifest, SHA256_SIZE) == 0;
}

struct release_text release_id_text(const struct release_id *r)
{
	struct release_text t = { "" };

	if (release_id_is_set(r))
		snprintf(t.s, sizeof(t.s), "%s/%s", r->product, r->version);
	return t;
}

/* Texts are padded with zeros, which are there already, to a fixed size and may fill it. */
static void put_text(uint8_t *out, const char *s, size_t size)
{
	memcpy(out, s, strnlen(s, size));
}

static bool get_text(char *out, struct rd *r, size_t size)
{
	const uint8_t *p = rd_bytes(r, size);

	if (!p)
		return false;
	size_t n = strnlen((const char *)p, size);
	for (size_t i = n; i < size; i++)
		if (p[i] != 0)
			return false;
	memcpy(out, p, n);
	out[n] = '\0';
	return true;
}

static bool get_zeros(struct rd *r, size_t n)
{
	const uint8_t *p = rd_bytes(r, n);

	for (size_t i = 0; p && i < n; i++)
		if (p[i] != 0)
			return false;
	return p != NULL;
}

static void put_release(uint8_t *out, const struct release_id *r)
{
	put_text(out, r->product, LIMIT_NAME);
	put_text(out + 64, r->version, LIMIT_VERSION);
	memcpy(out + 128, r->manifest, SHA256_SIZE);
	put_le64(out + 160, r->security_version);
	put_le64(out + 168, r->data_schema);
}

static bool get_release(struct release_id *out, struct rd *r)
{
	bool ok = get_text(out->product, r, LIMIT_NAME) &&
		  get_text(out->version, r, LIMIT_VERSION);
	const uint8_t *sha = rd_bytes(r, SHA256_SIZE);

	if (!ok || !sha)
		return false;
	memcpy(out->manifest, sha, SHA256_SIZE);
	out->security_version = rd_le64(r);
	out->data_schema = rd_le64(r);
	if (!get_zeros(r, 16))
		return false;
	/* Product and version become part of texts; both are names or both are absent. */
	if (out->product[0] == '\0')
		return out->version[0] == '\0';
	return name_is_valid(out->product, LIMIT_NAME) &&
	       name_is_valid(out->version, LIMIT_VERSION);
}

void state_encode(uint8_t out[static STATE_SIZE], const struct state *s)
{
	memset(out, 0, STATE_SIZE);
	memcpy(out, "VAS1", 4);
	put_le64(out + 8, s->generation);
	out[16] = s->active;
	out[17] = s->target_slot;
	out[18] = (uint8_t)s->update;
	out[19] = s->tries_left;
	out[20] = s->failures;
	out[21] = s->slot_flags[SLOT_A];
	out[22] = s->slot_flags[SLOT_B];
	put_le64(out + 24, s->floor);
	put_le64(out + 32, (uint64_t)s->deadline_s);
	put_le64(out + 40, s->next_event);
	put_le64(out + 48, s->report_event);
	put_le64(out + 56, s->acked_event);
	put_le64(out + 64, (uint64_t)s->trusted_s);
	put_le64(out + 72, (uint64_t)s->boot_ms);
	memcpy(out + 80, s->boot_id, sizeof(s->boot_id));
	memcpy(out + 96, s->time_keys, sizeof(s->time_keys));
	put_release(out + AT_SLOTS, &s->slot[SLOT_A]);
	put_release(out + AT_SLOTS + RELEASE_SIZE, &s->slot[SLOT_B]);
	put_release(out + AT_TARGET, &s->target);
	put_text(out + AT_ROLLOUT, s->rollout, LIMIT_NAME);
	put_text(out + AT_REASON, s->reason, STATE_REASON);
	sha256(out + AT_DIGEST, out, AT_DIGEST);
}

static bool slot_is_possible(uint8_t slot)
{
	return slot == SLOT_A || slot == SLOT_B || slot == SLOT_NONE;
}

/* A record that we wrote never fails here; one that a later version wrote may. */
static bool fields_are_possible(const struct state *s)
{
	bool busy = s->update >= UPDATE_OFFERED && s->update <= UPDATE_TRIAL;
	bool has_slot = s->update >= UPDATE_FETCHING && s->update <= UPDATE_TRIAL;

	return slot_is_possible(s->active) && slot_is_possible(s->target_slot) &&
	       s->update < UPDATE_STATES && s->tries_left <= STATE_TRIES_MAX &&
	       (s->slot_flags[SLOT_A] | s->slot_flags[SLOT_B]) <= (SLOT_WHOLE | SLOT_BAD) &&
	       s->next_event > 0 && s->deadline_s >= 0 && s->trusted_s >= 0 &&
	       (s->active == SLOT_NONE || release_id_is_set(&s->slot[s->active])) &&
	       (!busy || release_id_is_set(&s->target)) &&
	       has_slot == (s->target_slot != SLOT_NONE) &&
	       (!has_slot ||
		(s->target_slot != s->active && release_id_is_set(&s->slot[s->target_slot])));
}

bool state_parse(struct state *ret, const uint8_t *p, size_t n, struct err *e)
{
	uint8_t digest[SHA256_SIZE];
	struct state s = { 0 };

	if (n != STATE_SIZE || memcmp(p, "VAS1", 4) != 0)
		return err_set(e, E_FORMAT, "no state record in %zu bytes", n);
	sha256(digest, p, AT_DIGEST);
	if (memcmp(digest, p + AT_DIGEST, SHA256_SIZE) != 0)
		return err_set(e, E_CORRUPT, "checksum differs");

	struct rd r = rd_init(p + 4, AT_DIGEST - 4);
	bool ok = get_zeros(&r, 4);
	s.generation = rd_le64(&r);
	s.active = rd_u8(&r);
	s.target_slot = rd_u8(&r);
	s.update = rd_u8(&r);
	s.tries_left = rd_u8(&r);
	s.failures = rd_u8(&r);
	s.slot_flags[SLOT_A] = rd_u8(&r);
	s.slot_flags[SLOT_B] = rd_u8(&r);
	ok = ok && get_zeros(&r, 1);
	s.floor = rd_le64(&r);
	s.deadline_s = (int64_t)rd_le64(&r);
	s.next_event = rd_le64(&r);
	s.report_event = rd_le64(&r);
	s.acked_event = rd_le64(&r);
	s.trusted_s = (int64_t)rd_le64(&r);
	s.boot_ms = (int64_t)rd_le64(&r);
	const uint8_t *boot_id = rd_bytes(&r, sizeof(s.boot_id));
	if (boot_id)
		memcpy(s.boot_id, boot_id, sizeof(s.boot_id));
	const uint8_t *time_keys = rd_bytes(&r, sizeof(s.time_keys));
	if (time_keys)
		memcpy(s.time_keys, time_keys, sizeof(s.time_keys));
	ok = ok && get_release(&s.slot[SLOT_A], &r) && get_release(&s.slot[SLOT_B], &r) &&
	     get_release(&s.target, &r) && get_text(s.rollout, &r, LIMIT_NAME) &&
	     get_text(s.reason, &r, STATE_REASON) && get_zeros(&r, 32) && rd_ok_at_end(&r);
	if (!ok || !fields_are_possible(&s))
		return err_set(e, E_FORMAT, "a field has an impossible value");
	*ret = s;
	return true;
}

static bool load_copy(struct state *ret, int dirfd, const char *name, struct err *e)
{
	uint8_t raw[STATE_SIZE + 1]; /* one more, so that a longer file shows */
	size_t n;

	CLEANUP(fd_closep) int fd = -1;
	if (!file_open_at(&fd, dirfd, name, O_RDONLY | O_NOFOLLOW, 0, e))
		return false;
	if (!read_up_to(fd, raw, sizeof(raw), &n, e) || !state_parse(ret, raw, n, e))
		return err_wrap(e, "%s", name);
	return true;
}

bool state_load(struct state *ret, int dirfd, struct err *e)
{
	struct state a, b;
	struct err e_b;
	bool have_a = load_copy(&a, dirfd, copy_names[0], e);
	bool have_b = load_copy(&b, dirfd, copy_names[1], &e_b);

	if (!have_a && !have_b) {
		/* A missing copy says less than a damaged one. */
		if (e->code == E_NOT_FOUND)
			*e = e_b;
		err_wrap(e, "no good state record");
		return e->code == E_NOT_FOUND ? false : err_hint(e, "enrol this handset again");
	}
	*ret = have_b && (!have_a || b.generation > a.generation) ? b : a;
	return true;
}

/* The copy that the next save overwrites: whichever does not hold the present generation. */
static const char *older_copy(const struct state *s, int dirfd)
{
	struct state other;
	struct err ignored;

	if (load_copy(&other, dirfd, copy_names[0], &ignored) &&
	    other.generation == s->generation)
		return copy_names[1];
	return copy_names[0];
}

/* The first save makes the file whole under another name, so that there never is a short one; so does one
 * in whose place lies what is no file. */
static bool overwrite(int dirfd, const char *name, const uint8_t raw[static STATE_SIZE],
		      struct err *e)
{
	CLEANUP(fd_closep) int fd = -1;

	if (!file_open_at(&fd, dirfd, name, O_WRONLY | O_NOFOLLOW, 0, e)) {
		if (e->code == E_NOT_FOUND || e->code == E_CORRUPT)
			return file_replace(dirfd, name, 0600, raw, STATE_SIZE, e);
		return false;
	}
	/* A copy that something else made longer would never be read again. */
	uint64_t size;
	if (!fd_size(fd, &size, e))
		return err_wrap(e, "%s", name);
	if (size > STATE_SIZE && ftruncate(fd, STATE_SIZE) < 0)
		return err_sys(e, errno, "%s", name);
	if (!pwrite_all(fd, raw, STATE_SIZE, 0, e) || !fd_sync(fd, e))
		return err_wrap(e, "%s", name);
	return true;
}

bool state_save(struct state *s, int dirfd, struct err *e)
{
	uint8_t raw[STATE_SIZE];
	struct state next = *s;
	const char *name = older_copy(s, dirfd);

	next.generation++;
	state_encode(raw, &next);
	if (!overwrite(dirfd, name, raw, e))
		return err_wrap(e, "saving the state");
	s->generation = next.generation;
	return true;
}
