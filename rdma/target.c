/*
 * The listener and its events: see rdma/target.h.
 */
#include "rdma/target.h"

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "rdma/rdma_private.h"

/* AT_ONCE: whoever asks for connections faster than they are refused would keep the thread. */
enum { BACKLOG = 64, AT_ONCE = 16 };

static int complain(char *why, int err, const char *what)
{
    snprintf(why, RDMA_WHY_MAX, "%s: %s", what, strerror(-err));
    return err;
}

static int set_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);

    return flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 ? 0 : -errno;
}

static socklen_t address_size(const struct sockaddr *address)
{
    return address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6)
                                          : sizeof(struct sockaddr_in);
}

static int listen_on(struct rdma_target *target, const struct sockaddr *address, char *why)
{
    struct sockaddr_storage copy = {0};
    struct rdma_cm_id *id;
    char host[64] = "?";

    (void)getnameinfo(address, address_size(address), host, sizeof host, NULL, 0, NI_NUMERICHOST);
    memcpy(&copy, address, address_size(address));
    if (target->verbs->create_id(target->channel, &id, NULL) != 0)
        return complain(why, -errno, "the RDMA connection manager (module rdma_ucm) gives no id");
    target->listeners[target->listeners_count++] = id;
    if (target->verbs->bind_addr(id, (struct sockaddr *)&copy) != 0 || !id->verbs) {
        snprintf(why, RDMA_WHY_MAX, "no RDMA device has the address %s", host);
        return -ENODEV;
    }
    if (target->device && target->device != id->verbs) {
        snprintf(why, RDMA_WHY_MAX, "%s is the address of another RDMA device than the first one",
                 host);
        return -EXDEV;
    }
    target->device = id->verbs;
    if (target->verbs->listen(id, BACKLOG) != 0)
        return complain(why, -errno, "cannot listen on the RDMA address");
    return 0;
}

/*
 * soft-RoCE's on-demand paging loses the offset within a page (docs/rdma-layout.md): it is of use
 * only when every packet begins with a page.
 */
static void learn_soft_roce(struct rdma_target *target)
{
    struct ibv_port_attr port = {.active_mtu = IBV_MTU_256};
    int err = target->verbs->query_port(target->device, target->listeners[0]->port_num, &port);

    if (err || port.active_mtu != IBV_MTU_4096)
        target->on_demand = false;
    target->alignment = 4096;
}

static int learn_device(struct rdma_target *target, char *why)
{
    enum { BOTH = IBV_ODP_SUPPORT_READ | IBV_ODP_SUPPORT_WRITE, SOFT_ROCE = 0xffffff };
    struct ibv_device_attr_ex attr = {.comp_mask = 0};
    int err = target->verbs->query_device(target->device, &attr);
    int depth = attr.orig_attr.max_qp_rd_atom;

    if (err)
        return complain(why, err > 0 ? -err : -errno, "the RDMA device does not describe itself");
    target->on_demand = (attr.odp_caps.general_caps & IBV_ODP_SUPPORT) != 0 &&
                        (attr.odp_caps.per_transport_caps.rc_odp_caps & BOTH) == BOTH;
    target->read_depth = depth > UINT8_MAX ? UINT8_MAX : depth > 0 ? (unsigned)depth : 1;
    target->alignment = 1;
    if (target->on_demand && attr.orig_attr.vendor_id == SOFT_ROCE)
        learn_soft_roce(target);
    return 0;
}

static int open_all(struct rdma_target *target, const struct rdma_target_options *options,
                    char *why)
{
    int err = 0;

    target->channel = target->verbs->create_event_channel();
    if (!target->channel)
        return complain(why, -errno, "the RDMA connection manager (module rdma_ucm) is not there");
    for (unsigned i = 0; !err && i < options->addresses_count; i++)
        err = listen_on(target, options->addresses[i], why);
    if (!err)
        err = learn_device(target, why);
    if (err)
        return err;
    target->cq = target->verbs->create_cq(target->device, 2 * RDMA_PROBES);
    if (!target->cq)
        return complain(why, -errno, "the RDMA device gives no completion queue");
    err = set_nonblocking(target->channel->fd);
    if (!err)
        err = set_nonblocking(target->device->async_fd);
    return err ? complain(why, err, "fcntl") : 0;
}

static void init_condition(pthread_cond_t *condition)
{
    pthread_condattr_t attr;

    pthread_condattr_init(&attr);
    pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &attr);
    pthread_condattr_destroy(&attr);
}

