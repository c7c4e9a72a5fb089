/*
 * portmap.c - see portmap.h. rpcbind is asked over its local socket only, and only if that socket is there,
 * so that a machine without it does not wait for time-outs.
 */
#include "server/portmap.h"

#include <errno.h>
#include <netconfig.h>
#include <netinet/in.h>
#include <rpc/rpc.h>
#include <rpc/rpcb_clnt.h>
#include <stdbool.h>
#include <sys/un.h>
#include <unistd.h>

#include "proto/nfs4.h"
#include "server/log.h"

static bool rpcbind_is_there(void)
{
    return access("/run/rpcbind.sock", F_OK) == 0 || access("/var/run/rpcbind.sock", F_OK) == 0;
}

static bool set_one(const char *netid, struct sockaddr *addr, socklen_t len)
{
    struct netconfig *conf = getnetconfigent(netid);
    if (conf == NULL)
        return false;
    struct netbuf buf = {.buf = addr, .len = len, .maxlen = len};
    rpcb_unset(NFS4_PROGRAM, NFS_V4, conf);
    bool ok = rpcb_set(NFS4_PROGRAM, NFS_V4, conf, &buf);
    freenetconfigent(conf);
    return ok;
}

int portmap_register(uint16_t port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = in6addr_any};
    if (!rpcbind_is_there())
        return -ENOENT;
    bool ok = set_one("tcp", (struct sockaddr *)&in, sizeof(in));
    ok = set_one("tcp6", (struct sockaddr *)&in6, sizeof(in6)) || ok;
    if (ok)
        log_info("registered with rpcbind");
    else
        log_warning("rpcbind does not take the registration; NFSv4 clients do not need it");
    return ok ? 0 : -ENOENT;
}

void portmap_unregister(void)
{
    static const char *const netids[] = {"tcp", "tcp6"};
    for (unsigned i = 0; i < 2; i++) {
        struct netconfig *conf = getnetconfigent(netids[i]);
        if (conf == NULL)
            continue;
        rpcb_unset(NFS4_PROGRAM, NFS_V4, conf);
        freenetconfigent(conf);
    }
}
