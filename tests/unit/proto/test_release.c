#include "tests/support/unit.h"

#include "base/io.h"
#include "proto/release.h"

#include <fcntl.h>

#define GOLDEN "tests/golden/release/v1/"

static void load(struct buf *ret, const char *name)
{
	struct err e;

	assert_ok(read_file_at(AT_FDCWD, name, ret, &e), &e);
}

/* The golden description, with what publishing would add. */
static struct release *filled(void)
{
	CLEANUP(buf_done) struct buf in = BUF_INIT(65536);
	struct release *r = NULL;
	struct err e;

	load(&in, GOLDEN "release.in.json");
	assert_ok(release_parse_description(&r, in.p, in.n, &e), &e);
	for (size_t i = 0; i < r->n_components; i++) {
		struct component *c = &r->components[i];
		struct verity_geo geo;

		c->size = 700000 * (i * i * i + 1);
		assert_ok(verity_geo_init(&geo, c->size, &e), &e);
		c->tree_size = geo.upper_size;
		c->object_size = c->size / 2;
		c->frame_size = 1048576;
		sha256(c->sha256, "plain", 5);
		sha256(c->root, c->name, strlen(c->name));
		sha256(c->tree_sha256, "tree", c->tree_size ? 4 : 0);
		sha256(c->object_sha256, "object", 6);
		release_salt(c->salt, r->product, r->version, c->name);
	}
	return r;
}

static void a_description_says_what_is_in_it(void **state)
{
	CLEANUP(buf_done) struct buf in = BUF_INIT(65536);
	CLEANUP(release_freep) struct release *r = NULL;
	const struct model *m;
	struct err e;

	load(&in, GOLDEN "release.in.json");
	assert_ok(release_parse_description(&r, in.p, in.n, &e), &e);
	assert_string_equal(r->product, "acme-phone");
	assert_string_equal(r->version, "1.0.0");
	assert_int_equal(r->security_version, 1);
	assert_int_equal(r->health_deadline_s, 300);
	assert_int_equal(r->n_components, 4);
	assert_string_equal(r->components[0].name, "initrd"); /* sorted */
	assert_string_equal(release_component(r, "overlay")->file, "Large_1+2.erofs");
	assert_null(release_component(r, "nothing"));
	m = release_model(r, "large");
	assert_non_null(m);
	assert_int_equal(m->arch, ARCH_AARCH64);
	assert_int_equal(m->initrd, -1);
	assert_int_equal(m->n_disks, 2);
	assert_string_equal(r->components[m->disks[0]].name, "system");
	assert_string_equal(r->components[m->disks[1]].name, "overlay");
	assert_true(model_uses(m, m->disks[1]));
	assert_false(model_uses(release_model(r, "compact"), m->disks[1]));
	assert_string_equal(release_model(r, "compact")->cmdline,
			    "console=ttyS0 name=\"a b\" path=c:\\d");
	assert_null(release_model(r, "huge"));
}

static void a_manifest_has_the_same_bytes_every_time(void **state)
{
	CLEANUP(buf_done) struct buf golden = BUF_INIT(65536);
	CLEANUP(buf_done) struct buf first = BUF_INIT(65536);
	CLEANUP(buf_done) struct buf second = BUF_INIT(65536);
	CLEANUP(release_freep) struct release *r = filled();
	CLEANUP(release_freep) struct release *again = NULL;
	struct err e;

	assert_ok(release_encode(r, &first, &e), &e);
	load(&golden, GOLDEN "release.json");
	assert_string_equal(buf_str(&first), buf_str(&golden));
	assert_ok(release_parse(&again, golden.p, golden.n, &e), &e);
	assert_ok(release_encode(again, &second, &e), &e);
	assert_string_equal(buf_str(&second), buf_str(&golden));
	assert_int_equal(again->components[2].tree_size,
			 release_component(r, "overlay")->tree_size);
}

struct change {
	const char *from, *to;
	const char *words; /* of the error */
};

static char *changed(const char *text, const struct change *c)
{
	const char *at = strstr(text, c->from);
	size_t before, n = strlen(text) + strlen(c->to) + 1;
	char *out = malloc(n);

	if (!at)
		fail_msg("\"%s\" is not in the golden file", c->from);
	assert_non_null(out);
	before = (size_t)(at - text);
	memcpy(out, text, before);
	snprintf(out + before, n - before, "%s%s", c->to, at + strlen(c->from));
	return out;
}

static void check_changes(const char *file,
			  bool (*parse)(struct release **, const void *, size_t, struct err *),
			  const struct change *changes, size_t n)
{
	CLEANUP(buf_done) struct buf in = BUF_INIT(65536);

	load(&in, file);
	for (size_t i = 0; i < n; i++) {
		char *text = changed(buf_str(&in), &changes[i]);
		struct release *r = NULL;
		struct err e;

		if (parse(&r, text, strlen(text), &e))
			fail_msg("accepted: %s", changes[i].to);
		assert_null(r);
		if (!strstr(e.text, changes[i].words))
			fail_msg("%s: \"%s\" lacks \"%s\"", changes[i].to, e.text,
				 changes[i].words);
		free(text);
	}
}

