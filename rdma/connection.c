/*
 * Connections of clients: admitted in their protection domain, broken, ended. See rdma_private.h.
 *
 * A connection is linked in its peer or belongs to who took it out: the dispatching thread, or a
 * fence. An id is destroyed only after its event was acked, because rdma_destroy_id waits for that.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rdma/rdma_private.h"

int rdma_connection_close(const struct rdma_verbs *verbs, struct rdma_connection *connection)
{
    struct rdma_cm_id *id = connection->id;
    int err = id->qp ? verbs->destroy_qp(id->qp) : 0;

    if (err)
        return err > 0 ? -err : -errno;
    id->qp = NULL;
    (void)verbs->destroy_id(id);
    free(connection);
    return 0;
}

static struct rdma_peer *find_peer(const struct rdma_target *target, uint64_t number)
{
    struct rdma_peer *peer = target->peers;

    while (peer && peer->number != number)
        peer = peer->next;
    return peer;
}

/* With the mutex. A hello that is admitted is used up, whatever becomes of its connection. */
static enum rdma_admission judge(struct rdma_target *target, const uint8_t data[RDMA_HELLO_SIZE],
                                 const rdma_hello4 *hello, struct rdma_peer **out)
{
    struct rdma_peer *peer = find_peer(target, hello->rhe_peer);

    if (!peer || peer->over)
        return RDMA_UNKNOWN_PEER;
    if (!rdma_hello_is_by(peer->secret, data))
        return RDMA_WRONG_TAG;
    if (hello->rhe_counter <= peer->last_counter)
        return RDMA_REPLAYED;
    peer->last_counter = hello->rhe_counter;
    if (!peer->has_lease)
        return RDMA_NO_LEASE;
    *out = peer;
    return RDMA_ADMITTED;
}

/* With the mutex. False: it is not there. */
static bool unlink_connection(struct rdma_connection *connection)
{
    struct rdma_connection **at = &connection->peer->connections;

    while (*at && *at != connection)
        at = &(*at)->next;
    if (!*at)
        return false;
    *at = connection->next;
    connection->peer->target->counters.connections--;
    return true;
}

bool rdma_connection_remove(struct rdma_connection *connection)
{
    if (connection->peer->over || !unlink_connection(connection))
        return false;
    connection->peer->busy_connections++;
    return true;
}

/* With the mutex: the one that came first, to be ended. NULL: none is there to be. */
static struct rdma_connection *remove_oldest(struct rdma_peer *peer)
{
    struct rdma_connection *oldest = peer->connections;

    while (oldest && oldest->next)
        oldest = oldest->next;
    return oldest && rdma_connection_remove(oldest) ? oldest : NULL;
}

/*
 * With the mutex. The hello has proved that it is the client: that its places are taken is most
 * often by connections whose end the server has not heard of, so the oldest gives way. *leaving:
 * the caller's to end, before there is a new one.
 */
static enum rdma_admission take_place(struct rdma_target *target, struct rdma_peer *peer,
                                      struct rdma_connection **leaving)
{
    if (peer->connections_count >= target->peer_connections) {
        *leaving = remove_oldest(peer);
        if (!*leaving)
            return RDMA_TOO_MANY;
    }
    peer->connections_count++;
    peer->busy_connections++;
    return RDMA_ADMITTED;
}

static enum rdma_admission admit(struct rdma_target *target, const struct rdma_conn_param *param,
                                 struct rdma_peer **peer, struct rdma_connection **leaving)
{
    enum rdma_admission admission;
    rdma_hello4 hello;
    int err = rdma_hello_decode(
        (struct xdr_bytes){param->private_data, param->private_data ? param->private_data_len : 0},
        &hello);

    pthread_mutex_lock(&target->mutex);
    if (err)
        admission = err == -EPROTONOSUPPORT ? RDMA_OTHER_VERSION : RDMA_NOT_A_HELLO;
    else
        admission = judge(target, param->private_data, &hello, peer);
    if (admission == RDMA_ADMITTED)
        admission = take_place(target, *peer, leaving);
    pthread_mutex_unlock(&target->mutex);
    return admission;
}

static int set_up(struct rdma_target *target, struct rdma_peer *peer, struct rdma_cm_id *id,
                  const struct rdma_conn_param *asked)
{
    struct ibv_qp_init_attr attr = {
        .qp_type = IBV_QPT_RC,
        .send_cq = target->cq,
        .recv_cq = target->cq,
        .cap = {.max_send_wr = 1, .max_recv_wr = 1, .max_send_sge = 1, .max_recv_sge = 1},
    };
    struct rdma_conn_param param = {.rnr_retry_count = 7};

    /* What the client wants to have in flight is called responder_resources on this side. */
    param.responder_resources =
        (uint8_t)(asked->responder_resources < target->read_depth ? asked->responder_resources
                                                                  : target->read_depth);
    if (target->verbs->create_qp(id, peer->pd, &attr) != 0)
        return -errno;
    return target->verbs->accept(id, &param) == 0 ? 0 : -errno;
}

