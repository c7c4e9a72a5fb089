/*
 * The client's verbs, played. See fake_rdma.h.
 */
#include "tests/unit/client/fake_rdma.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "rdma/admission.h"

enum { EVENTS = 16, POSTED = 512 };

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
static struct fake_rdma_state now;
static int fails[FAKE_RDMA_CALLS], depth;
static uint8_t *memory, secret[RDMA_SECRET_SIZE];
static size_t memory_size;
static uint32_t alignment, next_lkey;
static rdma_refusal4 refusal;
static bool no_answer, holding, swallowing, void_keys, in_error;
static enum rdma_cm_event_type instead;
static uint64_t last_counter;
static struct ibv_context context;
static struct rdma_event_channel *channel;
static struct rdma_cm_id *id;
static struct ibv_comp_channel *comp;
static struct {
    struct rdma_cm_event event;
    uint8_t data[RDMA_REFUSED_SIZE];
} events[EVENTS];
static unsigned events_head, events_tail;
struct posted {
    struct ibv_send_wr wr;
    struct ibv_sge sge;
};
static struct posted posted[POSTED];
static struct ibv_wc done[POSTED];
static unsigned posted_count, done_count;

#define LOCKED(statement)                                                                          \
    do {                                                                                           \
        pthread_mutex_lock(&mutex);                                                                \
        statement;                                                                                 \
        pthread_cond_broadcast(&changed);                                                          \
        pthread_mutex_unlock(&mutex);                                                              \
    } while (0)

static void ring(int fd)
{
    const uint64_t one = 1;
    if (write(fd, &one, sizeof(one)) < 0)
        abort();
}

static bool fails_now(enum fake_rdma_call call)
{
    pthread_mutex_lock(&mutex);
    errno = fails[call];
    pthread_mutex_unlock(&mutex);
    return errno != 0;
}

/* ---- the connection manager ---- */

static struct rdma_event_channel *create_event_channel(void)
{
    if (fails_now(FAKE_RDMA_CHANNEL))
        return NULL;
    struct rdma_event_channel *made = calloc(1, sizeof(*made));
    made->fd = eventfd(0, EFD_SEMAPHORE);
    LOCKED(channel = made; events_head = events_tail = 0; now.channels++);
    return made;
}

static void destroy_event_channel(struct rdma_event_channel *old)
{
    LOCKED(channel = NULL; now.channels--);
    close(old->fd);
    free(old);
}

static int create_id(struct rdma_event_channel *on, struct rdma_cm_id **out)
{
    if (fails_now(FAKE_RDMA_ID))
        return -1;
    struct rdma_cm_id *made = calloc(1, sizeof(*made));
    made->channel = on;
    made->verbs = &context;
    LOCKED(id = made; now.ids++);
    *out = made;
    return 0;
}

static int destroy_id(struct rdma_cm_id *old)
{
    LOCKED(id = NULL; now.ids--);
    free(old);
    return 0;
}

/* With the mutex. */
static void tell(enum rdma_cm_event_type type, const void *data, size_t len)
{
    if (no_answer || !channel)
        return;
    events[events_tail % EVENTS].event = (struct rdma_cm_event){.id = id, .event = type};
    if (instead && type != RDMA_CM_EVENT_REJECTED)
        events[events_tail % EVENTS].event.event = instead;
    if (len > 0) {
        memcpy(events[events_tail % EVENTS].data, data, len);
        events[events_tail % EVENTS].event.param.conn.private_data =
            events[events_tail % EVENTS].data;
        events[events_tail % EVENTS].event.param.conn.private_data_len = (uint8_t)len;
    }
    events_tail++;
    ring(channel->fd);
}

static int resolve_addr(struct rdma_cm_id *on, struct sockaddr *to, int timeout_ms)
{
    (void)on, (void)to, (void)timeout_ms;
    if (fails_now(FAKE_RDMA_ADDR))
        return -1;
    LOCKED(tell(RDMA_CM_EVENT_ADDR_RESOLVED, NULL, 0));
    return 0;
}

