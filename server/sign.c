#include "server/sign.h"
#include "server/ipc.h"
#include "server/pack.h"
#include "base/text.h"
#include "proto/enrol.h"
#include "proto/jwrite.h"
#include "proto/policy.h"
#include "proto/release.h"
#include "proto/tuf_make.h"

#include <inttypes.h>

/* ---- messages ----------------------------------------------------------------------------- */

static void put_target(struct pack *p, const struct sign_target *t)
{
	pack_text(p, t->name);
	pack_text(p, t->version);
	pack_u64(p, t->number);
	pack_u64(p, t->size);
	pack_bytes(p, t->sha256, SHA256_SIZE);
	pack_u32(p, t->level);
}

static void get_target(struct rd *r, struct sign_target *t)
{
	const uint8_t *sha;

	rd_text(r, t->name, sizeof(t->name));
	rd_text(r, t->version, sizeof(t->version));
	t->number = rd_le64(r);
	t->size = rd_le64(r);
	sha = rd_bytes(r, SHA256_SIZE);
	if (sha)
		memcpy(t->sha256, sha, SHA256_SIZE);
	t->level = rd_le32(r);
}

bool sign_director_encode(struct buf *out, const struct sign_director *r, struct err *e)
{
	struct pack p = pack_init(out);

	pack_text(&p, r->device);
	pack_u64(&p, r->above);
	pack_u32(&p, r->next);
	pack_u32(&p, r->has_release);
	if (r->has_release)
		put_target(&p, &r->release);
	pack_u32(&p, r->policies_n);
	for (uint32_t i = 0; i < r->policies_n; i++)
		put_target(&p, &r->policies[i]);
	pack_u64(&p, r->security_floor);
	pack_u64(&p, (uint64_t)r->rollout);
	pack_text(&p, r->nonce);
	return pack_ok(&p, e);
}

static bool target_ok(const struct sign_target *t, bool is_release, struct err *e)
{
	if (!name_is_valid(t->name, LIMIT_NAME) || t->size == 0 || t->number == 0 ||
	    t->number > (uint64_t)J_INT_MAX || t->size > (uint64_t)J_INT_MAX)
		return err_set(e, E_DENIED, "a target without name, size or number");
	if (is_release ? !name_is_valid(t->version, LIMIT_VERSION) : t->version[0] != 0)
		return err_set(e, E_DENIED, "%s: version", t->name);
	if (t->level > (is_release ? 0 : POLICY_FOR_DEVICE))
		return err_set(e, E_DENIED, "%s: level", t->name);
	return true;
}

static bool director_ok(const struct sign_director *r, struct err *e)
{
	uint8_t nonce[16];

	if (!device_id_is_valid(r->device))
		return err_set(e, E_DENIED, "not a device id");
	if (!hex_decode(nonce, sizeof(nonce), r->nonce, strlen(r->nonce)))
		return err_set(e, E_DENIED, "not a nonce");
	if (r->rollout < 0 || r->security_floor > (uint64_t)J_INT_MAX)
		return err_set(e, E_DENIED, "a number out of range");
	if (r->has_release && !target_ok(&r->release, true, e))
		return false;
	if (r->has_release && r->release.number < r->security_floor)
		return err_set(e, E_DENIED,
			       "security version %" PRIu64 " is below the floor %" PRIu64,
			       r->release.number, r->security_floor);
	for (uint32_t i = 0; i < r->policies_n; i++) {
		if (!target_ok(&r->policies[i], false, e))
			return false;
	}
	return true;
}

bool sign_director_parse(struct sign_director *ret, const void *p, size_t n, struct err *e)
{
	struct rd r = rd_init(p, n);
	struct sign_director d = { .above = 0 };
	uint32_t has;

	rd_text(&r, d.device, sizeof(d.device));
	d.above = rd_le64(&r);
	d.next = rd_le32(&r);
	has = rd_le32(&r);
	d.has_release = has == 1;
	if (d.has_release)
		get_target(&r, &d.release);
	d.policies_n = rd_le32(&r);
	if (has > 1 || d.policies_n > SIGN_POLICIES)
		return err_set(e, E_FORMAT, "a count is out of range");
	for (uint32_t i = 0; i < d.policies_n; i++)
		get_target(&r, &d.policies[i]);
	d.security_floor = rd_le64(&r);
	d.rollout = (int64_t)rd_le64(&r);
	rd_text(&r, d.nonce, sizeof(d.nonce));
	if (!rd_ok_at_end(&r))
		return err_set(e, E_FORMAT, "a director request of %zu bytes", n);
	if (!director_ok(&d, e))
		return false;
	*ret = d;
	return true;
}