/* With the mutex. */
static void link_connection(struct rdma_connection *connection)
{
    connection->next = connection->peer->connections;
    connection->peer->connections = connection;
    connection->peer->target->counters.connections++;
}

/* Ends what began with busy_connections. A queue pair that could not be destroyed stays for the
 * fence to see.
 */
static void settle(struct rdma_target *target, struct rdma_peer *peer, struct rdma_connection *left)
{
    pthread_mutex_lock(&target->mutex);
    if (left)
        link_connection(left);
    else
        peer->connections_count--;
    peer->busy_connections--;
    pthread_cond_broadcast(&target->changed);
    pthread_mutex_unlock(&target->mutex);
}

static void refuse(struct rdma_target *target, struct rdma_cm_id *id, rdma_refusal4 refusal)
{
    const rdma_refused4 refused = {.rre_version = RDMA_LAYOUT_VERSION, .rre_why = refusal};
    uint8_t data[RDMA_REFUSED_SIZE];
    struct xdr_out out;

    xdr_out_init(&out, data, sizeof data);
    (void)rdma_refused_encode(&out, &refused);
    (void)target->verbs->reject(id, data, sizeof data);
}

static void count(struct rdma_target *target, enum rdma_admission admission, bool gave_way)
{
    pthread_mutex_lock(&target->mutex);
    target->counters.admissions[admission]++;
    target->counters.gave_way += gave_way;
    pthread_mutex_unlock(&target->mutex);
}

/* The event has made a new id. */
void rdma_connection_request(struct rdma_target *target, struct rdma_cm_event *event)
{
    struct rdma_cm_id *id = event->id;
    struct rdma_conn_param asked = event->param.conn;
    struct rdma_connection *connection = NULL, *leaving = NULL;
    struct rdma_peer *peer = NULL;
    enum rdma_admission admission = admit(target, &asked, &peer, &leaving);
    bool left;

    (void)target->verbs->ack_cm_event(event);
    id->context = NULL;
    left = !leaving || rdma_connection_end(target, leaving);
    if (admission == RDMA_ADMITTED && (!left || !(connection = calloc(1, sizeof *connection)))) {
        settle(target, peer, NULL);
        admission = RDMA_TOO_MANY;
    }
    count(target, admission, leaving != NULL && left);
    if (admission != RDMA_ADMITTED) {
        refuse(target, id, rdma_admission_refusal(admission));
        (void)target->verbs->destroy_id(id);
        return;
    }
    *connection = (struct rdma_connection){.peer = peer, .id = id, .serial = ++target->last_serial};
    id->context = connection;
    if (set_up(target, peer, id, &asked) != 0 &&
        rdma_connection_close(target->verbs, connection) == 0)
        connection = NULL;
    settle(target, peer, connection);
}

struct rdma_connection *rdma_connection_take(struct rdma_target *target, struct rdma_cm_id *id)
{
    struct rdma_connection *connection = id->context;

    if (!connection)
        return NULL;
    pthread_mutex_lock(&target->mutex);
    if (!rdma_connection_remove(connection))
        connection = NULL;
    pthread_mutex_unlock(&target->mutex);
    return connection;
}

bool rdma_connection_end(struct rdma_target *target, struct rdma_connection *connection)
{
    struct rdma_peer *peer = connection->peer;
    bool ended = rdma_connection_close(target->verbs, connection) == 0;

    settle(target, peer, ended ? NULL : connection);
    return ended;
}

static struct rdma_connection *connection_of(const struct rdma_target *target,
                                             const struct ibv_qp *qp)
{
    for (struct rdma_peer *peer = target->peers; peer; peer = peer->next)
        for (struct rdma_connection *c = peer->connections; c && !peer->over; c = c->next)
            if (c->id->qp == qp)
                return c;
    return NULL;
}

/* The disconnection makes the event by which the connection ends. */
void rdma_connection_broken(struct rdma_target *target, struct ibv_qp *qp)
{
    struct rdma_connection *connection;

    pthread_mutex_lock(&target->mutex);
    connection = connection_of(target, qp);
    if (connection)
        connection->peer->busy_connections++;
    pthread_mutex_unlock(&target->mutex);
    if (!connection)
        return;
    (void)target->verbs->disconnect(connection->id);
    pthread_mutex_lock(&target->mutex);
    connection->peer->busy_connections--;
    pthread_cond_broadcast(&target->changed);
    pthread_mutex_unlock(&target->mutex);
}
