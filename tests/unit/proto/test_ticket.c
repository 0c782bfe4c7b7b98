#include "tests/support/unit.h"

#include "base/io.h"
#include "base/text.h"
#include "proto/ticket.h"

#include <fcntl.h>

static struct ticket sample(void)
{
	struct ticket t = { .has_pin = true, .url = "https://phones.acme.example:8443/valise" };

	for (size_t i = 0; i < sizeof(t.token); i++)
		t.token[i] = (uint8_t)(0xa0 + i);
	sha256(t.image_root, "image", 5);
	sha256(t.director_root, "director", 8);
	sha256(t.pin, "pin", 3);
	return t;
}

static void a_ticket_is_what_the_golden_file_has(void **state)
{
	CLEANUP(buf_done) struct buf golden = BUF_INIT(4096);
	struct ticket t = sample(), back;
	char text[LIMIT_TICKET + 1];
	struct err e;

	assert_ok(ticket_encode(text, &t, &e), &e);
	assert_ok(read_file_at(AT_FDCWD, "tests/golden/ticket/v1/ticket.txt", &golden, &e), &e);
	assert_int_equal(golden.n, strlen(text) + 1);
	assert_memory_equal(golden.p, text, strlen(text));
	/* As pasted: with the line end of the file. */
	assert_ok(ticket_parse(&back, (const char *)golden.p, golden.n, &e), &e);
	assert_memory_equal(&back, &t, sizeof(t));
}

static void every_flipped_bit_is_refused(void **state)
{
	struct ticket t = sample(), back = { .has_pin = false };
	char text[LIMIT_TICKET + 1];
	struct err e;
	size_t n;

	assert_ok(ticket_encode(text, &t, &e), &e);
	n = strlen(text);
	for (size_t bit = 0; bit < n * 8; bit++) {
		flip_bit(text, bit);
		if (ticket_parse(&back, text, n, &e))
			fail_msg("bit %zu", bit);
		flip_bit(text, bit);
	}
	assert_string_equal(back.url, "");
}

static void every_other_letter_and_length_is_refused(void **state)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
	struct ticket t = sample(), back;
	char text[LIMIT_TICKET + 1];
	struct err e;
	size_t n;

	assert_ok(ticket_encode(text, &t, &e), &e);
	n = strlen(text);
	for (size_t at = 8; at < n; at++) {
		char old = text[at];

		for (const char *l = letters; *l; l++) {
			text[at] = *l;
			if (*l != old && ticket_parse(&back, text, n, &e))
				fail_msg("letter %zu as %c", at, *l);
		}
		text[at] = old;
	}
	for (size_t cut = 0; cut < n; cut++)
		assert_false(ticket_parse(&back, text, cut, &e));
	memcpy(text + n, "A", 2);
	assert_false(ticket_parse(&back, text, n + 1, &e));
}

/* A ticket with a right checksum around any bytes. */
static bool parse_raw(const uint8_t *raw, size_t n, struct err *e)
{
	char text[4096] = "VALISE1:";
	uint8_t with_sum[1024], sum[SHA256_SIZE];
	struct ticket t;

	memcpy(with_sum, raw, n);
	sha256(sum, raw, n);
	memcpy(with_sum + n, sum, 4);
	base32_encode(text + 8, with_sum, n + 4);
	return ticket_parse(&t, text, strlen(text), e);
}

static void a_right_checksum_does_not_make_nonsense_right(void **state)
{
	uint8_t raw[116 + 20] = { 1, 0 };
	struct err e;

	memcpy(raw + 116, "https://a.example/xy", 20);
	raw[114] = 20;
	assert_ok(parse_raw(raw, sizeof(raw), &e), &e);
	raw[0] = 2;
	assert_fails(parse_raw(raw, sizeof(raw), &e), &e, E_UNSUPPORTED);
	raw[0] = 1;
	raw[1] = 2;
	assert_fails(parse_raw(raw, sizeof(raw), &e), &e, E_UNSUPPORTED);
	raw[1] = 0;
	raw[90] = 1;
	assert_fails(parse_raw(raw, sizeof(raw), &e), &e, E_FORMAT);
	raw[90] = 0;
	raw[114] = 19;
	assert_fails(parse_raw(raw, sizeof(raw), &e), &e, E_FORMAT);
	raw[114] = 20;
	raw[115] = 255;
	assert_fails(parse_raw(raw, sizeof(raw), &e), &e, E_FORMAT);
	raw[115] = 0;
	raw[116 + 19] = 0;
	assert_fails(parse_raw(raw, sizeof(raw), &e), &e, E_FORMAT);
	raw[116 + 19] = '/';
	assert_fails(parse_raw(raw, sizeof(raw), &e), &e, E_FORMAT);
	assert_fails(parse_raw(raw, 115, &e), &e, E_FORMAT);
}

static void a_longest_url_fits(void **state)
{
	struct ticket t = sample(), back;
	char text[LIMIT_TICKET + 1];
	struct err e;

	memset(t.url, 'a', LIMIT_URL);
	memcpy(t.url, "https://a/", 10);
	assert_ok(ticket_encode(text, &t, &e), &e);
	assert_ok(ticket_parse(&back, text, strlen(text), &e), &e);
	assert_memory_equal(&back, &t, sizeof(t));
}

static void only_https_urls_in_one_form_are_servers(void **state)
{
	static const char *const good[] = {
		"https://a",
		"https://a.example",
		"https://127.0.0.1:8443",
		"https://[::1]:1",
		"https://a-b.example:65535/x/y~z",
		"https://a/.well-known",
	};
	static const char *const bad[] = {
		"",
		"http://a",
		"https://",
		"https:///x",
		"https://a/",
		"https://a//b",
		"https://a:0",
		"https://a:65536",
		"https://a:",
		"https://a:08",
		"https://a/../b",
		"https://a/.",
		"https://u@a",
		"https://a?x",
		"https://a#x",
		"https://a/b c",
		"https://a/%2e%2e",
		"https://[::1",
		"https://[]",
		"https://-a",
		"https://a\n",
		"HTTPS://a",
	};
	struct err e;

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_ok(server_url_check(good[i], &e), &e);
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		if (server_url_check(bad[i], &e))
			fail_msg("accepted: %s", bad[i]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_ticket_is_what_the_golden_file_has),
		cmocka_unit_test(every_flipped_bit_is_refused),
		cmocka_unit_test(every_other_letter_and_length_is_refused),
		cmocka_unit_test(a_right_checksum_does_not_make_nonsense_right),
		cmocka_unit_test(a_longest_url_fits),
		cmocka_unit_test(only_https_urls_in_one_form_are_servers),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