static int resolve_route(struct rdma_cm_id *on, int timeout_ms)
{
    (void)on, (void)timeout_ms;
    if (fails_now(FAKE_RDMA_ROUTE))
        return -1;
    LOCKED(tell(RDMA_CM_EVENT_ROUTE_RESOLVED, NULL, 0));
    return 0;
}

/* With the mutex: as the server judges. */
static rdma_refusal4 judge(const struct rdma_conn_param *param)
{
    rdma_hello4 hello;
    const rdma_refusal4 told = refusal;
    refusal = 0;
    if (told)
        return told;
    if (rdma_hello_decode((struct xdr_bytes){param->private_data, param->private_data_len},
                          &hello) < 0)
        return RDMA_REFUSED_VERSION;
    if (!rdma_hello_is_by(secret, param->private_data) || hello.rhe_counter <= last_counter)
        return RDMA_REFUSED_NOT_ADMITTED;
    last_counter = hello.rhe_counter;
    return 0;
}

static int connect_to(struct rdma_cm_id *on, struct rdma_conn_param *param)
{
    uint8_t data[RDMA_REFUSED_SIZE];
    struct xdr_out out;
    (void)on;
    if (fails_now(FAKE_RDMA_CONNECT))
        return -1;
    pthread_mutex_lock(&mutex);
    const rdma_refused4 refused = {RDMA_LAYOUT_VERSION, judge(param)};
    if (refused.rre_why) {
        xdr_out_init(&out, data, sizeof(data));
        rdma_refused_encode(&out, &refused);
        now.refused++;
        tell(RDMA_CM_EVENT_REJECTED, data, sizeof(data));
    } else {
        now.connects++;
        tell(RDMA_CM_EVENT_ESTABLISHED, NULL, 0);
    }
    pthread_mutex_unlock(&mutex);
    return 0;
}

static int disconnect(struct rdma_cm_id *on)
{
    (void)on;
    return 0;
}

static int get_cm_event(struct rdma_event_channel *on, struct rdma_cm_event **out)
{
    uint64_t one;
    pthread_mutex_lock(&mutex);
    const bool any = events_head != events_tail;
    if (any) {
        if (read(on->fd, &one, sizeof(one)) < 0)
            abort();
        *out = &events[events_head++ % EVENTS].event;
    }
    pthread_mutex_unlock(&mutex);
    errno = EAGAIN;
    return any ? 0 : -1;
}

static int ack_cm_event(struct rdma_cm_event *event)
{
    (void)event;
    return 0;
}

/* ---- resources ---- */

static int query_device(struct ibv_context *on, struct ibv_device_attr *attr)
{
    (void)on;
    *attr = (struct ibv_device_attr){.max_qp_wr = depth, .max_qp_init_rd_atom = 16};
    return fails_now(FAKE_RDMA_QUERY) ? -1 : 0;
}

#define MAKER(name, type, call, count, arguments)                                                  \
    static struct type *name arguments                                                             \
    {                                                                                              \
        struct type *made = fails_now(call) ? NULL : calloc(1, sizeof(struct type));               \
        if (made)                                                                                  \
            LOCKED(now.count++);                                                                   \
        return made;                                                                               \
    }
#define ENDER(name, type, count)                                                                   \
    static int name(struct type *old)                                                              \
    {                                                                                              \
        LOCKED(now.count--);                                                                       \
        free(old);                                                                                 \
        return 0;                                                                                  \
    }
MAKER(alloc_pd, ibv_pd, FAKE_RDMA_PD, pds, (struct ibv_context * on __attribute__((unused))))
ENDER(dealloc_pd, ibv_pd, pds)
MAKER(create_cq, ibv_cq, FAKE_RDMA_CQ, cqs,
      (struct ibv_context * on __attribute__((unused)), int entries __attribute__((unused)),
       struct ibv_comp_channel *with __attribute__((unused))))
ENDER(destroy_cq, ibv_cq, cqs)

