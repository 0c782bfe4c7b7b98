#include "proto/release.h"

#include "base/text.h"
#include "proto/jread.h"
#include "proto/jwrite.h"
#include "proto/seekable.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MEMORY_MIB_MIN = 16, HEALTH_DEADLINE_MIN_S = 1 };

static const char object_format[] = "zstd-seekable";

const char *const component_kind_names[] = {
	[COMPONENT_KERNEL] = "kernel",
	[COMPONENT_INITRD] = "initrd",
	[COMPONENT_DISK] = "disk",
	NULL,
};

void release_free(struct release *r)
{
	if (!r)
		return;
	free(r->components);
	free(r->models);
	free(r);
}

/* ---- look-ups ---- */

static int component_index(const struct release *r, const char *name)
{
	for (size_t i = 0; i < r->n_components; i++)
		if (strcmp(r->components[i].name, name) == 0)
			return (int)i;
	return -1;
}

const struct component *release_component(const struct release *r, const char *name)
{
	int i = component_index(r, name);

	return i < 0 ? NULL : &r->components[i];
}

const struct model *release_model(const struct release *r, const char *name)
{
	for (size_t i = 0; i < r->n_models; i++)
		if (strcmp(r->models[i].name, name) == 0)
			return &r->models[i];
	return NULL;
}

bool model_uses(const struct model *m, int component)
{
	for (size_t i = 0; i < m->n_disks; i++)
		if (m->disks[i] == component)
			return true;
	return m->kernel == component || m->initrd == component;
}

/* ---- rules ---- */

static bool check_ascii(const char *s, const char *key, struct err *e)
{
	for (; *s; s++)
		if (*s < 0x20 || *s > 0x7e)
			return err_set(e, E_FORMAT, "%s: only printable ASCII is allowed", key);
	return true;
}

static bool check_kind(const struct release *r, int i, enum component_kind want, struct err *e)
{
	assert(i >= 0 && (size_t)i < r->n_components);
	if (r->components[i].kind != want)
		return err_set(e, E_FORMAT, "\"%s\" is of kind %s, not %s",
			       r->components[i].name,
			       component_kind_names[r->components[i].kind],
			       component_kind_names[want]);
	return true;
}

static bool check_model(const struct release *r, const struct model *m, struct err *e)
{
	if (!check_kind(r, m->kernel, COMPONENT_KERNEL, e))
		return err_wrap(e, "kernel");
	if (m->initrd >= 0 && !check_kind(r, m->initrd, COMPONENT_INITRD, e))
		return err_wrap(e, "initrd");
	for (size_t i = 0; i < m->n_disks; i++) {
		if (!check_kind(r, m->disks[i], COMPONENT_DISK, e))
			return err_wrap(e, "disks: %zu", i);
		for (size_t j = 0; j < i; j++)
			if (m->disks[i] == m->disks[j])
				return err_set(e, E_FORMAT, "disks: \"%s\" is there twice",
					       r->components[m->disks[i]].name);
	}
	return check_ascii(m->cmdline, "cmdline", e);
}

static bool is_used(const struct release *r, int component)
{
	for (size_t i = 0; i < r->n_models; i++)
		if (model_uses(&r->models[i], component))
			return true;
	return false;
}

/* A disk's name becomes its serial number (virtio 1.2, 5.2.6: 20 bytes), beside two of the agent. */
static bool check_disk_name(const char *name, struct err *e)
{
	if (strlen(name) > LIMIT_DISK_NAME)
		return err_set(e, E_FORMAT, "names of disks have at most %d bytes",
			       LIMIT_DISK_NAME);
	if (strcmp(name, "data") == 0 || strcmp(name, "config") == 0)
		return err_set(e, E_FORMAT, "this name is kept for the handset's own disk");
	return true;
}

/* What holds for descriptions and manifests. */
static bool check_common(const struct release *r, struct err *e)
{
	for (size_t i = 0; i < r->n_components; i++) {
		const struct component *c = &r->components[i];

		if (strchr(c->name, '.'))
			return err_set(e, E_FORMAT, "components: %s: no dot is allowed",
				       c->name);
		if (c->kind == COMPONENT_DISK && !check_disk_name(c->name, e))
			return err_wrap(e, "components: %s", c->name);
		if (!is_used(r, (int)i))
			return err_set(e, E_FORMAT, "components: %s: no model uses it",
				       c->name);
	}
	for (size_t i = 0; i < r->n_models; i++)
		if (!check_model(r, &r->models[i], e))
			return err_wrap(e, "models: %s", r->models[i].name);
	return true;
}