void sign_image_done(struct sign_image *r)
{
	free(r->roles);
	r->roles = NULL;
}

bool sign_image_encode(struct buf *out, const struct sign_image *r, struct err *e)
{
	struct pack p = pack_init(out);

	pack_u64(&p, r->above);
	pack_u32(&p, r->next);
	pack_u32(&p, r->timestamp_only);
	pack_str(&p, r->snapshot, r->snapshot_n);
	pack_u32(&p, r->roles_n);
	for (uint32_t i = 0; i < r->roles_n; i++) {
		pack_text(&p, r->roles[i].role);
		pack_u64(&p, r->roles[i].version);
	}
	return pack_ok(&p, e);
}

static bool role_ok(const struct sign_role *r)
{
	if (r->version == 0 || r->version > (uint64_t)J_INT_MAX)
		return false;
	if (strcmp(r->role, "targets") == 0 || strcmp(r->role, "policies") == 0)
		return true;
	return strncmp(r->role, "releases.", 9) == 0 && name_is_valid(r->role + 9, LIMIT_NAME);
}

static bool image_ok(const struct sign_image *r, struct err *e)
{
	if (r->timestamp_only && (r->snapshot_n == 0 || r->roles_n != 0))
		return err_set(e, E_DENIED, "a timestamp wants the snapshot it is for");
	if (!r->timestamp_only && r->roles_n == 0)
		return err_set(e, E_DENIED, "a snapshot of nothing");
	for (uint32_t i = 0; i < r->roles_n; i++) {
		if (!role_ok(&r->roles[i]))
			return err_set(e, E_DENIED, "role %s version %" PRIu64,
				       r->roles[i].role, r->roles[i].version);
		for (uint32_t k = 0; k < i; k++) {
			if (strcmp(r->roles[i].role, r->roles[k].role) == 0)
				return err_set(e, E_DENIED, "role %s twice", r->roles[i].role);
		}
	}
	return true;
}

bool sign_image_parse(struct sign_image *ret, const void *p, size_t n, struct err *e)
{
	struct rd r = rd_init(p, n);
	CLEANUP(sign_image_done) struct sign_image m = { .above = rd_le64(&r) };
	uint32_t only;

	m.next = rd_le32(&r);
	only = rd_le32(&r);
	m.timestamp_only = only == 1;
	m.snapshot = rd_str(&r, &m.snapshot_n, IPC_MAX);
	m.roles_n = rd_le32(&r);
	if (only > 1 || m.roles_n > SIGN_ROLES)
		return err_set(e, E_FORMAT, "a count is out of range");
	m.roles = calloc(m.roles_n ? m.roles_n : 1, sizeof(*m.roles));
	if (!m.roles)
		return err_nomem(e);
	for (uint32_t i = 0; i < m.roles_n; i++) {
		rd_text(&r, m.roles[i].role, sizeof(m.roles[i].role));
		m.roles[i].version = rd_le64(&r);
	}
	if (!rd_ok_at_end(&r))
		return err_set(e, E_FORMAT, "an image request of %zu bytes", n);
	if (!image_ok(&m, e))
		return false;
	*ret = m;
	m.roles = NULL;
	return true;
}

bool sign_answer_encode(struct buf *out, const struct sign_answer *a, struct err *e)
{
	struct pack p = pack_init(out);

	pack_u64(&p, a->version);
	pack_u64(&p, (uint64_t)a->snapshot_expires_s);
	pack_u64(&p, (uint64_t)a->timestamp_expires_s);
	pack_str(&p, a->targets, a->targets_n);
	pack_str(&p, a->snapshot, a->snapshot_n);
	pack_str(&p, a->timestamp, a->timestamp_n);
	return pack_ok(&p, e);
}