static void a_bad_description_is_refused_with_the_place(void **state)
{
	static const struct change changes[] = {
		{ "\"product\": \"acme-phone\", ", "", "product: missing" },
		{ "acme-phone", "Acme", "product: \"Acme\" is no name" },
		{ "acme-phone", "a/../b", "is no name" },
		{ "\"1.0.0\"", "\"1..0\"", "version: " },
		{ "\"security_version\": 1", "\"security_version\": -1",
		  "security_version: -1 is not" },
		{ "\"security_version\": 1", "\"security_version\": \"1\"",
		  "a string, not an integer" },
		{ "{ \"product\"", "{ \"format\": 1, \"product\"", "unknown field \"format\"" },
		{ "\"file\": \"vmlinux\"", "\"file\": \"../vmlinux\"",
		  "components: kernel: file: " },
		{ "\"file\": \"vmlinux\"", "\"file\": \"/etc/passwd\"", "no plain file name" },
		{ "\"file\": \"vmlinux\"", "\"file\": \".hidden\"", "no plain file name" },
		{ "\"file\": \"vmlinux\"", "\"file\": \"\"", "no plain file name" },
		{ "\"kind\": \"kernel\"", "\"kind\": \"floppy\"",
		  "none of kernel, initrd, disk" },
		{ "\"kind\": \"kernel\"", "\"kind\": \"disk\"", "is of kind disk, not kernel" },
		{ "\"overlay\": {", "\"over.lay\": {", "no component \"overlay\"" },
		{ "[\"system\"]", "[\"kernel\"]",
		  "models: compact: disks: 0: \"kernel\" is of kind" },
		{ "[\"system\"]", "[\"system\", \"system\"]", "is there twice" },
		{ "[\"system\"]", "[\"none\"]", "there is no component \"none\"" },
		{ ", \"overlay\"]", "]", "components: overlay: no model uses it" },
		{ "\"arch\": \"x86_64\"", "\"arch\": \"vax\"", "none of x86_64, aarch64" },
		{ "\"memory_mib\": 512", "\"memory_mib\": 0", "memory_mib: 0 is not within" },
		{ "\"vcpus\": 1", "\"vcpus\": 65", "vcpus: 65 is not within 1 and 64" },
		{ "console=ttyS0", "console=\\u00e9", "only printable ASCII" },
		{ "console=ttyS0", "console=\\n", "control character" },
		{ "\"deadline_s\": 300", "\"deadline_s\": 0", "health: deadline_s: 0 is not" },
		{ "{\"deadline_s\": 300}", "{\"deadline_s\": 300, \"x\": 1}",
		  "health: unknown field" },
		{ "\"system\": {\"file\"", "\"data\": {\"file\"", "no component \"system\"" },
	};

	check_changes(GOLDEN "release.in.json", release_parse_description, changes,
		      ARRAY_SIZE(changes));
}

