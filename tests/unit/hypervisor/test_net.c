#include "tests/support/unit.h"

#include "hypervisor/net/filter.h"
#include "hypervisor/net/frame.h"

/* A frame from the guest, built field by field so that each can be made to lie. */
enum { ETH = 14, IP = 20 };

static size_t build(uint8_t out[static 256], uint32_t to, uint8_t proto, const void *body,
		    size_t n)
{
	static const uint8_t macs[12] = { 0x52, 0x55, 10, 0,    2,    2,
					  0x52, 0x54, 0,  0x12, 0x34, 0x56 };

	memset(out, 0, 256);
	memcpy(out, macs, sizeof(macs));
	out[12] = 8;
	out[ETH] = 0x45;
	out[ETH + 2] = (uint8_t)((IP + n) >> 8);
	out[ETH + 3] = (uint8_t)(IP + n);
	out[ETH + 8] = 64;
	out[ETH + 9] = proto;
	out[ETH + 12] = 10, out[ETH + 14] = 2, out[ETH + 15] = 15;
	for (int i = 0; i < 4; i++)
		out[ETH + 16 + i] = (uint8_t)(to >> (24 - 8 * i));
	memcpy(out + ETH + IP, body, n);
	return ETH + IP + n;
}

static size_t build_tcp(uint8_t out[static 256], uint32_t to, uint16_t port)
{
	uint8_t tcp[20] = { 0x80, 0, (uint8_t)(port >> 8), (uint8_t)port };

	return build(out, to, 6, tcp, sizeof(tcp));
}

static size_t build_udp(uint8_t out[static 256], uint32_t to, uint16_t from_port, uint16_t port,
			const void *p, size_t n)
{
	uint8_t udp[128] = { (uint8_t)(from_port >> 8),
			     (uint8_t)from_port,
			     (uint8_t)(port >> 8),
			     (uint8_t)port,
			     0,
			     (uint8_t)(8 + n) };

	memcpy(udp + 8, p, n);
	return build(out, to, 17, udp, 8 + n);
}

static const uint8_t query[] = { 0x12, 0x34, 1,   0,   0,   1,   0,   0,   0,   0,   0, 0,
				 4,    'I',  'm', 'a', 'p', 4,   'a', 'c', 'm', 'e', 7, 'e',
				 'x',  'a',  'm', 'p', 'l', 'e', 0,   0,   1,   0,   1 };

/* From a copy of just these bytes, so that the sanitizer sees whoever reads on. */
static enum frame_kind kind(const uint8_t *p, size_t n)
{
	uint8_t *copy = malloc(n ? n : 1);

	assert_non_null(copy);
	memcpy(copy, p, n);
	enum frame_kind k = frame_read(copy, n).kind;
	free(copy);
	return k;
}

static void tcp_is_read_with_address_and_port(void **state UNUSED)
{
	uint8_t f[256];
	size_t n = build_tcp(f, 0xc0000207, 993);
	struct frame got = frame_read(f, n);

	assert_int_equal(got.kind, FRAME_TCP);
	assert_int_equal(got.ip, 0xc0000207);
	assert_int_equal(got.port, 993);
}

static void every_cut_of_a_frame_is_dropped(void **state UNUSED)
{
	uint8_t f[256];
	size_t n = build_tcp(f, 0xc0000207, 993);

	for (size_t cut = 0; cut < n; cut++)
		assert_int_equal(kind(f, cut), FRAME_DROP);
	n = build_udp(f, NET_DNS, 1000, 53, query, sizeof(query));
	for (size_t cut = 0; cut < n; cut++)
		assert_int_equal(kind(f, cut), FRAME_DROP);
}