static bool check_component(const struct release *r, const struct component *c, struct err *e)
{
	uint8_t salt[VERITY_SALT], nothing[SHA256_SIZE];
	struct verity_geo geo;

	if (c->size == 0)
		return err_set(e, E_FORMAT, "size: 0");
	if (!verity_geo_init(&geo, c->size, e))
		return err_wrap(e, "size");
	release_salt(salt, r->product, r->version, c->name);
	if (memcmp(salt, c->salt, sizeof(salt)) != 0)
		return err_set(e, E_FORMAT,
			       "verity: salt: not the one of this product, version and "
			       "component");
	if (c->tree_size != geo.upper_size)
		return err_set(e, E_FORMAT,
			       "tree: size: %" PRIu64 " bytes where %" PRIu64
			       " follow from the component's size",
			       c->tree_size, geo.upper_size);
	sha256(nothing, NULL, 0);
	if (c->tree_size == 0 && memcmp(nothing, c->tree_sha256, sizeof(nothing)) != 0)
		return err_set(e, E_FORMAT, "tree: sha256: not that of no bytes");
	if (!seekable_frame_size_ok(c->frame_size))
		return err_set(e, E_FORMAT,
			       "object: frame_size: %" PRIu32 " is no power of two "
			       "within %d and %d",
			       c->frame_size, SEEKABLE_FRAME_MIN, LIMIT_FRAME_SIZE);
	return true;
}

/* What parse sees to by itself: a struct made by a program may break it. */
static bool check_numbers(const struct release *r, struct err *e)
{
	if (!name_is_valid(r->product, LIMIT_NAME) || !name_is_valid(r->version, LIMIT_VERSION))
		return err_set(e, E_FORMAT, "product or version is no name");
	if (r->n_components == 0 || r->n_components > LIMIT_COMPONENTS || r->n_models == 0 ||
	    r->n_models > LIMIT_MODELS)
		return err_set(e, E_FORMAT, "%zu components and %zu models", r->n_components,
			       r->n_models);
	return true;
}

bool release_check(const struct release *r, struct err *e)
{
	if (!check_numbers(r, e) || !check_common(r, e))
		return false;
	for (size_t i = 0; i < r->n_components; i++)
		if (!check_component(r, &r->components[i], e))
			return err_wrap(e, "components: %s", r->components[i].name);
	return true;
}

/* ---- reading ---- */

static bool read_digest_object(uint64_t *size, uint8_t *sha, const struct jval *o, uint64_t min,
			       struct err *e)
{
	return jobj_u64(size, o, "size", min, 2 * LIMIT_COMPONENT_SIZE, e) &&
	       jobj_hex(sha, SHA256_SIZE, o, "sha256", e);
}

static bool read_verity(struct component *ret, const struct jval *o, struct err *e)
{
	static const char *const keys[] = { "salt", "root", NULL };

	return jobj_only(o, keys, e) && jobj_hex(ret->salt, sizeof(ret->salt), o, "salt", e) &&
	       jobj_hex(ret->root, sizeof(ret->root), o, "root", e);
}

static bool read_tree(struct component *ret, const struct jval *o, struct err *e)
{
	static const char *const keys[] = { "size", "sha256", NULL };

	return jobj_only(o, keys, e) &&
	       read_digest_object(&ret->tree_size, ret->tree_sha256, o, 0, e);
}

static bool read_object(struct component *ret, const struct jval *o, struct err *e)
{
	static const char *const keys[] = { "size", "sha256", "format", "frame_size", NULL };
	const char *format;
	uint64_t frame_size;

	if (!jobj_only(o, keys, e) ||
	    !read_digest_object(&ret->object_size, ret->object_sha256, o, 1, e) ||
	    !jobj_str(&format, o, "format", LIMIT_NAME, e) ||
	    !jobj_u64(&frame_size, o, "frame_size", SEEKABLE_FRAME_MIN, LIMIT_FRAME_SIZE, e))
		return false;
	if (strcmp(format, object_format) != 0)
		return err_set(e, E_UNSUPPORTED, "format: \"%s\" is not known here", format);
	ret->frame_size = (uint32_t)frame_size;
	return true;
}

