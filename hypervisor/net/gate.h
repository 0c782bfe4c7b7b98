/* hypervisor/net/gate.h - the process between the guest's network card and the world.
 *
 * The engine has no network at all (its namespace is empty).  Its card is one end of a stream
 * socket; at the other end sits the gate: a process of its own, without files of ours, that
 * passes on what the filter allows and drops the rest.
 *
 *	guest ── virtio-net ── engine ── socket ── gate: frame_read → filter → libslirp ── TCP
 *
 * ARP and DHCP are answered by libslirp, DNS by the gate itself (hypervisor/net/dns.h), TCP goes on only
 * to allowed addresses.  There is no UDP, no ICMP, no IPv6, and no way in.
 *
 * Framing on the socket: 4 bytes length, big endian, then the frame (QEMU's `-netdev socket`). */
#ifndef VALISE_HYPERVISOR_NET_GATE_H
#define VALISE_HYPERVISOR_NET_GATE_H

#include "hypervisor/net/filter.h"

#include <sys/types.h>

/* Forks the gate; it ends when the other end of `frames` (borrowed) closes, and with the calling
 * process.  Run as root it becomes `nobody` first. */
bool gate_start(pid_t *ret_pid, int frames, const struct filter *filter,
		struct err *e) MUST_USE;

#endif