static void what_is_not_understood_completely_is_dropped(void **state UNUSED)
{
	uint8_t f[256];
	size_t n = build_tcp(f, 0xc0000207, 993);
	static const struct {
		unsigned at;
		uint8_t value;
	} lies[] = {
		{ 12, 0x86 },      /* IPv6 */
		{ 12, 0x81 },      /* VLAN */
		{ ETH, 0x65 },     /* version 6 in an IPv4 frame */
		{ ETH, 0x44 },     /* header shorter than one */
		{ ETH, 0x4f },     /* options up to behind the end */
		{ ETH + 2, 1 },    /* longer than the frame */
		{ ETH + 6, 0x20 }, /* more fragments */
		{ ETH + 7, 1 },    /* not the first fragment */
		{ ETH + 9, 1 },    /* ICMP */
		{ ETH + 9, 132 },  /* SCTP */
	};

	for (size_t i = 0; i < ARRAY_SIZE(lies); i++) {
		uint8_t keep = f[lies[i].at];

		f[lies[i].at] = lies[i].value;
		assert_int_equal(kind(f, n), FRAME_DROP);
		f[lies[i].at] = keep;
	}
	assert_int_equal(kind(f, n), FRAME_TCP);
	assert_int_equal(kind(f, build_udp(f, 0x08080808, 5000, 53, query, sizeof(query))),
			 FRAME_DROP);
	assert_int_equal(kind(f, build_udp(f, NET_GATEWAY, 5000, 69, "x", 1)), FRAME_DROP);
}

static void lengths_inside_a_frame_are_those_of_its_parts(void **state UNUSED)
{
	static uint8_t big[FRAME_MAX + 1];
	uint8_t f[256];
	size_t n = build_udp(f, NET_DNS, 1000, 53, query, sizeof(query));
	uint8_t *udp = f + ETH + IP, len = 8 + sizeof(query);

	assert_int_equal(kind(f, n), FRAME_DNS);
	for (unsigned bad = 0; bad < 256; bad++) {
		udp[5] = (uint8_t)bad;
		assert_int_equal(kind(f, n), bad >= 8 && bad <= len ? FRAME_DNS : FRAME_DROP);
	}
	/* A header that the IP packet has no room for, with something behind the packet. */
	udp[5] = 8;
	f[ETH + 3] = IP + 8;
	assert_int_equal(kind(f, n), FRAME_DNS);
	f[ETH + 3] = IP + 7;
	assert_int_equal(kind(f, n), FRAME_DROP);
	n = build_tcp(f, 0xc0000207, 993);
	f[ETH + 3]--;
	assert_int_equal(kind(f, n), FRAME_DROP);

	big[12] = 8, big[13] = 6; /* ARP, of any length */
	assert_int_equal(kind(big, FRAME_MAX), FRAME_ARP);
	assert_int_equal(kind(big, FRAME_MAX + 1), FRAME_DROP);
	assert_int_equal(kind(big, ETH), FRAME_ARP);
	assert_int_equal(kind(big, ETH - 1), FRAME_DROP);
}

static void an_answer_fits_a_frame_or_is_refused(void **state UNUSED)
{
	static uint8_t payload[FRAME_MAX];
	CLEANUP(buf_done) struct buf out = BUF_INIT(2 * FRAME_MAX);
	uint8_t f[256];
	struct err e;

	build_udp(f, NET_DNS, 1000, 53, query, sizeof(query));
	assert_fails(frame_answer(&out, f, payload, FRAME_MAX - (ETH + IP + 8) + 1, &e), &e,
		     E_TOO_BIG);
	assert_int_equal(out.n, 0);
	assert_ok(frame_answer(&out, f, payload, FRAME_MAX - (ETH + IP + 8), &e), &e);
	assert_int_equal(out.n, FRAME_MAX);
}

static void a_name_is_answered_to_who_asked(void **state UNUSED)
{
	CLEANUP(buf_done) struct buf message = BUF_INIT(4096), reply = BUF_INIT(4096);
	const uint32_t addrs[] = { 0xc0000207, 0xc0000208 };
	struct dns_query q;
	struct err e;
	uint8_t f[256];
	size_t n = build_udp(f, NET_DNS, 0x1388, 53, query, sizeof(query));
	struct frame got = frame_read(f, n);

	assert_int_equal(got.kind, FRAME_DNS);
	assert_ok(dns_query_parse(&q, got.payload, got.payload_n, &e), &e);
	assert_string_equal(q.name, "imap.acme.example");
	assert_true(q.wants_ipv4);
	assert_ok(dns_answer_encode(&message, &q, got.payload, DNS_OK, addrs, 2, &e), &e);
	assert_ok(frame_answer(&reply, f, message.p, message.n, &e), &e);
	assert_memory_equal(reply.p, f + 6, 6); /* to the card that asked */
	assert_memory_equal(reply.p + ETH + 12, "\x0a\0\2\3", 4);
	assert_memory_equal(reply.p + ETH + 16, "\x0a\0\2\x0f", 4);
	assert_memory_equal(reply.p + ETH + IP, "\0\x35\x13\x88", 4);
	const uint8_t *m = reply.p + ETH + IP + 8;
	assert_memory_equal(m, "\x12\x34\x81\x80\0\1\0\2\0\0\0\0", 12);
	assert_memory_equal(m + sizeof(query), "\xc0\x0c\0\1\0\1\0\0\0\x1e\0\4\xc0\0\2\7", 16);
	assert_int_equal(message.n, sizeof(query) + 32);
}

