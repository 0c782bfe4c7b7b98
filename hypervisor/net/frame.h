/* hypervisor/net/frame.h - what an Ethernet frame from the guest wants.  Pure.
 *
 * The guest is hostile: a frame is what it says only as far as every length fits.  Whatever is not
 * understood completely is dropped: VLAN tags, IPv6, fragments (a filter that sees half a header
 * sees nothing), IP options that overlap, other protocols. */
#ifndef VALISE_HYPERVISOR_NET_FRAME_H
#define VALISE_HYPERVISOR_NET_FRAME_H

#include "base/buf.h"

/* The guest's little network, as QEMU's user networking has it.  Host byte order. */
enum { NET_PREFIX = 0x0a000200, NET_MASK = 0xffffff00 }; /* 10.0.2.0/24 */
enum { NET_GATEWAY = 0x0a000202, NET_DNS = 0x0a000203, NET_GUEST = 0x0a00020f };

enum { FRAME_MAX = 65550 };

enum frame_kind {
	FRAME_DROP,
	FRAME_ARP,
	FRAME_DHCP, /* to the gateway or to all */
	FRAME_DNS,  /* a datagram to the name server; `payload` is the query */
	FRAME_TCP,  /* a segment to ip:port */
};

struct frame {
	enum frame_kind kind;
	uint32_t ip; /* destination, host byte order */
	uint16_t port;
	const uint8_t *payload; /* FRAME_DNS; borrowed */
	size_t payload_n;
};

struct frame frame_read(const uint8_t *p, size_t n);

/* The answer to a FRAME_DNS frame: the same addresses and ports the other way round, with the
 * given payload and fresh checksums.  `query` is the frame that was read. */
bool frame_answer(struct buf *out, const uint8_t *query, const void *payload, size_t n,
		  struct err *e) MUST_USE;

#endif
