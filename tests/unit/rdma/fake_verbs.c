/*
 * See fake_verbs.h. One device, a queue of events of each kind.
 */
#include "tests/unit/rdma/fake_verbs.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

enum { EVENTS = 32 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct fake_device now;
static bool hang[FAKE_CALLS], hanging[FAKE_CALLS];
static struct ibv_device device = {.name = "fake0"}, other_device = {.name = "fake1"};
static struct ibv_context context = {.device = &device}, other_context = {.device = &other_device};
static bool bind_to_other;
static uint32_t next_key;
static struct ibv_qp *last_qp;
static struct ibv_mr *last_mr;
static struct {
    struct rdma_cm_event event;
    uint8_t data[256];
} cm_events[EVENTS];
static struct {
    const struct ibv_qp *qp;
    struct ibv_wc wc;
} posted[EVENTS];
static unsigned posted_count;
static struct ibv_wc completed[EVENTS];
static unsigned completed_count;
static struct ibv_async_event async_events[EVENTS];
static unsigned cm_head, cm_tail, async_head, async_tail, unacked;
static int channel_fd;

void fake_reset(void)
{
    pthread_mutex_lock(&mutex);
    memset(&now, 0, sizeof now);
    memset(hang, 0, sizeof hang);
    memset(hanging, 0, sizeof hanging);
    posted_count = completed_count = 0;
    cm_head = cm_tail = async_head = async_tail = unacked = 0;
    bind_to_other = false;
    next_key = 100;
    if (context.async_fd <= 0) {
        context.async_fd = eventfd(0, 0);
        other_context.async_fd = eventfd(0, 0);
    }
    pthread_mutex_unlock(&mutex);
    fake_set_path("/sys");
}

struct fake_device fake_state(void)
{
    struct fake_device copy;

    pthread_mutex_lock(&mutex);
    copy = now;
    pthread_mutex_unlock(&mutex);
    return copy;
}

void fake_fail(enum fake_call call, int error)
{
    pthread_mutex_lock(&mutex);
    now.fail[call] = error;
    now.spare[call] = 0;
    pthread_mutex_unlock(&mutex);
}

void fake_fail_later(enum fake_call call, unsigned spare, int error)
{
    pthread_mutex_lock(&mutex);
    now.fail[call] = error;
    now.spare[call] = spare;
    pthread_mutex_unlock(&mutex);
}

void fake_hang(enum fake_call call)
{
    pthread_mutex_lock(&mutex);
    hang[call] = true;
    pthread_mutex_unlock(&mutex);
}

void fake_release(enum fake_call call)
{
    pthread_mutex_lock(&mutex);
    hang[call] = false;
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
}

void fake_wait_hanging(enum fake_call call)
{
    pthread_mutex_lock(&mutex);
    while (!hanging[call])
        pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
}

void fake_set_on_demand(bool on_demand)
{
    now.on_demand = on_demand;
}

void fake_set_vendor(uint32_t vendor, enum ibv_mtu mtu)
{
    now.vendor = vendor;
    now.mtu = mtu;
}

void fake_set_path(const char *path)
{
    snprintf(device.ibdev_path, sizeof device.ibdev_path, "%s", path);
}

void fake_lose_last(void)
{
    free(last_qp);
    free(last_mr);
    now.qps--;
    now.mrs--;
}

void fake_bind_to_other(void)
{
    bind_to_other = true;
}

/* Traces the call, waits while it hangs, and says whether it fails; with the mutex afterwards. */
static int begin(enum fake_call call, const char *name)
{
    pthread_mutex_lock(&mutex);
    if (strlen(now.trace) + strlen(name) + 2 < sizeof now.trace)
        strcat(strcat(now.trace, name), " ");
    while (hang[call]) {
        hanging[call] = true;
        pthread_cond_broadcast(&changed);
        pthread_cond_wait(&changed, &mutex);
    }
    hanging[call] = false;
    errno = now.spare[call] > 0 ? 0 : now.fail[call];
    now.spare[call] -= now.spare[call] > 0;
    return errno;
}

/* What the call made exists now, or what it ended does not any more. */
static int finish(int error, int *count, int change)
{
    if (!error && count)
        *count += change;
    pthread_mutex_unlock(&mutex);
    errno = error;
    return error ? -1 : 0;
}

static struct rdma_event_channel *create_event_channel(void)
{
    struct rdma_event_channel *channel = NULL;
    int error = begin(FAKE_CREATE_CHANNEL, "create_channel");