bool sign_answer_parse(struct sign_answer *ret, const void *p, size_t n, struct err *e)
{
	struct rd r = rd_init(p, n);
	struct sign_answer a = { .version = rd_le64(&r) };

	a.snapshot_expires_s = (int64_t)rd_le64(&r);
	a.timestamp_expires_s = (int64_t)rd_le64(&r);
	a.targets = rd_str(&r, &a.targets_n, IPC_MAX);
	a.snapshot = rd_str(&r, &a.snapshot_n, IPC_MAX);
	a.timestamp = rd_str(&r, &a.timestamp_n, IPC_MAX);
	if (!rd_ok_at_end(&r))
		return err_set(e, E_FORMAT, "an answer of %zu bytes", n);
	*ret = a;
	return true;
}

/* ---- the audit log's head ------------------------------------------------------------------ */

bool sign_audit_encode(struct buf *out, const struct sign_audit *r, struct err *e)
{
	struct pack p = pack_init(out);

	pack_u32(&p, r->next);
	pack_u64(&p, r->n);
	pack_bytes(&p, r->hash, sizeof(r->hash));
	return pack_ok(&p, e);
}

bool sign_audit_parse(struct sign_audit *ret, const void *p, size_t n, struct err *e)
{
	struct rd r = rd_init(p, n);
	struct sign_audit a = { .n = 0 };
	const uint8_t *hash;

	a.next = rd_le32(&r);
	a.n = rd_le64(&r);
	hash = rd_bytes(&r, sizeof(a.hash));
	if (!hash || !rd_ok_at_end(&r))
		return err_set(e, E_FORMAT, "an audit request of %zu bytes", n);
	if (a.n == 0 || a.n > (uint64_t)J_INT_MAX)
		return err_set(e, E_DENIED, "audit row %" PRIu64, a.n);
	memcpy(a.hash, hash, sizeof(a.hash));
	*ret = a;
	return true;
}

bool sign_audit_answer_parse(struct audit_signed *ret, const void *p, size_t n, struct err *e)
{
	struct rd r = rd_init(p, n);
	int64_t at = (int64_t)rd_le64(&r);
	const uint8_t *pub = rd_bytes(&r, SIG_PUBLIC_SIZE);
	const uint8_t *sig = rd_bytes(&r, SIG_SIZE);

	if (!sig || !rd_ok_at_end(&r))
		return err_set(e, E_FORMAT, "an audit answer of %zu bytes", n);
	if (!tuf_keyid_ed25519(ret->keyid, pub, e))
		return false;
	ret->at = at;
	memcpy(ret->sig, sig, SIG_SIZE);
	return true;
}

/* ---- making ------------------------------------------------------------------------------- */

/* The secret that signs for the role now. */
static bool key_of(const struct secret **ret, enum online_role role, const struct signing *s,
		   struct err *e)
{
	bool next = s->next & UINT32_C(1) << role;

	*ret = next ? s->keys->next[role] : s->keys->secret[role];
	return *ret ? true
		    : err_set(e, E_DENIED, "%s %s: no key follows", online_roles[role].repo,
			      online_roles[role].role);
}

static bool sign_file(struct buf *out, const struct buf *file, enum online_role role,
		      const struct signing *s, struct err *e)
{
	const struct secret *key;

	if (!key_of(&key, role, s, e))
		return false;
	return tuf_sign_with(out, file->p, file->n, key, e) ||
	       err_wrap(e, "%s %s", online_roles[role].repo, online_roles[role].role);
}

static bool custom_text(struct buf *out, const struct sign_target *t, bool is_release,
			struct err *e)
{
	struct jw w;

	/* Members in sorted order: canonical, as the publisher wrote it. */
	jw_init(&w, out);
	jw_obj(&w, NULL);
	jw_obj(&w, "valise");
	jw_str(&w, "kind", is_release ? "release" : "policy");
	if (is_release) {
		jw_str(&w, "product", t->name);
		jw_u64(&w, "security_version", t->number);
		jw_str(&w, "version", t->version);
	} else {
		jw_str(&w, "name", t->name);
		jw_u64(&w, "version", t->number);
	}
	jw_end(&w);
	jw_end(&w);
	return jw_finish(&w, e);
}

