/*
 * portmap.c - see portmap.h. rpcbind is asked over its local socket only, and only if that socket
 * is there. The thread owns the registration; whoever of it and the server is last frees the
 * memory.
 */
#include "server/net/portmap.h"

#include <errno.h>
#include <netconfig.h>
#include <netinet/in.h>
#include <pthread.h>
#include <rpc/rpc.h>
#include <rpc/rpcb_clnt.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "proto/nfs4/nfs4.h"
#include "server/base/confine.h"
#include "server/base/log.h"

enum { LEAVE_SECONDS = 2 }; /* the end of the server waits so long for rpcbind */

struct portmap {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint16_t port;
    bool leaving; /* the server is going */
    bool done;    /* the thread is */
};

static bool rpcbind_is_there(void)
{
    return access("/run/rpcbind.sock", F_OK) == 0 || access("/var/run/rpcbind.sock", F_OK) == 0;
}

static bool register_netid(const char *netid, struct sockaddr *addr, socklen_t len)
{
    struct netconfig *conf = getnetconfigent(netid);
    if (!conf)
        return false;
    struct netbuf buf = {.buf = addr, .len = len, .maxlen = len};
    rpcb_unset(NFS4_PROGRAM, NFS_V4, conf);
    bool ok = rpcb_set(NFS4_PROGRAM, NFS_V4, conf, &buf);
    freenetconfigent(conf);
    return ok;
}

static bool register_port(uint16_t port)
{
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons(port)};
    struct sockaddr_in6 in6 = {
        .sin6_family = AF_INET6, .sin6_port = htons(port), .sin6_addr = in6addr_any};
    bool ok = register_netid("tcp", (struct sockaddr *)&in, sizeof(in));
    ok = register_netid("tcp6", (struct sockaddr *)&in6, sizeof(in6)) || ok;
    if (ok)
        log_info("registered with rpcbind");
    else
        log_warning("rpcbind does not take the registration; NFSv4 clients do not need it");
    return ok;
}

static void unregister_port(void)
{
    static const char *const netids[] = {"tcp", "tcp6"};
    for (unsigned i = 0; i < 2; i++) {
        struct netconfig *conf = getnetconfigent(netids[i]);
        if (!conf)
            continue;
        rpcb_unset(NFS4_PROGRAM, NFS_V4, conf);
        freenetconfigent(conf);
    }
}

static void portmap_free(struct portmap *portmap)
{
    pthread_cond_destroy(&portmap->changed);
    pthread_mutex_destroy(&portmap->lock);
    free(portmap);
}

static void *portmap_main(void *arg)
{
    struct portmap *portmap = arg;
    pthread_setname_np(pthread_self(), "portmap");
    confine_thread(CONFINE_HELPER);
    bool registered = register_port(portmap->port);
    pthread_mutex_lock(&portmap->lock);
    while (!portmap->leaving)
        pthread_cond_wait(&portmap->changed, &portmap->lock);
    pthread_mutex_unlock(&portmap->lock);
    if (registered)
        unregister_port();
    pthread_mutex_lock(&portmap->lock);
    bool last = portmap->done;
    portmap->done = true;
    pthread_cond_signal(&portmap->changed);
    pthread_mutex_unlock(&portmap->lock);
    if (last)
        portmap_free(portmap);
    return NULL;
}

static int make_conditions(struct portmap *portmap)
{
    pthread_condattr_t attr;
    int err = pthread_condattr_init(&attr);
    if (err != 0)
        return -err;
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    err = pthread_cond_init(&portmap->changed, &attr);
    pthread_condattr_destroy(&attr);
    if (err != 0)
        return -err;
    pthread_mutex_init(&portmap->lock, NULL);
    return 0;
}

int portmap_start(uint16_t port, struct portmap **out)
{
    if (!rpcbind_is_there())
        return -ENOENT;
    struct portmap *portmap = calloc(1, sizeof(*portmap));
    if (!portmap)
        return -ENOMEM;
    portmap->port = port;
    pthread_t thread;
    int err = make_conditions(portmap);
    if (err < 0) {
        free(portmap);
        return err;
    }
    err = pthread_create(&thread, NULL, portmap_main, portmap);
    if (err != 0) {
        portmap_free(portmap);
        return -err;
    }
    pthread_detach(thread);
    *out = portmap;
    return 0;
}

void portmap_stop(struct portmap *portmap)
{
    struct timespec end;
    if (!portmap)
        return;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += LEAVE_SECONDS;
    pthread_mutex_lock(&portmap->lock);
    portmap->leaving = true;
    pthread_cond_signal(&portmap->changed);
    int err = 0;
    while (!portmap->done && err == 0)
        err = pthread_cond_timedwait(&portmap->changed, &portmap->lock, &end);
    bool last = portmap->done;
    portmap->done = true;
    pthread_mutex_unlock(&portmap->lock);
    if (last)
        portmap_free(portmap);
    else
        log_warning("rpcbind does not answer: it keeps our registration");
}