static void every_damaged_query_is_refused_or_read_safely(void **state UNUSED)
{
	uint8_t bad[sizeof(query)];
	struct dns_query q;
	struct err e;

	for (size_t cut = 0; cut < sizeof(query); cut++)
		assert_false(dns_query_parse(&q, query, cut, &e));
	for (size_t bit = 0; bit < sizeof(query) * 8; bit++) {
		memcpy(bad, query, sizeof(query));
		flip_bit(bad, bit);
		if (dns_query_parse(&q, bad, sizeof(bad), &e))
			assert_true(q.question_n <= sizeof(query) - 12 &&
				    strlen(q.name) <= DNS_NAME_MAX);
	}
	memcpy(bad, query, sizeof(query));
	bad[12] = 0xc0; /* a compression pointer */
	assert_false(dns_query_parse(&q, bad, sizeof(bad), &e));
}

static bool reads(uint8_t *p, size_t n)
{
	struct dns_query q;
	struct err e;

	return dns_query_parse(&q, p, n, &e);
}

static void only_one_plain_question_is_one(void **state UNUSED)
{
	uint8_t bad[sizeof(query)];

	for (unsigned flags = 0; flags < 256; flags++) {
		memcpy(bad, query, sizeof(query));
		bad[2] = (uint8_t)flags; /* 0x80: an answer; 0x78: another kind of request */
		assert_int_equal(reads(bad, sizeof(bad)), (flags & 0xf8) == 0);
	}
	for (unsigned questions = 0; questions < 3; questions++) {
		memcpy(bad, query, sizeof(query));
		bad[5] = (uint8_t)questions;
		assert_int_equal(reads(bad, sizeof(bad)), questions == 1);
	}
}

static void a_name_has_letters_of_names_only(void **state UNUSED)
{
	uint8_t q[sizeof(query)];
	struct dns_query got;
	struct err e;

	for (unsigned c = 0; c < 256; c++) {
		bool upper = c >= 'A' && c <= 'Z';
		bool good = upper || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
			    c == '-' || c == '_';

		memcpy(q, query, sizeof(query));
		q[13] = (uint8_t)c;
		assert_int_equal(dns_query_parse(&got, q, sizeof(q), &e), good);
		if (good)
			assert_int_equal(got.name[0], upper ? c + 32 : c);
	}
}

/* Four labels, of which the last ends where a name may just end, or one later. */
static void a_name_is_as_long_as_names_may_be(void **state UNUSED)
{
	static const uint8_t labels[][4] = { { 63, 63, 63, 61 },
					     { 63, 63, 63, 62 },
					     { 64, 1, 1, 1 } };

	for (size_t i = 0; i < ARRAY_SIZE(labels); i++) {
		uint8_t q[12 + 4 * 65 + 5] = { 0, 0, 1, 0, 0, 1 };
		size_t at = 12;

		for (size_t k = 0; k < 4; k++) {
			q[at++] = labels[i][k];
			memset(q + at, 'a', labels[i][k]);
			at += labels[i][k];
		}
		at += 5; /* the end, type and class */
		assert_int_equal(reads(q, at), i == 0);
	}
}

static void rules_and_open_addresses_are_counted(void **state UNUSED)
{
	static struct filter f;
	uint32_t addr = 0xc0000207;
	struct err e;

	memset(&f, 0, sizeof(f));
	for (unsigned i = 0; i < FILTER_RULES_MAX; i++)
		assert_ok(filter_add_rule(&f, "imap.acme.example:993", &e), &e);
	assert_fails(filter_add_rule(&f, "imap.acme.example:993", &e), &e, E_TOO_BIG);
	assert_int_equal(f.n_rules, FILTER_RULES_MAX);
	/* One entry, however often it is asked for: a guest cannot push others out by asking. */
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(filter_open_name(&f, "imap.acme.example", &addr, 1), 1);
	assert_int_equal(f.n_open, 1);
}