static bool valise_text(struct buf *out, const struct sign_director *r, uint64_t lease_s,
			struct err *e)
{
	char rollout[24];
	struct jw w;

	jw_init(&w, out);
	jw_obj(&w, NULL);
	jw_arr(&w, "commands");
	jw_end(&w);
	jw_str(&w, "device", r->device);
	jw_u64(&w, "lease_s", lease_s);
	jw_obj(&w, "levels");
	for (uint32_t i = 0; i < r->policies_n; i++)
		jw_str(&w, r->policies[i].name, policy_level_names[r->policies[i].level]);
	jw_end(&w);
	jw_str(&w, "nonce", r->nonce);
	if (r->rollout > 0) {
		snprintf(rollout, sizeof(rollout), "r%" PRId64, r->rollout);
		jw_str(&w, "rollout", rollout);
	}
	jw_u64(&w, "security_version_floor", r->security_floor);
	jw_end(&w);
	return jw_finish(&w, e);
}

enum { CUSTOM_MAX = 512, PATH_ROOM = RELEASE_PATH_SIZE + POLICY_PATH_SIZE };

struct director_targets {
	struct tuf_make_target targets[SIGN_POLICIES + 1];
	char paths[SIGN_POLICIES + 1][PATH_ROOM];
	struct buf customs[SIGN_POLICIES + 1];
	size_t n;
};

static void director_targets_free(struct director_targets *t)
{
	for (size_t i = 0; t && i < t->n; i++)
		buf_done(&t->customs[i]);
	free(t);
}
DEFINE_CLEANUP(struct director_targets, director_targets_free);

static bool add_target(struct director_targets *all, const struct sign_target *t,
		       bool is_release, struct err *e)
{
	size_t i = all->n++;

	buf_init(&all->customs[i], CUSTOM_MAX);
	if (!custom_text(&all->customs[i], t, is_release, e))
		return false;
	if (is_release)
		release_path(all->paths[i], t->name, t->version, "release.json");
	else
		policy_path(all->paths[i], t->name, t->number);
	all->targets[i] = (struct tuf_make_target){
		.path = all->paths[i],
		.length = t->size,
		.custom = buf_str(&all->customs[i]),
	};
	memcpy(all->targets[i].sha256, t->sha256, SHA256_SIZE);
	return true;
}

static bool make_director_targets(struct buf *out, const struct sign_director *r,
				  const struct signing *s, uint64_t version, int64_t expires_s,
				  struct err *e)
{
	CLEANUP(buf_done) struct buf file = BUF_INIT(IPC_MAX);
	CLEANUP(buf_done)
	struct buf valise = BUF_INIT(1024 + SIGN_POLICIES * (LIMIT_NAME + 16));
	CLEANUP(director_targets_freep) struct director_targets *t = calloc(1, sizeof(*t));

	if (!t)
		return err_nomem(e);
	if (r->has_release && !add_target(t, &r->release, true, e))
		return false;
	for (uint32_t i = 0; i < r->policies_n; i++) {
		if (!add_target(t, &r->policies[i], false, e))
			return false;
	}
	if (!valise_text(&valise, r, s->lease_s, e))
		return false;
	struct tuf_make_targets in = {
		.version = version,
		.expires_s = expires_s,
		.add = t->targets,
		.n_add = t->n,
		.valise = buf_str(&valise),
	};
	return tuf_make_targets(&file, &in, e) &&
	       sign_file(out, &file, ONLINE_DIRECTOR_TARGETS, s, e);
}

static bool make_snapshot(struct buf *out, const struct tuf_make_file *files, size_t n,
			  enum online_role role, const struct signing *s, uint64_t version,
			  int64_t expires_s, struct err *e)
{
	CLEANUP(buf_done) struct buf file = BUF_INIT(IPC_MAX);

	return tuf_make_snapshot(&file, version, expires_s, files, n, e) &&
	       sign_file(out, &file, role, s, e);
}