static struct ibv_comp_channel *create_comp_channel(struct ibv_context *on)
{
    (void)on;
    if (fails_now(FAKE_RDMA_COMP))
        return NULL;
    struct ibv_comp_channel *made = calloc(1, sizeof(*made));
    made->fd = eventfd(0, 0);
    LOCKED(comp = made; posted_count = done_count = 0; now.comps++);
    return made;
}

static int destroy_comp_channel(struct ibv_comp_channel *old)
{
    LOCKED(comp = NULL; now.comps--);
    close(old->fd);
    free(old);
    return 0;
}

static int req_notify_cq(struct ibv_cq *cq)
{
    (void)cq;
    return fails_now(FAKE_RDMA_NOTIFY) ? -1 : 0;
}

static int get_cq_event(struct ibv_comp_channel *on)
{
    uint64_t count;
    return read(on->fd, &count, sizeof(count)) < 0 ? -1 : 0;
}

static int create_qp(struct rdma_cm_id *on, struct ibv_pd *pd, struct ibv_qp_init_attr *attr)
{
    (void)pd, (void)attr;
    if (fails_now(FAKE_RDMA_QP))
        return -1;
    on->qp = calloc(1, sizeof(*on->qp));
    LOCKED(in_error = false; now.qps++);
    return 0;
}

static void destroy_qp(struct rdma_cm_id *on)
{
    LOCKED(posted_count = 0; now.qps--);
    free(on->qp);
    on->qp = NULL;
}

static struct ibv_mr *reg_mr(struct ibv_pd *pd, void *address, size_t length, int access)
{
    (void)access;
    if (fails_now(FAKE_RDMA_REG))
        return NULL;
    struct ibv_mr *made = calloc(1, sizeof(*made));
    *made = (struct ibv_mr){.pd = pd, .addr = address, .length = length};
    LOCKED(made->lkey = ++next_lkey; now.mrs++);
    return made;
}
ENDER(dereg_mr, ibv_mr, mrs)

/* ---- operations ---- */

static bool allowed(const struct posted *op)
{
    const uint64_t base = (uintptr_t)memory, at = op->wr.wr.rdma.remote_addr;
    const uint32_t key = op->wr.wr.rdma.rkey;
    return !void_keys && (key == 12 || (key == 11 && op->wr.opcode == IBV_WR_RDMA_READ)) &&
           at >= base && at - base <= memory_size && op->sge.length <= memory_size - (at - base);
}

/* With the mutex: everything that the device has is completed. */
static void work(void)
{
    if (posted_count == 0 || (in_error && swallowing))
        return;
    for (unsigned i = 0; i < posted_count; i++) {
        const struct posted *op = &posted[i];
        void *local = (void *)(uintptr_t)op->sge.addr,
             *remote = (void *)(uintptr_t)op->wr.wr.rdma.remote_addr;
        struct ibv_wc wc = {.wr_id = op->wr.wr_id, .status = IBV_WC_SUCCESS};
        if (in_error) {
            wc.status = IBV_WC_WR_FLUSH_ERR;
        } else if (!allowed(op)) {
            wc.status = IBV_WC_REM_ACCESS_ERR;
            in_error = true;
        } else if (op->wr.opcode == IBV_WR_RDMA_READ) {
            memcpy(local, remote, op->sge.length);
        } else {
            memcpy(remote, local, op->sge.length);
        }
        done[done_count++] = wc;
    }
    posted_count = 0;
    ring(comp->fd);
}

static int poll_cq(struct ibv_cq *cq, int count, struct ibv_wc *wc)
{
    (void)cq;
    pthread_mutex_lock(&mutex);
    const unsigned n = done_count < (unsigned)count ? done_count : (unsigned)count;
    memcpy(wc, done, n * sizeof(*wc));
    memmove(done, done + n, (done_count - n) * sizeof(*done));
    done_count -= n;
    pthread_mutex_unlock(&mutex);
    return (int)n;
}

static int qp_to_error(struct ibv_qp *qp)
{
    (void)qp;
    LOCKED(in_error = true; work());
    return 0;
}

