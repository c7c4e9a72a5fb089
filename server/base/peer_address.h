/*
 * peer_address.h - where a request comes from: all that is known of an AUTH_SYS client but its
 * word.
 */
#ifndef SEALNFS_SERVER_BASE_PEER_ADDRESS_H
#define SEALNFS_SERVER_BASE_PEER_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

struct peer_address {
    struct in6_addr host; /* IPv4-mapped for IPv4 */
    bool reserved;        /* its port is one that only the machine's root can have (below 1024) */
};

/* What counts as one peer: the address; of IPv6 the /64, for whoever has one there has them all,
 * but where all machines have the same one. */
static inline struct in6_addr peer_address_net(const struct peer_address *peer)
{
    struct in6_addr net = peer->host;
    if (!IN6_IS_ADDR_V4MAPPED(&net) && !IN6_IS_ADDR_LINKLOCAL(&net) && !IN6_IS_ADDR_LOOPBACK(&net))
        memset(&net.s6_addr[8], 0, 8);
    return net;
}

/* A number for it, never 0; another one for each of IPv4. */
static inline uint64_t peer_address_number(const struct peer_address *peer)
{
    const struct in6_addr net = peer_address_net(peer);
    uint64_t halves[2];
    memcpy(halves, &net, sizeof(halves));
    const uint64_t number = halves[0] ^ halves[1];
    return number ? number : 1;
}

#endif
