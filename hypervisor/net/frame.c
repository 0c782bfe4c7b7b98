#include "hypervisor/net/frame.h"

#include <string.h>

/* Offsets: Ethernet II; IPv4 (RFC 791) behind it without options; UDP (RFC 768). */
enum { ETH_SIZE = 14, IP_SIZE = 20, UDP_SIZE = 8, TCP_SIZE = 20 };
enum { ETHERTYPE_IPV4 = 0x0800, ETHERTYPE_ARP = 0x0806, PROTO_TCP = 6, PROTO_UDP = 17 };
enum { PORT_DNS = 53, PORT_DHCP_SERVER = 67, PORT_DHCP_CLIENT = 68 };

static uint16_t be16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t be32(const uint8_t *p)
{
	return (uint32_t)be16(p) << 16 | be16(p + 2);
}

static void put_be16(uint8_t *p, uint16_t v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static struct frame drop(void)
{
	return (struct frame){ .kind = FRAME_DROP };
}

static struct frame read_udp(uint32_t ip, const uint8_t *p, size_t n)
{
	if (n < UDP_SIZE || be16(p + 4) < UDP_SIZE || be16(p + 4) > n)
		return drop();
	uint16_t from = be16(p), to = be16(p + 2);
	struct frame f = { .ip = ip,
			   .port = to,
			   .payload = p + UDP_SIZE,
			   .payload_n = (size_t)be16(p + 4) - UDP_SIZE };

	if (ip == NET_DNS && to == PORT_DNS)
		f.kind = FRAME_DNS;
	else if ((ip == UINT32_MAX || ip == NET_GATEWAY) && from == PORT_DHCP_CLIENT &&
		 to == PORT_DHCP_SERVER)
		f.kind = FRAME_DHCP;
	return f.kind == FRAME_DROP ? drop() : f;
}

static struct frame read_ipv4(const uint8_t *p, size_t n)
{
	if (n < IP_SIZE || p[0] >> 4 != 4)
		return drop();
	size_t head = (size_t)(p[0] & 15) * 4, total = be16(p + 2);
	bool fragment = (be16(p + 6) & 0x3fff) != 0; /* more fragments, or an offset */

	if (head < IP_SIZE || total < head || total > n || fragment)
		return drop();
	uint32_t to = be32(p + 16);
	if (p[9] == PROTO_UDP)
		return read_udp(to, p + head, total - head);
	if (p[9] != PROTO_TCP || total - head < TCP_SIZE)
		return drop();
	return (struct frame){ .kind = FRAME_TCP, .ip = to, .port = be16(p + head + 2) };
}

struct frame frame_read(const uint8_t *p, size_t n)
{
	if (n < ETH_SIZE || n > FRAME_MAX)
		return drop();
	switch (be16(p + 12)) {
	case ETHERTYPE_ARP:
		return (struct frame){ .kind = FRAME_ARP };
	case ETHERTYPE_IPV4:
		return read_ipv4(p + ETH_SIZE, n - ETH_SIZE);
	default:
		return drop();
	}
}

/* RFC 1071, of a header: whole words. */
static uint16_t checksum(const uint8_t *p, size_t n)
{
	uint32_t sum = 0;

	for (size_t i = 0; i < n; i += 2)
		sum += be16(p + i);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	return (uint16_t)~sum;
}

bool frame_answer(struct buf *out, const uint8_t *query, const void *payload, size_t n,
		  struct err *e)
{
	const uint8_t *ip = query + ETH_SIZE;
	const uint8_t *udp = ip + (size_t)(ip[0] & 15) * 4;
	uint8_t head[ETH_SIZE + IP_SIZE + UDP_SIZE] = { 0 };
	uint8_t *new_ip = head + ETH_SIZE, *new_udp = new_ip + IP_SIZE;

	if (n > FRAME_MAX - sizeof(head))
		return err_set(e, E_TOO_BIG, "an answer of %zu bytes", n);
	memcpy(head, query + 6, 6);
	memcpy(head + 6, query, 6);
	put_be16(head + 12, ETHERTYPE_IPV4);
	new_ip[0] = 4 << 4 | IP_SIZE / 4;
	put_be16(new_ip + 2, (uint16_t)(IP_SIZE + UDP_SIZE + n));
	new_ip[8] = 64; /* time to live */
	new_ip[9] = PROTO_UDP;
	memcpy(new_ip + 12, ip + 16, 4);
	memcpy(new_ip + 16, ip + 12, 4);
	put_be16(new_ip + 10, checksum(new_ip, IP_SIZE));
	memcpy(new_udp, udp + 2, 2);
	memcpy(new_udp + 2, udp, 2);
	/* The UDP checksum stays 0, "none", which IPv4 allows: nothing between us and the guest
	 * can damage it. */
	put_be16(new_udp + 4, (uint16_t)(UDP_SIZE + n));
	return buf_add(out, head, sizeof(head), e) && buf_add(out, payload, n, e);
}