    if (!error) {
        channel = calloc(1, sizeof *channel);
        channel->fd = channel_fd = eventfd(0, 0);
    }
    (void)finish(error, &now.channels, 1);
    return channel;
}

static void destroy_event_channel(struct rdma_event_channel *channel)
{
    pthread_mutex_lock(&mutex);
    close(channel->fd);
    channel_fd = 0;
    now.channels--;
    pthread_mutex_unlock(&mutex);
    free(channel);
}

static int create_id(struct rdma_event_channel *channel, struct rdma_cm_id **id, void *arg)
{
    int error = begin(FAKE_CREATE_ID, "create_id");

    if (!error) {
        *id = calloc(1, sizeof **id);
        (*id)->channel = channel;
        (*id)->context = arg;
    }
    return finish(error, &now.ids, 1);
}

/* As the library does, this would wait for events of the id that were not acked. */
static int destroy_id(struct rdma_cm_id *id)
{
    pthread_mutex_lock(&mutex);
    if (unacked > 0 || id->qp)
        abort();
    strcat(now.trace, "destroy_id ");
    now.ids--;
    pthread_mutex_unlock(&mutex);
    free(id);
    return 0;
}

static int bind_addr(struct rdma_cm_id *id, struct sockaddr *address)
{
    int error = begin(FAKE_BIND, "bind");

    (void)address;
    id->verbs = error ? NULL : bind_to_other && now.ids % 2 ? &other_context : &context;
    return finish(error, NULL, 0);
}

static int listen_on(struct rdma_cm_id *id, int backlog)
{
    (void)id;
    (void)backlog;
    return finish(begin(FAKE_LISTEN, "listen"), NULL, 0);
}

/* With the mutex. An event more, or none left. */
static void wake(int fd)
{
    if (fd > 0)
        (void)!write(fd, &(uint64_t){1}, 8);
}

static int nothing_left(int fd)
{
    uint64_t count;
    struct pollfd look = {.fd = fd, .events = POLLIN};

    if (poll(&look, 1, 0) == 1)
        (void)!read(fd, &count, 8);
    errno = EAGAIN;
    return -1;
}

static int get_cm_event(struct rdma_event_channel *channel, struct rdma_cm_event **event)
{
    int rc = 0;

    pthread_mutex_lock(&mutex);
    if (cm_head == cm_tail) {
        rc = nothing_left(channel->fd);
    } else {
        *event = &cm_events[cm_head++].event;
        unacked++;
    }
    pthread_mutex_unlock(&mutex);
    return rc;
}

static int ack_cm_event(struct rdma_cm_event *event)
{
    (void)event;
    unacked--;
    return 0;
}

static int create_qp(struct rdma_cm_id *id, struct ibv_pd *pd, struct ibv_qp_init_attr *attr)
{
    int error = begin(FAKE_CREATE_QP, "create_qp");

    if (!error) {
        id->qp = calloc(1, sizeof *id->qp);
        id->qp->send_cq = attr->send_cq;
        now.pd = pd;
        last_qp = id->qp;
    }
    return finish(error, &now.qps, 1);
}

static int destroy_qp(struct ibv_qp *qp)
{
    int error = begin(FAKE_DESTROY_QP, "destroy_qp");

    if (!error)
        free(qp);
    (void)finish(error, &now.qps, -1);
    return error;
}

static int accept_id(struct rdma_cm_id *id, struct rdma_conn_param *param)
{
    int error = begin(FAKE_ACCEPT, "accept");

    (void)id;
    now.accepted = *param;
    return finish(error, NULL, 0);
}

static int reject(struct rdma_cm_id *id, const void *data, uint8_t len)
{
    (void)id;
    memcpy(now.rejected, data, len);
    now.rejected_len = len;
    return 0;
}

static int disconnect(struct rdma_cm_id *id)
{
    (void)id;
    now.disconnected = true;
    return 0;
}

static int query_device(struct ibv_context *ctx, struct ibv_device_attr_ex *attr)
{
    int error = begin(FAKE_QUERY_DEVICE, "query_device");

    (void)ctx;
    memset(attr, 0, sizeof *attr);
    attr->orig_attr.max_qp_rd_atom = 16;
    attr->orig_attr.vendor_id = now.vendor;
    if (now.on_demand) {
        attr->odp_caps.general_caps = IBV_ODP_SUPPORT;
        attr->odp_caps.per_transport_caps.rc_odp_caps =
            IBV_ODP_SUPPORT_READ | IBV_ODP_SUPPORT_WRITE;
    }
    (void)finish(error, NULL, 0);
    return error;
}

static int query_port(struct ibv_context *ctx, uint8_t port, struct ibv_port_attr *attr)
{
    int error = begin(FAKE_QUERY_PORT, "query_port");

    (void)ctx;
    (void)port;
    if (!error)
        attr->active_mtu = now.mtu;
    (void)finish(error, NULL, 0);
    return error;
}

static int get_async_event(struct ibv_context *ctx, struct ibv_async_event *event)
{
    int rc = 0;

    pthread_mutex_lock(&mutex);
    if (async_head == async_tail)
        rc = nothing_left(ctx->async_fd);
    else
        *event = async_events[async_head++];
    pthread_mutex_unlock(&mutex);
    return rc;
}

static void ack_async_event(struct ibv_async_event *event)
{
    (void)event;
}

static struct ibv_cq *create_cq(struct ibv_context *ctx, int entries)
{
    int error = begin(FAKE_CREATE_CQ, "create_cq");

    (void)ctx;
    (void)entries;
    return finish(error, &now.cqs, 1) ? NULL : calloc(1, sizeof(struct ibv_cq));
}

static int destroy_cq(struct ibv_cq *cq)
{
    free(cq);
    now.cqs--;
    return 0;
}

static struct ibv_pd *alloc_pd(struct ibv_context *ctx)
{
    int error = begin(FAKE_ALLOC_PD, "alloc_pd");