static int post_send(struct ibv_qp *qp, struct ibv_send_wr *wr)
{
    (void)qp;
    if (fails_now(FAKE_RDMA_POST))
        return errno;
    pthread_mutex_lock(&mutex);
    posted[posted_count++] = (struct posted){*wr, wr->sg_list[0]};
    now.reads += wr->opcode == IBV_WR_RDMA_READ;
    now.writes += wr->opcode == IBV_WR_RDMA_WRITE;
    now.misaligned += wr->wr.rdma.remote_addr % alignment != 0;
    if (posted_count > now.most_posted)
        now.most_posted = posted_count;
    if (!holding)
        work();
    pthread_cond_broadcast(&changed);
    pthread_mutex_unlock(&mutex);
    return 0;
}

const struct sealio_verbs fake_rdma_verbs = {
    .create_event_channel = create_event_channel,
    .destroy_event_channel = destroy_event_channel,
    .create_id = create_id,
    .destroy_id = destroy_id,
    .resolve_addr = resolve_addr,
    .resolve_route = resolve_route,
    .connect = connect_to,
    .disconnect = disconnect,
    .get_cm_event = get_cm_event,
    .ack_cm_event = ack_cm_event,
    .query_device = query_device,
    .alloc_pd = alloc_pd,
    .dealloc_pd = dealloc_pd,
    .create_comp_channel = create_comp_channel,
    .destroy_comp_channel = destroy_comp_channel,
    .create_cq = create_cq,
    .destroy_cq = destroy_cq,
    .req_notify_cq = req_notify_cq,
    .get_cq_event = get_cq_event,
    .poll_cq = poll_cq,
    .create_qp = create_qp,
    .destroy_qp = destroy_qp,
    .qp_to_error = qp_to_error,
    .post_send = post_send,
    .reg_mr = reg_mr,
    .dereg_mr = dereg_mr,
};

/* ---- from the test ---- */

void fake_rdma_reset(void *at, size_t size)
{
    pthread_mutex_lock(&mutex);
    memset(&now, 0, sizeof(now));
    memset(fails, 0, sizeof(fails));
    memory = at;
    memory_size = size;
    alignment = 1;
    depth = POSTED;
    next_lkey = 0;
    refusal = 0;
    no_answer = holding = swallowing = void_keys = in_error = false;
    instead = 0;
    last_counter = 0;
    posted_count = done_count = events_head = events_tail = 0;
    pthread_mutex_unlock(&mutex);
}

struct fake_rdma_state fake_rdma_now(void)
{
    pthread_mutex_lock(&mutex);
    const struct fake_rdma_state copy = now;
    pthread_mutex_unlock(&mutex);
    return copy;
}

void fake_rdma_set_secret(const uint8_t key[RDMA_SECRET_SIZE])
{
    LOCKED(memcpy(secret, key, sizeof(secret)));
}

void fake_rdma_set_alignment(uint32_t value)
{
    LOCKED(alignment = value);
}

void fake_rdma_set_depth(int value)
{
    LOCKED(depth = value);
}

void fake_rdma_fail(enum fake_rdma_call call, int error)
{
    LOCKED(fails[call] = error);
}

void fake_rdma_refuse(rdma_refusal4 why)
{
    LOCKED(refusal = why);
}

void fake_rdma_no_answer(bool on)
{
    LOCKED(no_answer = on);
}

void fake_rdma_event_instead(enum rdma_cm_event_type type)
{
    LOCKED(instead = type);
}

void fake_rdma_hold(bool on)
{
    LOCKED(holding = on; if (!on) work());
}

void fake_rdma_swallow(bool on)
{
    LOCKED(swallowing = on);
}

void fake_rdma_void_keys(bool on)
{
    LOCKED(void_keys = on; work());
}

void fake_rdma_hang_up(enum rdma_cm_event_type type)
{
    LOCKED(tell(type, NULL, 0));
}

void fake_rdma_wait_posted(unsigned count)
{
    pthread_mutex_lock(&mutex);
    while (posted_count < count)
        pthread_cond_wait(&changed, &mutex);
    pthread_mutex_unlock(&mutex);
}
