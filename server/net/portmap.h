/*
 * portmap.h - tell rpcbind where the NFS program is (RFC 5665), from a thread of its own:
 * libtirpc's calls wait up to a minute for an rpcbind that hangs, and neither the start nor the end
 * of the server waits for that.
 */
#ifndef SEALNFS_SERVER_NET_PORTMAP_H
#define SEALNFS_SERVER_NET_PORTMAP_H

#include <stdint.h>

struct portmap;

/* Registers NFS version 4 over TCP, IPv4 and IPv6, meanwhile. -ENOENT: there is no rpcbind; clients
 * that know the port do not need it. */
int portmap_start(uint16_t port, struct portmap **out);
/* Takes the registration back; an rpcbind that hangs keeps it. NULL is fine. */
void portmap_stop(struct portmap *portmap);

#endif