    (void)ctx;
    return finish(error, &now.pds, 1) ? NULL : calloc(1, sizeof(struct ibv_pd));
}

static int dealloc_pd(struct ibv_pd *pd)
{
    int error = begin(FAKE_DEALLOC_PD, "dealloc_pd");

    if (!error)
        free(pd);
    (void)finish(error, &now.pds, -1);
    return error;
}

static struct ibv_mr *reg_mr(struct ibv_pd *pd, void *address, size_t length, int access)
{
    int error = begin(FAKE_REG_MR, "reg_mr");
    struct ibv_mr *mr = NULL;

    if (!error) {
        mr = calloc(1, sizeof *mr);
        *mr = (struct ibv_mr){.pd = pd, .addr = address, .length = length, .rkey = next_key++};
        now.access = access;
        now.registered += length;
        last_mr = mr;
    }
    (void)finish(error, &now.mrs, 1);
    return mr;
}

static int dereg_mr(struct ibv_mr *mr)
{
    int error = begin(FAKE_DEREG_MR, "dereg_mr");

    if (!error) {
        now.registered -= mr->length;
        free(mr);
    }
    (void)finish(error, &now.mrs, -1);
    return error;
}

static int post_send(struct ibv_qp *qp, struct ibv_send_wr *wr)
{
    int error = begin(FAKE_POST_SEND, "post_send");

    if (!error && (wr->num_sge != 0 || wr->opcode != IBV_WR_RDMA_WRITE || posted_count == EVENTS))
        abort();
    if (!error) {
        posted[posted_count].qp = qp;
        posted[posted_count++].wc = (struct ibv_wc){.wr_id = wr->wr_id};
    }
    (void)finish(error, NULL, 0);
    return error;
}

static int poll_cq(struct ibv_cq *cq, int entries, struct ibv_wc *wc)
{
    int taken = 0;

    (void)cq;
    pthread_mutex_lock(&mutex);
    while (taken < entries && completed_count > 0)
        wc[taken++] = completed[--completed_count];
    pthread_mutex_unlock(&mutex);
    return taken;
}

bool fake_complete(const struct ibv_qp *qp, enum ibv_wc_status status)
{
    unsigned i = 0;

    pthread_mutex_lock(&mutex);
    while (i < posted_count && posted[i].qp != qp)
        i++;
    bool found = i < posted_count;
    if (found) {
        completed[completed_count] = posted[i].wc;
        completed[completed_count++].status = status;
        posted[i] = posted[--posted_count];
    }
    pthread_mutex_unlock(&mutex);
    return found;
}

struct rdma_cm_id *fake_request(const void *data, uint8_t len, uint8_t responder_resources)
{
    struct rdma_cm_id *id = calloc(1, sizeof *id);

    id->verbs = &context;
    pthread_mutex_lock(&mutex);
    now.ids++;
    memcpy(cm_events[cm_tail].data, data, len);
    cm_events[cm_tail].event = (struct rdma_cm_event){
        .id = id,
        .event = RDMA_CM_EVENT_CONNECT_REQUEST,
        .param.conn = {.private_data = len ? cm_events[cm_tail].data : NULL,
                       .private_data_len = len,
                       .responder_resources = responder_resources},
    };
    cm_tail++;
    wake(channel_fd);
    pthread_mutex_unlock(&mutex);
    return id;
}

void fake_cm_event(struct rdma_cm_id *id, enum rdma_cm_event_type type)
{
    pthread_mutex_lock(&mutex);
    cm_events[cm_tail++].event = (struct rdma_cm_event){.id = id, .event = type};
    wake(channel_fd);
    pthread_mutex_unlock(&mutex);
}

void fake_async_event(enum ibv_event_type type, struct ibv_qp *qp)
{
    pthread_mutex_lock(&mutex);
    async_events[async_tail++] = (struct ibv_async_event){.element.qp = qp, .event_type = type};
    wake(context.async_fd);
    pthread_mutex_unlock(&mutex);
}

const struct rdma_verbs fake_verbs = {
    .create_event_channel = create_event_channel,
    .destroy_event_channel = destroy_event_channel,
    .create_id = create_id,
    .destroy_id = destroy_id,
    .bind_addr = bind_addr,
    .listen = listen_on,
    .get_cm_event = get_cm_event,
    .ack_cm_event = ack_cm_event,
    .create_qp = create_qp,
    .destroy_qp = destroy_qp,
    .accept = accept_id,
    .reject = reject,
    .disconnect = disconnect,
    .query_device = query_device,
    .query_port = query_port,
    .get_async_event = get_async_event,
    .ack_async_event = ack_async_event,
    .create_cq = create_cq,
    .destroy_cq = destroy_cq,
    .post_send = post_send,
    .poll_cq = poll_cq,
    .alloc_pd = alloc_pd,
    .dealloc_pd = dealloc_pd,
    .reg_mr = reg_mr,
    .dereg_mr = dereg_mr,
};