static bool make_timestamp(struct buf *out, const void *snapshot, size_t n,
			   uint64_t snapshot_version, enum online_role role,
			   const struct signing *s, uint64_t version, int64_t expires_s,
			   struct err *e)
{
	CLEANUP(buf_done) struct buf file = BUF_INIT(LIMIT_TUF_TIMESTAMP);
	struct tuf_make_file of = { "snapshot", snapshot_version, snapshot, n };

	return tuf_make_timestamp(&file, version, expires_s, &of, e) &&
	       sign_file(out, &file, role, s, e);
}

bool sign_director_make(struct buf *out, const struct sign_director *r, struct signing *s,
			struct err *e)
{
	CLEANUP(buf_done) struct buf targets = BUF_INIT(IPC_MAX);
	CLEANUP(buf_done) struct buf snapshot = BUF_INIT(IPC_MAX);
	CLEANUP(buf_done) struct buf timestamp = BUF_INIT(LIMIT_TUF_TIMESTAMP);
	int64_t expires_s = s->now_s + (int64_t)s->lease_s;
	uint64_t version;

	s->next = r->next;
	if (!counters_director(s->counters, r->above, &version, e) ||
	    !make_director_targets(&targets, r, s, version, expires_s, e))
		return false;
	struct tuf_make_file of = { "targets", version, targets.p, targets.n };
	if (!make_snapshot(&snapshot, &of, 1, ONLINE_DIRECTOR_SNAPSHOT, s, version, expires_s,
			   e) ||
	    !make_timestamp(&timestamp, snapshot.p, snapshot.n, version,
			    ONLINE_DIRECTOR_TIMESTAMP, s, version, expires_s, e))
		return false;
	struct sign_answer a = {
		.version = version,
		.snapshot_expires_s = expires_s,
		.timestamp_expires_s = expires_s,
		.targets = targets.p,
		.targets_n = targets.n,
		.snapshot = snapshot.p,
		.snapshot_n = snapshot.n,
		.timestamp = timestamp.p,
		.timestamp_n = timestamp.n,
	};
	return sign_answer_encode(out, &a, e);
}

static bool own_key(struct tuf_key *ret, char id[static TUF_KEYID_SIZE],
		    const uint8_t pub[static SIG_PUBLIC_SIZE], struct err *e)
{
	if (!tuf_keyid_ed25519(id, pub, e) || !sig_key_ed25519(&ret->key, pub, e))
		return false;
	ret->id = id;
	ret->usable = true;
	return true;
}

/* Whether the snapshot was signed by a key of our own: the one before a rotation counts as well. */
static bool own_snapshot(struct tuf_meta **ret, const struct sign_image *r,
			 const struct signing *s, struct err *e)
{
	const struct online_public *pub = &s->keys->public;
	CLEANUP(tuf_freep) struct tuf_meta *m = NULL;
	struct tuf_key key[2] = { { .usable = false } };
	const struct tuf_key *keys[] = { &key[0], &key[1] };
	struct tuf_role role = { .name = "snapshot", .keys = keys, .n_keys = 1, .threshold = 1 };
	char ids[2][TUF_KEYID_SIZE];
	bool ok;

	if (!tuf_parse(&m, TUF_SNAPSHOT, r->snapshot, r->snapshot_n, e))
		return err_wrap(e, "previous snapshot");
	ok = own_key(&key[0], ids[0], pub->key[ONLINE_IMAGE_SNAPSHOT], e);
	if (ok && pub->has_next[ONLINE_IMAGE_SNAPSHOT]) {
		ok = own_key(&key[1], ids[1], pub->next[ONLINE_IMAGE_SNAPSHOT], e);
		role.n_keys = 2;
	}
	ok = (ok && tuf_verify(m, &role, e)) || err_wrap(e, "previous snapshot");
	for (size_t i = 0; i < role.n_keys; i++)
		sig_key_done(&key[i].key);
	if (ok)
		*ret = TAKE(m);
	return ok;
}