static void only_the_ports_of_the_rules_open_and_only_when_asked_for(void **state UNUSED)
{
	static struct filter f;
	uint32_t addrs[] = { 0xc0000207, 0xc0000208 };
	struct err e;

	memset(&f, 0, sizeof(f));
	assert_ok(filter_add_rule(&f, "imap.acme.example:993", &e), &e);
	assert_ok(filter_add_rule(&f, "imap.acme.example:587", &e), &e);
	assert_ok(filter_add_rule(&f, "192.0.2.99:443", &e), &e);
	assert_true(filter_allows(&f, 0xc0000263, 443));
	assert_false(filter_allows(&f, 0xc0000263, 80));
	assert_false(filter_allows(&f, 0xc0000207, 993));
	assert_true(filter_knows_name(&f, "imap.acme.example"));
	assert_false(filter_knows_name(&f, "acme.example"));
	assert_int_equal(filter_open_name(&f, "imap.acme.example", addrs, 2), 2);
	assert_true(filter_allows(&f, 0xc0000207, 993));
	assert_true(filter_allows(&f, 0xc0000208, 587));
	assert_false(filter_allows(&f, 0xc0000208, 22));
	assert_fails(filter_add_rule(&f, "no-port", &e), &e, E_FORMAT);
}

static void the_handset_itself_is_never_reachable(void **state UNUSED)
{
	static struct filter f;
	uint32_t addrs[] = { 0x7f000001, 0xa9fe0101,  0x00000000, 0xe0000001,
			     0xffffffff, NET_GATEWAY, 0xc0000207 };
	struct err e;

	memset(&f, 0, sizeof(f));
	assert_ok(filter_add_rule(&f, "rebind.example:80", &e), &e);
	assert_ok(filter_add_rule(&f, "127.0.0.1:80", &e), &e);
	assert_ok(filter_add_rule(&f, "10.0.2.2:80", &e), &e);
	assert_int_equal(filter_open_name(&f, "rebind.example", addrs, ARRAY_SIZE(addrs)), 1);
	assert_int_equal(addrs[0], 0xc0000207);
	assert_int_equal(f.n_open, 1);
}

static void a_name_with_endless_addresses_costs_a_bounded_table(void **state UNUSED)
{
	static struct filter f;
	struct err e;

	memset(&f, 0, sizeof(f));
	assert_ok(filter_add_rule(&f, "many.example:80", &e), &e);
	for (uint32_t i = 0; i < 3 * FILTER_OPEN_MAX; i++) {
		uint32_t addr = 0xc6336400 + i;

		filter_open_name(&f, "many.example", &addr, 1);
		assert_true(filter_allows(&f, addr, 80));
	}
	assert_int_equal(f.n_open, FILTER_OPEN_MAX);
	assert_false(filter_allows(&f, 0xc6336400, 80));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(tcp_is_read_with_address_and_port),
		cmocka_unit_test(every_cut_of_a_frame_is_dropped),
		cmocka_unit_test(what_is_not_understood_completely_is_dropped),
		cmocka_unit_test(a_name_is_answered_to_who_asked),
		cmocka_unit_test(every_damaged_query_is_refused_or_read_safely),
		cmocka_unit_test(lengths_inside_a_frame_are_those_of_its_parts),
		cmocka_unit_test(an_answer_fits_a_frame_or_is_refused),
		cmocka_unit_test(only_one_plain_question_is_one),
		cmocka_unit_test(a_name_has_letters_of_names_only),
		cmocka_unit_test(a_name_is_as_long_as_names_may_be),
		cmocka_unit_test(rules_and_open_addresses_are_counted),
		cmocka_unit_test(only_the_ports_of_the_rules_open_and_only_when_asked_for),
		cmocka_unit_test(the_handset_itself_is_never_reachable),
		cmocka_unit_test(a_name_with_endless_addresses_costs_a_bounded_table),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
