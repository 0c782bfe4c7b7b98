#include "tests/support/unit.h"

#include "admin-cli/home.h"
#include "admin-cli/init.h"
#include "admin-cli/keys.h"
#include "proto/sig.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static struct err e;

static bool open_in(void **state, struct home *h)
{
	char path[4200];

	snprintf(path, sizeof(path), "%s/home", tmpdir_path(state));
	return home_open(h, path, &e);
}

static unsigned mode_of(void **state, const char *name)
{
	struct stat st;

	assert_int_equal(fstatat(tmpdir_fd(state), name, &st, 0), 0);
	return st.st_mode & 07777;
}

static void a_home_that_is_not_there_is_empty_and_is_not_made_by_looking(void **state)
{
	CLEANUP(home_done) struct home h = { 0 };
	struct secret *token = NULL;

	assert_ok(open_in(state, &h), &e);
	assert_string_equal(h.set.server, "");
	assert_fails(home_load_token(&h, &token, &e), &e, E_NOT_FOUND);
	assert_int_equal(count_files_at(tmpdir_fd(state)), 0);
}

static void settings_come_back(void **state)
{
	CLEANUP(home_done) struct home a = { 0 };
	CLEANUP(home_done) struct home b = { 0 };

	assert_ok(open_in(state, &a), &e);
	assert_ok(home_save(&a, "https://h.example", "ab", "", NULL, &e), &e);
	assert_string_equal(a.set.server, "https://h.example");
	assert_ok(open_in(state, &b), &e);
	assert_string_equal(b.set.server, "https://h.example");
	assert_string_equal(b.set.pin, "ab");
	assert_string_equal(b.set.ca_file, "");
	assert_int_equal(mode_of(state, "home"), 0700);
}

static void settings_that_would_forge_lines_are_refused(void **state)
{
	CLEANUP(home_done) struct home h = { 0 };

	assert_ok(open_in(state, &h), &e);
	assert_fails(home_save(&h, "https://h\npin = x", "", "", "", &e), &e, E_USAGE);
}

static void a_damaged_config_names_the_file_and_line(void **state)
{
	CLEANUP(home_done) struct home h = { 0 };

	assert_int_equal(mkdirat(tmpdir_fd(state), "home", 0700), 0);
	write_file_at(tmpdir_fd(state), "home/config", "server = a\nnonsense\n", 20);
	assert_fails(open_in(state, &h), &e, E_CONFIG);
	assert_non_null(strstr(e.text, "config:2"));
}

static void a_config_that_others_could_have_written_is_not_believed(void **state)
{
	CLEANUP(home_done) struct home h = { 0 };
	int dirfd = tmpdir_fd(state);

	assert_ok(open_in(state, &h), &e);
	assert_ok(home_save(&h, "https://h.example", "", "", NULL, &e), &e);
	home_done(&h);
	for (unsigned bit = 01; bit <= 0100; bit <<= 1) {
		assert_int_equal(fchmodat(dirfd, "home/config", 0600 | bit, 0), 0);
		if (bit == 02 || bit == 020) {
			assert_fails(open_in(state, &h), &e, E_DENIED);
			assert_non_null(strstr(e.text, "others could have written it"));
		} else {
			assert_ok(open_in(state, &h), &e);
			home_done(&h);
		}
	}
	assert_int_equal(fchmodat(dirfd, "home", 0777, 0), 0);
	assert_fails(open_in(state, &h), &e, E_DENIED);
}

static void the_token_is_for_its_owner_only(void **state)
{
	CLEANUP(home_done) struct home h = { 0 };
	CLEANUP(secret_freep) struct secret *token = NULL;

	assert_ok(open_in(state, &h), &e);
	assert_ok(home_save_token(&h, "vt_abc", &e), &e);
	assert_int_equal(mode_of(state, "home/token"), 0600);
	assert_ok(home_load_token(&h, &token, &e), &e);
	assert_int_equal(token->n, 6);
	assert_memory_equal(token->p, "vt_abc", 6);
}

static void keys_are_made_found_and_opened(void **state)
{
	CLEANUP(home_done) struct home h = { 0 };
	CLEANUP(key_done) struct key made = { 0 };
	CLEANUP(key_done) struct key opened = { 0 };
	struct key_ref *refs = NULL;
	size_t n = 0;

	assert_ok(open_in(state, &h), &e);
	assert_ok(keys_new(&h, "publisher-acme", "publisher", "acme", NULL, rng_system(), &made,
			   &e),
		  &e);
	assert_int_equal(mode_of(state, "home/keys/publisher-acme.key"), 0600);
	assert_ok(keys_open(&h, "publisher-acme", NULL, &opened, &e), &e);
	assert_memory_equal(opened.secret->p, made.secret->p, made.secret->n);
	assert_memory_equal(opened.public, made.public, sizeof(made.public));
	write_file_at(tmpdir_fd(state), "home/keys/README", "x", 1);
	assert_ok(keys_list(&h, &refs, &n, &e), &e);
	assert_int_equal(n, 1);
	assert_string_equal(refs[0].name, "publisher-acme");
	assert_string_equal(refs[0].info.role, "publisher");
	free(refs);
}

