/*
 * peer_address.h - where a request comes from: all that is known of an AUTH_SYS client but its
 * word.
 */
#ifndef SEALNFS_SERVER_BASE_PEER_ADDRESS_H
#define SEALNFS_SERVER_BASE_PEER_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>

struct peer_address {
    struct in6_addr host; /* IPv4-mapped for IPv4 */
    bool reserved;        /* its port is one that only the machine's root can have (below 1024) */
};

#endif