int rdma_target_create(const struct rdma_target_options *options, struct rdma_target **out,
                       char *why)
{
    struct rdma_target *target;
    int err;

    if (options->addresses_count == 0 || options->addresses_count > RDMA_TARGET_MAX_ADDRESSES ||
        options->peer_connections == 0)
        return complain(why, -EINVAL, "addresses or connections out of bounds");
    target = calloc(1, sizeof *target);
    if (!target)
        return complain(why, -ENOMEM, "no RDMA data path");
    target->verbs = options->verbs;
    target->peer_connections = options->peer_connections;
    target->limits = options->limits;
    target->probe_round = 1; /* of a new connection it is 0 */
    pthread_mutex_init(&target->mutex, NULL);
    init_condition(&target->changed);
    err = open_all(target, options, why);
    if (err) {
        rdma_target_destroy(target);
        return err;
    }
    *out = target;
    return 0;
}

void rdma_target_destroy(struct rdma_target *target)
{
    if (!target)
        return;
    if (target->cq)
        (void)target->verbs->destroy_cq(target->cq);
    for (unsigned i = 0; i < target->listeners_count; i++)
        (void)target->verbs->destroy_id(target->listeners[i]);
    if (target->channel)
        target->verbs->destroy_event_channel(target->channel);
    pthread_cond_destroy(&target->changed);
    pthread_mutex_destroy(&target->mutex);
    free(target);
}

void rdma_target_set_limits(struct rdma_target *target, const struct rdma_limits *limits)
{
    pthread_mutex_lock(&target->mutex);
    target->limits = *limits;
    pthread_mutex_unlock(&target->mutex);
}

void rdma_target_fds(const struct rdma_target *target, int fds[2])
{
    fds[0] = target->channel->fd;
    fds[1] = target->device->async_fd;
}

static void device_gone(struct rdma_target *target)
{
    pthread_mutex_lock(&target->mutex);
    target->gone = true;
    pthread_mutex_unlock(&target->mutex);
}

static void handle_cm_event(struct rdma_target *target, struct rdma_cm_event *event)
{
    struct rdma_connection *ended = NULL;

    switch (event->event) {
    case RDMA_CM_EVENT_CONNECT_REQUEST:
        rdma_connection_request(target, event);
        return;
    case RDMA_CM_EVENT_DISCONNECTED:
    case RDMA_CM_EVENT_CONNECT_ERROR:
    case RDMA_CM_EVENT_UNREACHABLE:
    case RDMA_CM_EVENT_REJECTED:
        ended = rdma_connection_take(target, event->id);
        break;
    case RDMA_CM_EVENT_DEVICE_REMOVAL:
        device_gone(target);
        ended = rdma_connection_take(target, event->id);
        break;
    default:
        break;
    }
    (void)target->verbs->ack_cm_event(event);
    if (ended)
        rdma_connection_end(target, ended);
}

static void handle_async_event(struct rdma_target *target, struct ibv_async_event *event)
{
    switch (event->event_type) {
    case IBV_EVENT_QP_FATAL:
    case IBV_EVENT_QP_REQ_ERR:
    case IBV_EVENT_QP_ACCESS_ERR:
        rdma_connection_broken(target, event->element.qp);
        break;
    case IBV_EVENT_DEVICE_FATAL:
        device_gone(target);
        break;
    default:
        break;
    }
    target->verbs->ack_async_event(event);
}

int rdma_target_dispatch(struct rdma_target *target)
{
    struct rdma_cm_event *event;
    struct ibv_async_event async;
    bool gone;

    for (int i = 0; i < AT_ONCE && target->verbs->get_cm_event(target->channel, &event) == 0; i++)
        handle_cm_event(target, event);
    for (int i = 0; i < AT_ONCE && target->verbs->get_async_event(target->device, &async) == 0; i++)
        handle_async_event(target, &async);
    pthread_mutex_lock(&target->mutex);
    gone = target->gone;
    pthread_mutex_unlock(&target->mutex);
    return gone ? -ENODEV : 0;
}

const char *rdma_target_device(const struct rdma_target *target)
{
    return target->device->device->name;
}

bool rdma_target_on_demand(const struct rdma_target *target)
{
    return target->on_demand;
}

uint32_t rdma_target_alignment(const struct rdma_target *target)
{
    return target->alignment;
}

void rdma_target_counters(struct rdma_target *target, struct rdma_counters *counters)
{
    pthread_mutex_lock(&target->mutex);
    *counters = target->counters;
    pthread_mutex_unlock(&target->mutex);
}