static void a_key_is_never_overwritten(void **state)
{
	CLEANUP(home_done) struct home h = { 0 };
	CLEANUP(key_done) struct key one = { 0 };
	CLEANUP(key_done) struct key two = { 0 };
	CLEANUP(key_done) struct key there = { 0 };

	assert_ok(open_in(state, &h), &e);
	assert_ok(keys_new(&h, "k", "", "", NULL, rng_system(), &one, &e), &e);
	assert_fails(keys_new(&h, "k", "", "", NULL, rng_system(), &two, &e), &e, E_EXISTS);
	assert_ok(keys_open(&h, "k", NULL, &there, &e), &e);
	assert_memory_equal(there.public, one.public, sizeof(one.public));
}

static void names_of_keys_never_become_other_paths(void **state)
{
	static const char *const bad[] = { "", "..", ".hidden", "A", "a b", "a..b" };
	CLEANUP(home_done) struct home h = { 0 };
	CLEANUP(key_done) struct key k = { 0 };

	assert_ok(open_in(state, &h), &e);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_fails(keys_new(&h, bad[i], "", "", NULL, rng_system(), &k, &e), &e,
			     E_USAGE);
	/* A '/' means a file, and is no name to make one under. */
	assert_fails(keys_store(&h, "a/b", "x", 1, false, &e), &e, E_USAGE);
}

static void a_flipped_bit_in_a_key_file_is_told(void **state)
{
	CLEANUP(home_done) struct home h = { 0 };
	CLEANUP(key_done) struct key k = { 0 };
	char text[2000];
	size_t n;

	assert_ok(open_in(state, &h), &e);
	assert_ok(keys_new(&h, "k", "", "", NULL, rng_system(), &k, &e), &e);
	n = read_back_at(tmpdir_fd(state), "home/keys/k.key", text, sizeof(text));
	for (size_t bit = 0; bit < n * 8; bit += 41) {
		struct key got = { 0 };

		flip_bit(text, bit);
		write_file_at(tmpdir_fd(state), "home/keys/k.key", text, n);
		if (keys_open(&h, "k", NULL, &got, &e))
			fail_msg("bit %zu of %zu", bit, n * 8);
		assert_null(got.secret);
		flip_bit(text, bit);
	}
}

static void a_missing_key_says_where_keys_come_from(void **state)
{
	CLEANUP(home_done) struct home h = { 0 };
	CLEANUP(key_done) struct key k = { 0 };

	assert_ok(open_in(state, &h), &e);
	assert_fails(keys_open(&h, "policy", NULL, &k, &e), &e, E_NOT_FOUND);
	assert_non_null(strstr(e.hint, "valise init"));
}

static void thresholds_are_read_strictly(void **state)
{
	static const char *const bad[] = {
		"",   "0",     "0of1", "2of1",   "10of10", "1of",
		"of", "1of1 ", "a",    "1 of 2", "-1of2",  "1of2of3"
	};
	unsigned m = 77, n = 77;

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_fails(init_parse_threshold(bad[i], &m, &n, &e), &e, E_USAGE);
	assert_int_equal(m + n, 154);
	assert_ok(init_parse_threshold("2of3", &m, &n, &e), &e);
	assert_int_equal(m * 10 + n, 23);
	assert_ok(init_parse_threshold("9of9", &m, &n, &e), &e);
	assert_ok(init_parse_threshold("1", &m, &n, &e), &e);
	assert_int_equal(m * 10 + n, 11);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TMPDIR_TEST(a_home_that_is_not_there_is_empty_and_is_not_made_by_looking),
		TMPDIR_TEST(settings_come_back),
		TMPDIR_TEST(settings_that_would_forge_lines_are_refused),
		TMPDIR_TEST(a_damaged_config_names_the_file_and_line),
		TMPDIR_TEST(a_config_that_others_could_have_written_is_not_believed),
		TMPDIR_TEST(the_token_is_for_its_owner_only),
		TMPDIR_TEST(keys_are_made_found_and_opened),
		TMPDIR_TEST(a_key_is_never_overwritten),
		TMPDIR_TEST(names_of_keys_never_become_other_paths),
		TMPDIR_TEST(a_flipped_bit_in_a_key_file_is_told),
		TMPDIR_TEST(a_missing_key_says_where_keys_come_from),
		TMPDIR_TEST(thresholds_are_read_strictly),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