static void disks_that_would_collide_on_the_handset_are_refused(void **state)
{
	static const struct change names[] = {
		{ "", "data", "kept for the handset" },
		{ "", "config", "kept for the handset" },
		{ "", "a-name-of-21-letters.", "no dot" },
		{ "", "a-name-of-21-letters-", "at most 20 bytes" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(names); i++) {
		char text[1024];
		struct release *r = NULL;
		struct err e;
		int n = snprintf(
			text, sizeof(text),
			"{\"product\":\"p\",\"version\":\"1\",\"security_version\":0,"
			"\"data_schema\":0,\"components\":{\"k\":{\"file\":\"k\",\"kind\":"
			"\"kernel\"},\"%s\":{\"file\":\"d\",\"kind\":\"disk\"}},\"models\":"
			"{\"m\":{\"arch\":\"x86_64\",\"memory_mib\":64,\"vcpus\":1,"
			"\"kernel\":\"k\",\"disks\":[\"%s\"],\"cmdline\":\"\"}},"
			"\"health\":{\"deadline_s\":1}}",
			names[i].to, names[i].to);

		assert_fails(release_parse_description(&r, text, (size_t)n, &e), &e, E_FORMAT);
		if (!strstr(e.text, names[i].words))
			fail_msg("%s: %s", names[i].to, e.text);
	}
}

static void a_bad_manifest_is_refused_with_the_place(void **state)
{
	static const struct change changes[] = {
		{ "\"_type\":\"release\"", "\"_type\":\"policy\"", "_type: " },
		{ "\"format\":1", "\"format\":2", "format: 2 is not known here, only 1" },
		{ "\"health\":{", "\"extra\":0,\"health\":{", "unknown field \"extra\"" },
		{ "\"kind\":\"initrd\"", "\"kind\":\"initrd\",\"file\":\"x\"",
		  "unknown field \"file\"" },
		{ "\"version\":\"1.0.0\"", "\"version\":\"1.0.1\"",
		  "verity: salt: not the one" },
		{ "\"size\":700000,", "\"size\":0,", "size: 0 is not within" },
		{ "\"size\":700000,", "\"size\":1099511627777,",
		  "is not within 1 and 1099511627776" },
		{ "\"size\":700000,", "\"size\":1,", "tree: size: 4096 bytes where 0 follow" },
		{ "\"size\":4096", "\"size\":8192",
		  "tree: size: 8192 bytes where 4096 follow" },
		{ "\"zstd-seekable\"", "\"gzip\"",
		  "object: format: \"gzip\" is not known here" },
		{ "\"frame_size\":1048576", "\"frame_size\":1048575", "no power of two" },
		{ "\"frame_size\":1048576", "\"frame_size\":2097152", "object: frame_size: " },
		{ "\"root\":\"", "\"root\":\"A", "verity: root: not 64 lower-case" },
		{ "\"kind\":\"initrd\",", "", "components: initrd: kind: missing" },
	};

	check_changes(GOLDEN "release.json", release_parse, changes, ARRAY_SIZE(changes));
}

static void a_manifest_put_together_wrongly_is_not_encoded(void **state)
{
	CLEANUP(buf_done) struct buf out = BUF_INIT(65536);
	CLEANUP(release_freep) struct release *r = filled();
	struct err e;

	r->components[1].size++; /* kernel, 1400000 bytes: the tree stays as large */
	assert_ok(release_encode(r, &out, &e), &e);
	buf_reset(&out);
	r->components[0].salt[0] ^= 1;
	assert_fails(release_encode(r, &out, &e), &e, E_FORMAT);
	assert_int_equal(out.n, 0);
	r->components[0].salt[0] ^= 1;
	r->n_models = 0;
	assert_fails(release_encode(r, &out, &e), &e, E_FORMAT);
}

static void versions_have_one_order(void **state)
{
	static const char *const ascending[] = {
		"0",
		"00",
		"0.1",
		"0.9",
		"0.10",
		"1",
		"1.0",
		"1.0.0",
		"1.0.1",
		"1.0.a",
		"1.0.b",
		"1.01",
		"1.1",
		"1.2",
		"1.10",
		"1.a",
		"1.b-2",
		"2",
		"9",
		"010",
		"10",
		"11",
		"2026.11.1",
		"99999999999999999998",
		"99999999999999999999",
		"1a",
		"a",
		"a.1",
	};
	size_t n = ARRAY_SIZE(ascending);

	for (size_t i = 0; i < n; i++)
		for (size_t j = 0; j < n; j++) {
			int c = version_compare(ascending[i], ascending[j]);

			if ((c > 0) - (c < 0) != (i > j) - (i < j))
				fail_msg("%s against %s: %d", ascending[i], ascending[j], c);
		}
}

static void a_reference_is_product_and_version(void **state)
{
	static const char *const bad[] = { "",    "a",    "/1",   "a/",   "a/b/c",
					   "A/1", "a/..", "../1", "a/1 ", "a/1\n" };
	struct release_ref ref = { .product = "untouched" };
	char text[RELEASE_REF_SIZE];
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_fails(release_ref_parse(&ref, bad[i], &e), &e, E_FORMAT);
	assert_string_equal(ref.product, "untouched");
	assert_ok(release_ref_parse(&ref, "acme-phone/1.0.0", &e), &e);
	release_ref_format(text, &ref);
	assert_string_equal(text, "acme-phone/1.0.0");
}

static void targets_have_their_paths(void **state)
{
	CLEANUP(release_freep) struct release *r = filled();
	char path[RELEASE_PATH_SIZE];

	release_path(path, r->product, r->version, "release.json");
	assert_string_equal(path, "releases/acme-phone/1.0.0/release.json");
	release_object_path(path, r, release_component(r, "system"));
	assert_string_equal(path, "releases/acme-phone/1.0.0/system.zst");
	release_tree_path(path, r, release_component(r, "system"));
	assert_string_equal(path, "releases/acme-phone/1.0.0/system.tree");
}

static void a_failing_allocation_is_reported(void **state)
{
	CLEANUP(buf_done) struct buf in = BUF_INIT(65536);

	load(&in, GOLDEN "release.json");
	FAULT_EACH(n, FAULT_ALLOC) {
		CLEANUP(release_freep) struct release *r = NULL;
		CLEANUP(buf_done) struct buf out = BUF_INIT(65536);
		struct err e;

		assert_true(
			(release_parse(&r, in.p, in.n, &e) && release_encode(r, &out, &e)) ||
			e.code == E_NOMEM);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_description_says_what_is_in_it),
		cmocka_unit_test(a_manifest_has_the_same_bytes_every_time),
		cmocka_unit_test(a_bad_description_is_refused_with_the_place),
		cmocka_unit_test(disks_that_would_collide_on_the_handset_are_refused),
		cmocka_unit_test(a_bad_manifest_is_refused_with_the_place),
		cmocka_unit_test(a_manifest_put_together_wrongly_is_not_encoded),
		cmocka_unit_test(versions_have_one_order),
		cmocka_unit_test(a_reference_is_product_and_version),
		cmocka_unit_test(targets_have_their_paths),
		cmocka_unit_test(a_failing_allocation_is_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
