/*
 * Opening and closing sessions: who we are to the server, what the options say, what callbacks lead
 * to. See sealio.h.
 */
#include "client/device.h"
#include "client/layout.h"
#include "client/net/transport.h"
#include "client/session_impl.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

static nfsstat4 cb_layout_recall(void *arg, const CB_LAYOUTRECALL4args *args)
{
    return sealio_layouts_recall(arg, args);
}

static void cb_device_changed(void *arg, const struct nfs4_device_notify *change)
{
    sealio_volumes_forget(arg, change->device_id);
}

static void cb_recall_any(void *arg, uint32_t keep)
{
    sealio_layouts_trim(arg, keep);
}

static bool cb_is_pending(void *arg, const sessionid4 sessionid, uint32_t slot, uint32_t sequence)
{
    struct sealio_session *session = arg;
    pthread_mutex_lock(&session->lock);
    const bool pending = memcmp(sessionid, session->sessionid, NFS4_SESSIONID_SIZE) == 0 &&
                         slot < session->slot_count && session->slots[slot].busy &&
                         sequence == session->slots[slot].sequence + 1;
    pthread_mutex_unlock(&session->lock);
    return pending;
}

/* co_ownerid must name this instance and no other (RFC 8881 section 2.4): host, process, and
 * chance. */
static int make_identity(struct sealio_session *session)
{
    struct {
        uint64_t verifier, unique;
    } chance;
    authsys_parms parms = {.uid = geteuid(), .gid = getegid()};
    char name[RPC_MAX_MACHINE_NAME + 1] = "";
    gid_t groups[1024];
    if (getrandom(&chance, sizeof(chance), 0) != sizeof(chance))
        return -EIO;
    gethostname(name, sizeof(name) - 1);
    memcpy(session->verifier, &chance.verifier, NFS4_VERIFIER_SIZE);
    int n = snprintf((char *)session->owner, sizeof(session->owner), "sealio %.24s %ld %016llx",
                     name, (long)getpid(), (unsigned long long)chance.unique);
    session->owner_len = (uint32_t)n;
    int count = getgroups((int)(sizeof(groups) / sizeof(groups[0])), groups);
    for (int i = 0; i < count && parms.gids_count < RPC_MAX_GIDS; i++)
        parms.gids[parms.gids_count++] = groups[i];
    parms.machinename = xdr_bytes_of(name);
    return rpc_authsys_cred(&parms, session->cred_body, sizeof(session->cred_body), &session->cred)
               ? 0
               : -EINVAL;
}

static int copy_options(struct sealio_session *session, const char *host, uint16_t port,
                        const struct sealio_options *options)
{
    static const struct sealio_options defaults;
    if (!options)
        options = &defaults;
    if (strlen(host) >= sizeof(session->host))
        return -ENAMETOOLONG;
    strcpy(session->host, host);
    session->port = port;
    session->layouts_wanted = options->layouts;
    session->timeout_ms = options->timeout_ms ? options->timeout_ms : SEALIO_DEFAULT_TIMEOUT_MS;
    session->direct_timeout_ms =
        options->direct_timeout_ms ? options->direct_timeout_ms : SEALIO_DEFAULT_DIRECT_MS;
    session->on_recall = options->on_recall;
    session->on_recall_arg = options->on_recall_arg;
    session->lease_ms = SEALIO_DEFAULT_LEASE_MS;
    if (options->device_count == 0)
        return 0;
    session->devices = calloc(options->device_count, sizeof(*session->devices));
    if (!session->devices)
        return -ENOMEM;
    for (; session->device_count < options->device_count; session->device_count++) {
        session->devices[session->device_count] = strdup(options->devices[session->device_count]);
        if (!session->devices[session->device_count])
            return -ENOMEM;
    }
    return 0;
}

static void free_session(struct sealio_session *session)
{
    if (session->channel) {
        sealio_channel_close(session->channel);
        sealio_channel_unref(session->channel);
    }
    sealio_layouts_free(session);
    sealio_volumes_free(session);
    sealio_backchannel_free(session->backchannel);
    for (size_t i = 0; i < session->device_count; i++)
        free(session->devices[i]);
    free(session->devices);
    pthread_cond_destroy(&session->changed);
    pthread_mutex_destroy(&session->lock);
    pthread_mutex_destroy(&session->error_lock);
    pthread_mutex_destroy(&session->buffers_lock);
    free(session);
}

int sealio_session_open(const char *host, uint16_t port, const struct sealio_options *options,
                        char *error, struct sealio_session **out)
{
    struct sealio_session *session = calloc(1, sizeof(*session));
    if (!session)
        return -ENOMEM;
    pthread_mutex_init(&session->lock, NULL);
    pthread_mutex_init(&session->error_lock, NULL);
    pthread_mutex_init(&session->buffers_lock, NULL);
    pthread_cond_init(&session->changed, NULL);
    const struct sealio_cb_owner owner = {session, cb_layout_recall, cb_device_changed,
                                          cb_recall_any, cb_is_pending};
    session->need_session = session->need_client = true;
    session->state = SESSION_RECOVERING;
    int rc = copy_options(session, host, port, options);
    if (rc == 0)
        rc = make_identity(session);
    if (rc == 0)
        rc = sealio_backchannel_create(&owner, &session->backchannel);
    if (rc == 0)
        rc = sealio_session_restore(session, sealio_now_ms() + session->timeout_ms);
    if (rc == 0) {
        pthread_mutex_lock(&session->lock); /* the reader runs */
        session->state = SESSION_READY;
        pthread_mutex_unlock(&session->lock);
        rc = sealio_upkeep_start(session);
    }
    if (rc < 0) {
        if (error)
            sealio_session_error(session, error, SEALIO_ERROR_MAX);
        if (error && !*error)
            snprintf(error, SEALIO_ERROR_MAX, "%s", strerror(-rc));
        free_session(session);
        return rc;
    }
    *out = session;
    return 0;
}

enum { CLOSE_MS = 5000 };

void sealio_session_close(struct sealio_session *session)
{
    if (!session)
        return;
    sealio_upkeep_stop(session);
    pthread_mutex_lock(&session->lock);
    const bool ready = session->state == SESSION_READY;
    session->state = SESSION_CLOSED;
    pthread_cond_broadcast(&session->changed);
    pthread_mutex_unlock(&session->lock);
    if (ready)
        sealio_wire_destroy(session, sealio_now_ms() + CLOSE_MS);
    free_session(session);
}