static bool nothing_falls(const struct sign_image *r, const struct tuf_meta *before,
			  struct err *e)
{
	for (struct jiter it = jobj_first(before->meta); it.val;
	     it = jobj_next(before->meta, it)) {
		bool found = false;

		for (uint32_t i = 0; i < r->roles_n && !found; i++) {
			char file[TUF_FILE_NAME_SIZE];
			struct tuf_hashes h;
			uint64_t version;

			if (!tuf_file_name(file, r->roles[i].role, 0, e))
				return false;
			if (strcmp(file, it.key) != 0)
				continue;
			found = true;
			if (!tuf_meta_get(&version, &h, before, r->roles[i].role, e))
				return false;
			if (r->roles[i].version < version)
				return err_set(e, E_DENIED,
					       "%s would fall from %" PRIu64 " to %" PRIu64,
					       it.key, version, r->roles[i].version);
		}
		if (!found)
			return err_set(e, E_DENIED, "%s would be missing", it.key);
	}
	return true;
}

static bool make_image_snapshot(struct buf *out, const struct sign_image *r,
				const struct signing *s, uint64_t version, int64_t expires_s,
				struct err *e)
{
	struct tuf_make_file *files = calloc(r->roles_n, sizeof(*files));
	bool ok;

	if (!files)
		return err_nomem(e);
	for (uint32_t i = 0; i < r->roles_n; i++)
		files[i] = (struct tuf_make_file){ .role = r->roles[i].role,
						   .version = r->roles[i].version };
	ok = make_snapshot(out, files, r->roles_n, ONLINE_IMAGE_SNAPSHOT, s, version, expires_s,
			   e);
	free(files);
	return ok;
}

bool sign_image_make(struct buf *out, const struct sign_image *r, struct signing *s,
		     struct err *e)
{
	CLEANUP(buf_done) struct buf snapshot = BUF_INIT(IPC_MAX);
	CLEANUP(buf_done) struct buf timestamp = BUF_INIT(LIMIT_TUF_TIMESTAMP);
	CLEANUP(tuf_freep) struct tuf_meta *before = NULL;
	struct sign_answer a = {
		.snapshot_expires_s = s->now_s + (int64_t)s->image_snapshot_s,
		.timestamp_expires_s = s->now_s + (int64_t)s->image_timestamp_s,
	};
	uint64_t snapshot_version;

	s->next = r->next;
	if (r->snapshot_n > 0 && !own_snapshot(&before, r, s, e))
		return false;
	if (before && !r->timestamp_only && !nothing_falls(r, before, e))
		return false;
	if (!counters_image(s->counters, r->above, &a.version, e))
		return false;
	if (r->timestamp_only) {
		snapshot_version = before->version;
		/* A timestamp that outlives its snapshot would only confuse. */
		a.snapshot_expires_s = before->expires_s;
	} else {
		snapshot_version = a.version;
		if (!make_image_snapshot(&snapshot, r, s, a.version, a.snapshot_expires_s, e))
			return false;
		a.snapshot = snapshot.p;
		a.snapshot_n = snapshot.n;
	}
	if (!make_timestamp(&timestamp, r->timestamp_only ? r->snapshot : snapshot.p,
			    r->timestamp_only ? r->snapshot_n : snapshot.n, snapshot_version,
			    ONLINE_IMAGE_TIMESTAMP, s, a.version, a.timestamp_expires_s, e))
		return false;
	a.timestamp = timestamp.p;
	a.timestamp_n = timestamp.n;
	return sign_answer_encode(out, &a, e);
}

bool sign_audit_make(struct buf *out, const struct sign_audit *r, struct signing *s,
		     struct err *e)
{
	uint8_t message[AUDIT_HEAD_MESSAGE], pub[SIG_PUBLIC_SIZE], sig[SIG_SIZE];
	struct pack p = pack_init(out);
	const struct secret *key;

	s->next = r->next;
	audit_head_message(message, r->n, s->now_s, r->hash);
	if (!key_of(&key, ONLINE_IMAGE_TIMESTAMP, s, e) || !sig_public(pub, key, e) ||
	    !sig_sign(sig, key, message, sizeof(message), e))
		return err_wrap(e, "audit head");
	pack_u64(&p, (uint64_t)s->now_s);
	pack_bytes(&p, pub, sizeof(pub));
	pack_bytes(&p, sig, sizeof(sig));
	return pack_ok(&p, e);
}
