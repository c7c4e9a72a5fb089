/*
 * Whether clients are still there. A queue pair that only answers hears of its client's end by a
 * goodbye, and goodbyes are lost with the link; so the server writes zero bytes to the client's now
 * and then (no memory key is looked at for that, InfiniBand specification C9-88), which the
 * client's queue pair acknowledges or, after the device's own retries, is seen not to. Some devices
 * never give up (soft-RoCE, where the client asks for 7 retries), so there is a patience of our
 * own.
 *
 * One probe of a connection is under way at a time. What comes back of connections that are gone is
 * known by its serial number to belong to nobody.
 */
#include <stddef.h>

#include "rdma/rdma_private.h"

enum { COMPLETIONS = 16 };

static struct rdma_connection *find_probed(const struct rdma_target *target, uint64_t serial)
{
    for (const struct rdma_peer *peer = target->peers; peer; peer = peer->next)
        for (struct rdma_connection *c = peer->connections; c && !peer->over; c = c->next)
            if (c->serial == serial)
                return c;
    return NULL;
}

static void heed(struct rdma_target *target, const struct ibv_wc *wc)
{
    struct rdma_connection *connection;

    pthread_mutex_lock(&target->mutex);
    connection = find_probed(target, wc->wr_id);
    if (connection)
        connection->probed = false;
    if (wc->status == IBV_WC_SUCCESS || (connection && !rdma_connection_remove(connection)))
        connection = NULL;
    if (connection)
        target->counters.dead++;
    pthread_mutex_unlock(&target->mutex);
    if (connection)
        (void)rdma_connection_end(target, connection);
}

/* With the mutex, so that the queue pair stays. A connection that is not up yet refuses it. */
static bool post_probe(struct rdma_target *target, struct rdma_connection *connection)
{
    struct ibv_send_wr probe = {
        .wr_id = connection->serial, .opcode = IBV_WR_RDMA_WRITE, .send_flags = IBV_SEND_SIGNALED};

    connection->round = target->probe_round;
    connection->waited = 0;
    connection->probed = target->verbs->post_send(connection->id->qp, &probe) == 0;
    return connection->probed;
}

static unsigned count_probed(const struct rdma_target *target)
{
    unsigned count = 0;

    for (const struct rdma_peer *peer = target->peers; peer; peer = peer->next)
        for (const struct rdma_connection *c = peer->connections; c; c = c->next)
            count += c->probed;
    return count;
}

/* With the mutex: each connection once, then a new round begins. */
static void post_round(struct rdma_target *target)
{
    unsigned under_way = count_probed(target);

    for (struct rdma_peer *peer = target->peers; peer; peer = peer->next)
        for (struct rdma_connection *c = peer->connections; c && !peer->over; c = c->next) {
            if (c->probed || c->round == target->probe_round)
                continue;
            if (under_way >= RDMA_PROBES)
                return;
            under_way += post_probe(target, c);
        }
    target->probe_round++;
}

/* With the mutex: one whose probe has been under way for too long, to be ended. */
static struct rdma_connection *remove_silent(struct rdma_target *target, unsigned patience)
{
    for (struct rdma_peer *peer = target->peers; peer; peer = peer->next)
        for (struct rdma_connection *c = peer->connections; c && !peer->over; c = c->next)
            if (c->probed && c->waited >= patience && rdma_connection_remove(c))
                return c;
    return NULL;
}

static void count_waiting(struct rdma_target *target)
{
    for (struct rdma_peer *peer = target->peers; peer; peer = peer->next)
        for (struct rdma_connection *c = peer->connections; c; c = c->next)
            c->waited += c->probed;
}

static void end_silent(struct rdma_target *target, unsigned patience)
{
    struct rdma_connection *connection;

    pthread_mutex_lock(&target->mutex);
    count_waiting(target);
    while ((connection = remove_silent(target, patience))) {
        connection->probed = false; /* if it cannot be ended it is tried again later */
        target->counters.dead++;
        pthread_mutex_unlock(&target->mutex);
        (void)rdma_connection_end(target, connection);
        pthread_mutex_lock(&target->mutex);
    }
    pthread_mutex_unlock(&target->mutex);
}

void rdma_target_probe(struct rdma_target *target, unsigned patience)
{
    struct ibv_wc wc[COMPLETIONS];
    int n;

    while ((n = target->verbs->poll_cq(target->cq, COMPLETIONS, wc)) > 0)
        for (int i = 0; i < n; i++)
            heed(target, &wc[i]);
    end_silent(target, patience);
    pthread_mutex_lock(&target->mutex);
    post_round(target);
    pthread_mutex_unlock(&target->mutex);
}
