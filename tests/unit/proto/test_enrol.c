#include "tests/support/unit.h"

#include "base/io.h"
#include "proto/enrol.h"

#include <fcntl.h>

#define GOLDEN "tests/golden/enrol/v1/"

static void load(struct buf *ret, const char *path)
{
	struct err e;

	assert_ok(read_file_at(AT_FDCWD, path, ret, &e), &e);
}

static void a_request_comes_back_byte_for_byte(void **state)
{
	CLEANUP(buf_done) struct buf in = BUF_INIT(65536);
	CLEANUP(buf_done) struct buf out = BUF_INIT(65536);
	struct enrol_request r;
	struct err e;

	load(&in, GOLDEN "request.json");
	assert_ok(enrol_request_parse(&r, in.p, in.n, &e), &e);
	assert_int_equal(r.n_attributes, 2);
	assert_string_equal(r.attributes[1].value, "K\xc3\xb6ln");
	assert_ok(enrol_request_encode(&r, &out, &e), &e);
	assert_string_equal(buf_str(&out), buf_str(&in));
}

static void an_answer_has_the_ids_that_follow_from_the_keys(void **state)
{
	CLEANUP(buf_done) struct buf in = BUF_INIT(65536);
	CLEANUP(buf_done) struct buf request = BUF_INIT(65536);
	CLEANUP(buf_done) struct buf out = BUF_INIT(65536);
	char device[DEVICE_ID_SIZE], fingerprint[FINGERPRINT_SIZE];
	struct enrol_request r;
	struct enrol_answer a;
	struct err e;

	load(&request, GOLDEN "request.json");
	load(&in, GOLDEN "answer.json");
	assert_ok(enrol_request_parse(&r, request.p, request.n, &e), &e);
	assert_ok(enrol_answer_parse(&a, in.p, in.n, &e), &e);
	device_id_of(device, r.identity);
	fingerprint_of(fingerprint, r.identity, r.sealing);
	assert_string_equal(a.device, device);
	assert_string_equal(a.fingerprint, fingerprint);
	assert_int_equal(a.state, DEVICE_PENDING);
	assert_ok(enrol_answer_encode(&a, &out, &e), &e);
	assert_string_equal(buf_str(&out), buf_str(&in));
}

static void a_session_comes_back_byte_for_byte(void **state)
{
	CLEANUP(buf_done) struct buf in = BUF_INIT(65536);
	CLEANUP(buf_done) struct buf out = BUF_INIT(65536);
	struct session_answer a;
	struct err e;

	load(&in, GOLDEN "session.json");
	assert_ok(session_answer_parse(&a, in.p, in.n, &e), &e);
	assert_int_equal(a.key[31], 31);
	assert_ok(session_answer_encode(&a, &out, &e), &e);
	assert_string_equal(buf_str(&out), buf_str(&in));
	buf_reset(&out);
	assert_ok(session_request_encode(&out, &e), &e);
	assert_ok(session_request_parse(out.p, out.n, &e), &e);
	assert_fails(session_request_parse("[]", 2, &e), &e, E_FORMAT);
	assert_fails(session_request_parse("", 0, &e), &e, E_FORMAT);
}

struct change {
	const char *from, *to, *words;
};

typedef bool parser(const void *p, size_t n, struct err *e);

static bool parse_request(const void *p, size_t n, struct err *e)
{
	struct enrol_request r;

	return enrol_request_parse(&r, p, n, e);
}

static bool parse_answer(const void *p, size_t n, struct err *e)
{
	struct enrol_answer a;

	return enrol_answer_parse(&a, p, n, e);
}

static bool parse_session(const void *p, size_t n, struct err *e)
{
	struct session_answer a;

	return session_answer_parse(&a, p, n, e);
}

static void check_change(const char *file, parser *parse, const struct change *c)
{
	CLEANUP(buf_done) struct buf in = BUF_INIT(65536);
	char text[8192];
	const char *at;
	struct err e;
	int n;

	load(&in, file);
	at = strstr(buf_str(&in), c->from);
	if (!at)
		fail_msg("\"%s\" is not in %s", c->from, file);
	n = snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - buf_str(&in)), buf_str(&in),
		     c->to, at + strlen(c->from));
	if (parse(text, (size_t)n, &e))
		fail_msg("accepted: %s", c->to);
	if (!strstr(e.text, c->words))
		fail_msg("%s: \"%s\" lacks \"%s\"", c->to, e.text, c->words);
}

static void bad_bodies_are_refused_with_the_place(void **state)
{
	static const struct change request[] = {
		{ "\"token\":\"00", "\"token\":\"", "token: not 32 lower-case" },
		{ "\"identity\":\"00", "\"identity\":\"0A", "identity: not 64 lower-case" },
		{ "\"sealing\"", "\"ceiling\"", "sealing: missing" },
		{ "compact", "../x", "model: \"../x\" is no name" },
		{ "Jo's phone", "\\u001b[31m", "name: control character" },
		{ "Jo's phone", "\\u009b31m", "name: control character" },
		{ "Jo's phone", "\\u202eenohp", "name: control character" },
		{ "\"serial\"", "\"Serial\"", "attributes: \"Serial\" is no name" },
		{ "\"X1\"", "7", "attributes: serial: an integer, not a string" },
	};
	static const struct change answer[] = {
		{ "\"device\":\"", "\"device\":\"0", "device: 33 bytes, at most 32" },
		{ "\"device\":\"6", "\"device\":\"G", "device: not 32 hexadecimal digits" },
		{ "pending", "locked", "state: neither active nor pending" },
		{ "\"fingerprint\":\"", "\"fingerprint\":\"-", "fingerprint: 20 bytes" },
		{ "\"poll_s\":60", "\"poll_s\":604801", "poll_s: 604801 is not within" },
	};
	static const struct change session[] = {
		{ "abc.DEF", "abc/DEF", "session: characters" },
		{ "abc.DEF_1-2", "", "session: characters" },
		{ "AAEC", "AAE", "key: not the base64 of 32 bytes" },
		{ "\"expires_s\":3600", "\"expires_s\":0", "expires_s: 0 is not within" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(request); i++)
		check_change(GOLDEN "request.json", parse_request, &request[i]);
	for (size_t i = 0; i < ARRAY_SIZE(answer); i++)
		check_change(GOLDEN "answer.json", parse_answer, &answer[i]);
	for (size_t i = 0; i < ARRAY_SIZE(session); i++)
		check_change(GOLDEN "session.json", parse_session, &session[i]);
}

static void only_32_hex_digits_are_a_device(void **state)
{
	assert_true(device_id_is_valid("000102030405060708090a0b0c0d0e0f"));
	assert_false(device_id_is_valid("000102030405060708090A0B0C0D0E0F"));
	assert_false(device_id_is_valid("000102030405060708090a0b0c0d0e0"));
	assert_false(device_id_is_valid("000102030405060708090a0b0c0d0e0f0"));
	assert_false(device_id_is_valid("../../etc"));
	assert_false(device_id_is_valid(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_request_comes_back_byte_for_byte),
		cmocka_unit_test(an_answer_has_the_ids_that_follow_from_the_keys),
		cmocka_unit_test(a_session_comes_back_byte_for_byte),
		cmocka_unit_test(bad_bodies_are_refused_with_the_place),
		cmocka_unit_test(only_32_hex_digits_are_a_device),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
