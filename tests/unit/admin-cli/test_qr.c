#include "tests/support/unit.h"

#include "admin-cli/qr.h"
#include "base/limits.h"

static struct err e;

/* Lines, and code points of the longest without escape sequences. */
static void measure(const struct buf *b, size_t *lines, size_t *width)
{
	size_t now = 0;

	*lines = *width = 0;
	for (const char *s = buf_str(b); *s; s++) {
		if (*s == '\033')
			s = strchr(s, 'm');
		else if (*s == '\n')
			++*lines, now = 0;
		else if (((unsigned char)*s & 0xc0) != 0x80 && ++now > *width)
			*width = now;
	}
}

static void half_blocks_hold_two_rows_each_and_the_quiet_zone(void **state)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(100000);
	size_t lines, width;

	/* 5 letters, level M: version 1, 21 modules; 4 of quiet zone on each side. */
	assert_ok(qr_draw(&b, "HELLO", (struct qr_style){ .utf8 = true }, &e), &e);
	measure(&b, &lines, &width);
	assert_int_equal(width, 29);
	assert_int_equal(lines, 15);
	/* Without colours the light modules are drawn: the quiet zone is solid. */
	assert_int_equal(strncmp(buf_str(&b), "\u2588\u2588\u2588\u2588", 12), 0);
}

static void colours_make_it_black_on_white_and_end_on_each_line(void **state)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(100000);
	const char *line;

	assert_ok(qr_draw(&b, "HELLO", (struct qr_style){ .utf8 = true, .color = true }, &e),
		  &e);
	for (line = buf_str(&b); *line; line = strchr(line, '\n') + 1) {
		assert_int_equal(strncmp(line, "\033[30;107m    ", 13), 0);
		assert_int_equal(strncmp(strchr(line, '\n') - 4, "\033[0m", 4), 0);
	}
}

static void other_character_sets_get_two_letters_a_module(void **state)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(100000);
	size_t lines, width;

	assert_ok(qr_draw(&b, "HELLO", (struct qr_style){ .utf8 = false }, &e), &e);
	measure(&b, &lines, &width);
	assert_int_equal(width, 58);
	assert_int_equal(lines, 29);
	for (size_t i = 0; i < b.n; i++)
		assert_true(b.p[i] == '#' || b.p[i] == ' ' || b.p[i] == '\n');
	/* Row 4, from module 4: the finder pattern, seven dark modules and a light one. */
	assert_int_equal(strncmp((const char *)b.p + 4 * 59, "########", 8), 0);
	assert_int_equal(strncmp((const char *)b.p + 4 * 59 + 8, "              ##", 16), 0);
}

static void the_longest_ticket_fits(void **state)
{
	CLEANUP(buf_done) struct buf b = BUF_INIT(1000000);
	char text[LIMIT_TICKET + 1];

	memset(text, 'A', LIMIT_TICKET);
	text[LIMIT_TICKET] = '\0';
	assert_ok(qr_draw(&b, text, (struct qr_style){ .utf8 = true }, &e), &e);
}

static void too_long_a_text_is_an_error(void **state)
{
	static char text[10000];
	CLEANUP(buf_done) struct buf b = BUF_INIT(1000000);

	memset(text, 'a', sizeof(text) - 1);
	assert_fails(qr_draw(&b, text, (struct qr_style){ .utf8 = true }, &e), &e, E_TOO_BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(half_blocks_hold_two_rows_each_and_the_quiet_zone),
		cmocka_unit_test(colours_make_it_black_on_white_and_end_on_each_line),
		cmocka_unit_test(other_character_sets_get_two_letters_a_module),
		cmocka_unit_test(the_longest_ticket_fits),
		cmocka_unit_test(too_long_a_text_is_an_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
