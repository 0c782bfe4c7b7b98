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

static enum frame_kind kind(const uint8_t *p, size_t n)
{
	return frame_read(p, n).kind;
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
		cmocka_unit_test(only_the_ports_of_the_rules_open_and_only_when_asked_for),
		cmocka_unit_test(the_handset_itself_is_never_reachable),
		cmocka_unit_test(a_name_with_endless_addresses_costs_a_bounded_table),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
