/*
 * portmap.h - tell rpcbind where the NFS program is (RFC 5665). libtirpc's calls wait for an answer: before
 * the loops start and after they have ended.
 */
#ifndef SEALNFS_SERVER_PORTMAP_H
#define SEALNFS_SERVER_PORTMAP_H

#include <stdint.h>

/* Register NFS version 4 over TCP, IPv4 and IPv6. 0, or -ENOENT when no rpcbind answers: clients that know
 * the port do not need it. */
int portmap_register(uint16_t port);
void portmap_unregister(void);

#endif