static bool read_kind(struct component *ret, const struct jval *o, struct err *e)
{
	unsigned kind;

	if (!jobj_choice(&kind, o, "kind", component_kind_names, e))
		return false;
	ret->kind = (enum component_kind)kind;
	return true;
}

static bool read_component(struct component *ret, const struct jval *o, struct err *e)
{
	static const char *const keys[] = { "kind", "size",   "sha256", "verity",
					    "tree", "object", NULL };
	const struct jval *verity, *tree, *object;

	if (!jobj_only(o, keys, e) || !read_kind(ret, o, e) ||
	    !jobj_u64(&ret->size, o, "size", 1, LIMIT_COMPONENT_SIZE, e) ||
	    !jobj_hex(ret->sha256, sizeof(ret->sha256), o, "sha256", e) ||
	    !jobj_obj(&verity, o, "verity", e) || !jobj_obj(&tree, o, "tree", e) ||
	    !jobj_obj(&object, o, "object", e))
		return false;
	return (read_verity(ret, verity, e) || err_wrap(e, "verity")) &&
	       (read_tree(ret, tree, e) || err_wrap(e, "tree")) &&
	       (read_object(ret, object, e) || err_wrap(e, "object"));
}

/* A file beside the description: one path component, none that is hidden. */
static bool file_name_ok(const char *s)
{
	for (const char *p = s; *p; p++)
		if (!((*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
		      (*p >= '0' && *p <= '9') || strchr("._+-", *p)))
			return false;
	return s[0] && s[0] != '.' && s[0] != '-';
}

static bool read_described_component(struct component *ret, const struct jval *o, struct err *e)
{
	static const char *const keys[] = { "file", "kind", NULL };

	if (!jobj_only(o, keys, e) || !read_kind(ret, o, e) ||
	    !jobj_copy(ret->file, sizeof(ret->file), o, "file", e))
		return false;
	if (!file_name_ok(ret->file))
		return err_set(e, E_FORMAT,
			       "file: \"%s\" is no plain file name (a-z A-Z 0-9 . _ + -)",
			       ret->file);
	return true;
}

static bool find_component(int *ret, const struct release *r, const struct jval *v,
			   struct err *e)
{
	const char *name;

	if (!jval_get_name(&name, v, e))
		return false;
	*ret = component_index(r, name);
	if (*ret < 0)
		return err_set(e, E_FORMAT, "there is no component \"%s\"", name);
	return true;
}

static bool read_boot_files(struct model *ret, const struct release *r, const struct jval *o,
			    struct err *e)
{
	const struct jval *v, *disks;

	ret->initrd = -1;
	if (!jobj_get(&v, o, "kernel", e))
		return false;
	if (!find_component(&ret->kernel, r, v, e))
		return err_wrap(e, "kernel");
	v = jobj_opt(o, "initrd");
	if (v && !find_component(&ret->initrd, r, v, e))
		return err_wrap(e, "initrd");
	if (!jobj_arr(&disks, o, "disks", LIMIT_DISKS, e))
		return false;
	for (size_t i = 0; i < jarr_n(disks); i++)
		if (!find_component(&ret->disks[i], r, jarr_at(disks, i), e))
			return err_wrap(e, "disks: %zu", i);
	ret->n_disks = jarr_n(disks);
	return true;
}

static bool read_model(struct model *ret, const struct release *r, const struct jval *o,
		       struct err *e)
{
	static const char *const keys[] = { "arch",   "memory_mib", "vcpus",   "kernel",
					    "initrd", "disks",      "cmdline", NULL };
	uint64_t memory, vcpus;
	unsigned arch;

	if (!jobj_only(o, keys, e) || !jobj_choice(&arch, o, "arch", arch_names, e) ||
	    !jobj_u64(&memory, o, "memory_mib", MEMORY_MIB_MIN, LIMIT_MEMORY_MIB, e) ||
	    !jobj_u64(&vcpus, o, "vcpus", 1, LIMIT_VCPUS, e) ||
	    !jobj_copy(ret->cmdline, sizeof(ret->cmdline), o, "cmdline", e) ||
	    !read_boot_files(ret, r, o, e))
		return false;
	ret->arch = (enum arch)arch;
	ret->memory_mib = (uint32_t)memory;
	ret->vcpus = (uint32_t)vcpus;
	return true;
}

/* The members of an object of named things, sorted; each key is a name. */
static bool named_members(struct jiter **ret, size_t *ret_n, const struct jval *o, size_t max,
			  struct err *e)
{
	if (jobj_n(o) == 0 || jobj_n(o) > max)
		return err_set(e, E_FORMAT, "%zu entries, not 1 to %zu", jobj_n(o), max);
	for (struct jiter it = jobj_first(o); it.val; it = jobj_next(o, it)) {
		if (!name_is_valid(it.key, LIMIT_NAME))
			return err_set(e, E_FORMAT, "\"%.64s\" is no name (a-z 0-9 . _ -)",
				       it.key);
		if (!jval_is_obj(it.val, e))
			return err_wrap(e, "%s", it.key);
	}
	return jobj_sorted(o, ret, ret_n, e);
}

static void freep(void *p)
{
	free(*(void **)p);
}

static bool read_components(struct release *r, const struct jval *o, bool manifest,
			    struct err *e)
{
	CLEANUP(freep) struct jiter *all = NULL;
	size_t n;

	if (!named_members(&all, &n, o, LIMIT_COMPONENTS, e))
		return false;
	r->components = calloc(n, sizeof(*r->components));
	if (!r->components)
		return err_nomem(e);
	r->n_components = n;
	for (size_t i = 0; i < n; i++) {
		struct component *c = &r->components[i];

		memcpy(c->name, all[i].key, strlen(all[i].key));
		if (!(manifest ? read_component(c, all[i].val, e)
			       : read_described_component(c, all[i].val, e)))
			return err_wrap(e, "%s", c->name);
	}
	return true;
}

static bool read_models(struct release *r, const struct jval *o, struct err *e)
{
	CLEANUP(freep) struct jiter *all = NULL;
	size_t n;

	if (!named_members(&all, &n, o, LIMIT_MODELS, e))
		return false;
	r->models = calloc(n, sizeof(*r->models));
	if (!r->models)
		return err_nomem(e);
	r->n_models = n;
	for (size_t i = 0; i < n; i++) {
		memcpy(r->models[i].name, all[i].key, strlen(all[i].key));
		if (!read_model(&r->models[i], r, all[i].val, e))
			return err_wrap(e, "%s", all[i].key);
	}
	return true;
}

static bool read_health(struct release *r, const struct jval *o, struct err *e)
{
	static const char *const keys[] = { "deadline_s", NULL };
	uint64_t s;

	if (!jobj_only(o, keys, e) ||
	    !jobj_u64(&s, o, "deadline_s", HEALTH_DEADLINE_MIN_S, LIMIT_HEALTH_DEADLINE_S, e))
		return false;
	r->health_deadline_s = (uint32_t)s;
	return true;
}

/* Product, version and all that both formats have. */
static bool read_body(struct release *r, const struct jval *o, bool manifest, struct err *e)
{
	const struct jval *components, *models, *health;

	if (!jobj_copy_name(r->product, o, "product", e) ||
	    !jobj_copy_name(r->version, o, "version", e) ||
	    !jobj_u64(&r->security_version, o, "security_version", 0, J_INT_MAX, e) ||
	    !jobj_u64(&r->data_schema, o, "data_schema", 0, J_INT_MAX, e) ||
	    !jobj_obj(&components, o, "components", e) || !jobj_obj(&models, o, "models", e) ||
	    !jobj_obj(&health, o, "health", e))
		return false;
	return (read_components(r, components, manifest, e) || err_wrap(e, "components")) &&
	       (read_models(r, models, e) || err_wrap(e, "models")) &&
	       (read_health(r, health, e) || err_wrap(e, "health"));
}

static bool read_envelope(const struct jval *o, bool manifest, struct err *e)
{
	static const char *const manifest_keys[] = {
		"_type",       "format",     "product", "version", "security_version",
		"data_schema", "components", "models",  "health",  NULL
	};
	const char *type;

	if (!jval_is_obj(o, e) ||
	    !jobj_only(o, manifest ? manifest_keys : manifest_keys + 2, e))
		return false;
	if (!manifest)
		return true;
	if (!jobj_str(&type, o, "_type", LIMIT_NAME, e) || !jobj_version(o, "format", 1, e))
		return false;
	if (strcmp(type, "release") != 0)
		return err_set(e, E_FORMAT, "_type: \"%s\", not \"release\"", type);
	return true;
}

static bool parse(struct release **ret, const void *p, size_t n, bool manifest, struct err *e)
{
	CLEANUP(jdoc_freep) struct jdoc *d = NULL;
	CLEANUP(release_freep) struct release *r = NULL;

	if (n > LIMIT_RELEASE_JSON)
		return err_set(e, E_TOO_BIG, "%zu bytes, at most %d", n, LIMIT_RELEASE_JSON);
	if (!jdoc_parse(&d, p, n, e) || !read_envelope(jdoc_root(d), manifest, e))
		return false;
	r = calloc(1, sizeof(*r));
	if (!r)
		return err_nomem(e);
	if (!read_body(r, jdoc_root(d), manifest, e))
		return false;
	if (!(manifest ? release_check(r, e) : check_common(r, e)))
		return false;
	*ret = TAKE(r);
	return true;
}

bool release_parse_description(struct release **ret, const void *p, size_t n, struct err *e)
{
	return parse(ret, p, n, false, e);
}

bool release_parse(struct release **ret, const void *p, size_t n, struct err *e)
{
	return parse(ret, p, n, true, e);
}

/* ---- writing: members in the order of their names, which makes it canonical ---- */

static void write_component(struct jw *w, const struct component *c)
{
	jw_obj(w, c->name);
	jw_str(w, "kind", component_kind_names[c->kind]);
	jw_obj(w, "object");
	jw_str(w, "format", object_format);
	jw_u64(w, "frame_size", c->frame_size);
	jw_hex(w, "sha256", c->object_sha256, SHA256_SIZE);
	jw_u64(w, "size", c->object_size);
	jw_end(w);
	jw_hex(w, "sha256", c->sha256, SHA256_SIZE);
	jw_u64(w, "size", c->size);
	jw_obj(w, "tree");
	jw_hex(w, "sha256", c->tree_sha256, SHA256_SIZE);
	jw_u64(w, "size", c->tree_size);
	jw_end(w);
	jw_obj(w, "verity");
	jw_hex(w, "root", c->root, SHA256_SIZE);
	jw_hex(w, "salt", c->salt, VERITY_SALT);
	jw_end(w);
	jw_end(w);
}

static void write_model(struct jw *w, const struct release *r, const struct model *m)
{
	jw_obj(w, m->name);
	jw_str(w, "arch", arch_names[m->arch]);
	jw_str(w, "cmdline", m->cmdline);
	jw_arr(w, "disks");
	for (size_t i = 0; i < m->n_disks; i++)
		jw_str(w, NULL, r->components[m->disks[i]].name);
	jw_end(w);
	if (m->initrd >= 0)
		jw_str(w, "initrd", r->components[m->initrd].name);
	jw_str(w, "kernel", r->components[m->kernel].name);
	jw_u64(w, "memory_mib", m->memory_mib);
	jw_u64(w, "vcpus", m->vcpus);
	jw_end(w);
}

bool release_encode(const struct release *r, struct buf *out, struct err *e)
{
	struct jw w;

	if (!release_check(r, e))
		return false;
	jw_init(&w, out);
	jw_obj(&w, NULL);
	jw_str(&w, "_type", "release");
	jw_obj(&w, "components");
	for (size_t i = 0; i < r->n_components; i++)
		write_component(&w, &r->components[i]);
	jw_end(&w);
	jw_u64(&w, "data_schema", r->data_schema);
	jw_u64(&w, "format", 1);
	jw_obj(&w, "health");
	jw_u64(&w, "deadline_s", r->health_deadline_s);
	jw_end(&w);
	jw_obj(&w, "models");
	for (size_t i = 0; i < r->n_models; i++)
		write_model(&w, r, &r->models[i]);
	jw_end(&w);
	jw_str(&w, "product", r->product);
	jw_u64(&w, "security_version", r->security_version);
	jw_str(&w, "version", r->version);
	jw_end(&w);
	return jw_finish(&w, e);
}

/* ---- names ---- */

void release_salt(uint8_t out[static VERITY_SALT], const char *product, const char *version,
		  const char *component)
{
	char text[16 + 3 * (LIMIT_NAME + 1)] = "valise-verity-1";
	const char *const parts[] = { product, version, component };
	size_t n = 16;

	for (size_t i = 0; i < ARRAY_SIZE(parts); i++) {
		size_t len = strlen(parts[i]) + 1;

		assert(len <= LIMIT_NAME + 1);
		memcpy(text + n, parts[i], len);
		n += len;
	}
	sha256(out, text, n);
}

void release_path(char out[static RELEASE_PATH_SIZE], const char *product, const char *version,
		  const char *file)
{
	int n = snprintf(out, RELEASE_PATH_SIZE, "releases/%s/%s/%s", product, version, file);

	assert(n > 0 && n < RELEASE_PATH_SIZE);
}

static void component_path(char out[static RELEASE_PATH_SIZE], const struct release *r,
			   const struct component *c, const char *suffix)
{
	char file[LIMIT_NAME + 8];

	snprintf(file, sizeof(file), "%s.%s", c->name, suffix);
	release_path(out, r->product, r->version, file);
}

void release_object_path(char out[static RELEASE_PATH_SIZE], const struct release *r,
			 const struct component *c)
{
	component_path(out, r, c, "zst");
}

void release_tree_path(char out[static RELEASE_PATH_SIZE], const struct release *r,
		       const struct component *c)
{
	component_path(out, r, c, "tree");
}

static bool err_not_ref(const char *s, struct err *e)
{
	err_set(e, E_FORMAT, "\"%.130s\" is no product/version", s);
	return err_hint(e, "give both, such as acme-phone/1.4.0");
}

bool release_ref_parse(struct release_ref *ret, const char *s, struct err *e)
{
	const char *slash = strchr(s, '/');
	struct release_ref ref = { .product = "" };

	if (!slash || (size_t)(slash - s) > LIMIT_NAME)
		return err_not_ref(s, e);
	memcpy(ref.product, s, (size_t)(slash - s));
	if (!name_is_valid(ref.product, LIMIT_NAME) || !name_is_valid(slash + 1, LIMIT_VERSION))
		return err_not_ref(s, e);
	memcpy(ref.version, slash + 1, strlen(slash + 1) + 1);
	*ret = ref;
	return true;
}

void release_ref_format(char out[static RELEASE_REF_SIZE], const struct release_ref *ref)
{
	snprintf(out, RELEASE_REF_SIZE, "%s/%s", ref->product, ref->version);
}

/* ---- versions ---- */

static bool all_digits(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (s[i] < '0' || s[i] > '9')
			return false;
	return n > 0;
}

static int compare_bytes(const char *a, size_t a_n, const char *b, size_t b_n)
{
	int c = memcmp(a, b, a_n < b_n ? a_n : b_n);

	return c ? c : (a_n > b_n) - (a_n < b_n);
}

/* Numbers of any length, without arithmetic. */
static int compare_numbers(const char *a, size_t a_n, const char *b, size_t b_n)
{
	while (a_n > 1 && *a == '0')
		a++, a_n--;
	while (b_n > 1 && *b == '0')
		b++, b_n--;
	if (a_n != b_n)
		return a_n < b_n ? -1 : 1;
	return memcmp(a, b, a_n);
}

static int compare_fields(const char *a, size_t a_n, const char *b, size_t b_n)
{
	bool a_num = all_digits(a, a_n), b_num = all_digits(b, b_n);

	if (a_num && b_num)
		return compare_numbers(a, a_n, b, b_n);
	if (a_num != b_num)
		return a_num ? -1 : 1;
	return compare_bytes(a, a_n, b, b_n);
}

int version_compare(const char *a, const char *b)
{
	const char *x = a, *y = b;

	for (;;) {
		size_t x_n = strcspn(x, "."), y_n = strcspn(y, ".");
		int c = compare_fields(x, x_n, y, y_n);

		if (c)
			return c;
		x += x_n;
		y += y_n;
		if (!*x || !*y)
			break;
		x++;
		y++;
	}
	if (*x || *y)
		return *x ? 1 : -1;
	return strcmp(a, b);
}
