/*
 * The client process: see raw_client.h. Commands and answers go over a socket pair, one message
 * each.
 */
#include "raw_client.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <infiniband/verbs.h>
#include <rdma/rdma_cma.h>

#include "proto/layout/rdma.h"

enum what { CONNECT, READ_ONE, WRITE_ONE, READ_UNTIL_ERROR, STOP };

struct command {
    enum what what;
    uint64_t address;
    uint32_t key;
    uint32_t len;
    uint8_t fill;
    uint8_t hello[64];
};

struct process {
    int socket;
    struct sockaddr_in server;
    struct rdma_event_channel *channel;
    struct rdma_cm_id *id;
    struct ibv_pd *pd;
    struct ibv_cq *cq;
    struct ibv_comp_channel *completions;
    struct ibv_mr *mr;
    uint8_t *buffer;
};

uint64_t raw_sum(const uint8_t *bytes, uint32_t len)
{
    uint64_t sum = 0;

    for (uint32_t i = 0; i < len; i++)
        sum = sum * 1099511628211u + bytes[i];
    return sum;
}

static void die(const char *what)
{
    fprintf(stderr, "raw client: %s: %s\n", what, strerror(errno));
    _exit(1);
}

/* Waits for one event of the connection manager. Its refusal is taken out of it. */
static enum rdma_cm_event_type next_event(struct process *p, struct raw_connected *connected)
{
    struct rdma_cm_event *event;
    enum rdma_cm_event_type type;
    rdma_refused4 refused;

    if (rdma_get_cm_event(p->channel, &event) != 0)
        die("rdma_get_cm_event");
    type = event->event;
    if (type == RDMA_CM_EVENT_REJECTED &&
        rdma_refused_decode(
            (struct xdr_bytes){event->param.conn.private_data, event->param.conn.private_data_len},
            &refused) == 0)
        connected->refusal = refused.rre_why;
    (void)rdma_ack_cm_event(event);
    return type;
}

static void hang_up(struct process *p)
{
    if (!p->id)
        return;
    (void)rdma_disconnect(p->id);
    if (p->id->qp)
        rdma_destroy_qp(p->id);
    if (p->cq)
        (void)ibv_destroy_cq(p->cq);
    if (p->completions)
        (void)ibv_destroy_comp_channel(p->completions);
    if (p->mr)
        (void)ibv_dereg_mr(p->mr);
    if (p->pd)
        (void)ibv_dealloc_pd(p->pd);
    (void)rdma_destroy_id(p->id);
    p->id = NULL;
    p->cq = NULL;
    p->completions = NULL;
    p->mr = NULL;
    p->pd = NULL;
}

static void make_queue_pair(struct process *p)
{
    struct ibv_qp_init_attr attr = {
        .qp_type = IBV_QPT_RC,
        .cap = {.max_send_wr = 16, .max_recv_wr = 1, .max_send_sge = 1, .max_recv_sge = 1}};

    p->pd = ibv_alloc_pd(p->id->verbs);
    p->completions = p->pd ? ibv_create_comp_channel(p->id->verbs) : NULL;
    p->cq = p->completions ? ibv_create_cq(p->id->verbs, 32, NULL, p->completions, 0) : NULL;
    p->mr = p->cq ? ibv_reg_mr(p->pd, p->buffer, RAW_BUFFER, IBV_ACCESS_LOCAL_WRITE) : NULL;
    attr.send_cq = attr.recv_cq = p->cq;
    if (!p->mr || rdma_create_qp(p->id, p->pd, &attr) != 0)
        die("queue pair");
}

static struct raw_connected connect_anew(struct process *p, const struct command *c)
{
    struct raw_connected connected = {.error = -ECONNREFUSED};
    struct rdma_conn_param param = {.responder_resources = 1,
                                    .initiator_depth = 8,
                                    .retry_count = 7,
                                    .rnr_retry_count = 7,
                                    .private_data = c->len ? c->hello : NULL,
                                    .private_data_len = (uint8_t)c->len};

    hang_up(p);
    if (rdma_create_id(p->channel, &p->id, NULL, RDMA_PS_TCP) != 0 ||
        rdma_resolve_addr(p->id, NULL, (struct sockaddr *)&p->server, 5000) != 0 ||
        next_event(p, &connected) != RDMA_CM_EVENT_ADDR_RESOLVED ||
        rdma_resolve_route(p->id, 5000) != 0 ||
        next_event(p, &connected) != RDMA_CM_EVENT_ROUTE_RESOLVED)
        return (struct raw_connected){.error = -EHOSTUNREACH};
    make_queue_pair(p);
    if (rdma_connect(p->id, &param) != 0)
        return (struct raw_connected){.error = -errno};
    if (next_event(p, &connected) == RDMA_CM_EVENT_ESTABLISHED)
        connected.error = 0;
    return connected;
}

/* The server hung up: a queue pair in error completes what it has. */
static void heed_disconnection(struct process *p)
{
    if (next_event(p, &(struct raw_connected){0}) == RDMA_CM_EVENT_DISCONNECTED)
        (void)rdma_disconnect(p->id);
}

/* Waits for one completion. Its event may be lost (soft-RoCE), and an emulated machine be slow: so
 * it is looked for each second, and long. */
static int completed(struct process *p, struct ibv_wc *wc)
{
    enum { LOOK_MS = 1000, LOOKS = 120 };
    struct pollfd fds[] = {{.fd = p->completions->fd, .events = POLLIN},
                           {.fd = p->channel->fd, .events = POLLIN}};
    struct ibv_cq *cq;
    void *context;

    for (unsigned looks = 0; looks < LOOKS;) {
        if (ibv_req_notify_cq(p->cq, 0) != 0)
            die("ibv_req_notify_cq");
        if (ibv_poll_cq(p->cq, 1, wc) > 0)
            return (int)wc->status;
        if (poll(fds, 2, LOOK_MS) == 0)
            looks++;
        if (fds[1].revents)
            heed_disconnection(p);
        if (fds[0].revents && ibv_get_cq_event(p->completions, &cq, &context) == 0)
            ibv_ack_cq_events(cq, 1);
    }
    return RAW_NO_ANSWER;
}

static int operation(struct process *p, const struct command *c, enum ibv_wr_opcode opcode)
{
    struct ibv_sge sge = {(uintptr_t)p->buffer, c->len, p->mr ? p->mr->lkey : 0};
    struct ibv_send_wr wr = {.sg_list = &sge,
                             .num_sge = 1,
                             .opcode = opcode,
                             .send_flags = IBV_SEND_SIGNALED,
                             .wr.rdma = {.remote_addr = c->address, .rkey = c->key}};
    struct ibv_send_wr *bad;
    struct ibv_wc wc;

    if (!p->id || !p->id->qp || ibv_post_send(p->id->qp, &wr, &bad) != 0)
        return RAW_NOT_CONNECTED;
    return completed(p, &wc);
}

static void answer(const struct process *p, const void *bytes, size_t len)
{
    if (send(p->socket, bytes, len, 0) != (ssize_t)len)
        die("answer");
}

static void read_until_error(struct process *p, const struct command *c)
{
    struct raw_done done = {.status = 0};

    while ((done.status = operation(p, c, IBV_WR_RDMA_READ)) == IBV_WC_SUCCESS)
        if (done.operations++ == 0)
            answer(p, &done, sizeof done);
    if (done.operations == 0)
        answer(p, &done, sizeof done);
    answer(p, &done, sizeof done);
}

static void serve(struct process *p)
{
    struct command c;

    while (recv(p->socket, &c, sizeof c, 0) == sizeof c && c.what != STOP) {
        struct raw_done done = {.status = 0};

        if (c.what == CONNECT) {
            struct raw_connected connected = connect_anew(p, &c);

            answer(p, &connected, sizeof connected);
        } else if (c.what == READ_UNTIL_ERROR) {
            read_until_error(p, &c);
        } else {
            memset(p->buffer, c.what == WRITE_ONE ? c.fill : 0xee, c.len);
            done.status =
                operation(p, &c, c.what == WRITE_ONE ? IBV_WR_RDMA_WRITE : IBV_WR_RDMA_READ);
            done.sum = raw_sum(p->buffer, c.len);
            answer(p, &done, sizeof done);
        }
    }
    hang_up(p);
}

void raw_client_start(struct raw_client *client, const char *server, uint16_t port)
{
    struct process p = {.server = {.sin_family = AF_INET, .sin_port = htons(port)}};
    int sockets[2];

    if (inet_pton(AF_INET, server, &p.server.sin_addr) != 1 ||
        socketpair(AF_UNIX, SOCK_SEQPACKET, 0, sockets) != 0)
        die("socketpair");
    fflush(NULL);
    client->pid = fork();
    if (client->pid < 0)
        die("fork");
    client->socket = sockets[0];
    if (client->pid > 0) {
        close(sockets[1]);
        return;
    }
    (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
    close(sockets[0]);
    p.socket = sockets[1];
    p.buffer = aligned_alloc(4096, RAW_BUFFER);
    p.channel = rdma_create_event_channel();
    if (!p.buffer || !p.channel)
        die("rdma_create_event_channel");
    serve(&p);
    _exit(0);
}

static void command(struct raw_client *client, const struct command *c)
{
    if (send(client->socket, c, sizeof *c, MSG_NOSIGNAL) != sizeof *c)
        die("command");
}

static void end(struct raw_client *client)
{
    (void)waitpid(client->pid, NULL, 0);
    close(client->socket);
}

void raw_client_stop(struct raw_client *client)
{
    command(client, &(struct command){.what = STOP});
    end(client);
}

void raw_client_kill(struct raw_client *client)
{
    (void)kill(client->pid, SIGKILL);
    end(client);
}

struct raw_connected raw_client_connect(struct raw_client *client, const void *hello, uint8_t len)
{
    struct command c = {.what = CONNECT, .len = len};
    struct raw_connected connected = {.error = -EPIPE};

    memcpy(c.hello, hello, len);
    command(client, &c);
    (void)recv(client->socket, &connected, sizeof connected, 0);
    return connected;
}

struct raw_done raw_client_wait(struct raw_client *client)
{
    struct raw_done done = {.status = RAW_NOT_CONNECTED};

    (void)recv(client->socket, &done, sizeof done, 0);
    return done;
}

struct raw_done raw_client_read(struct raw_client *client, uint64_t address, uint32_t key,
                                uint32_t len)
{
    command(client,
            &(struct command){.what = READ_ONE, .address = address, .key = key, .len = len});
    return raw_client_wait(client);
}

struct raw_done raw_client_write(struct raw_client *client, uint64_t address, uint32_t key,
                                 uint32_t len, uint8_t fill)
{
    command(client,
            &(struct command){
                .what = WRITE_ONE, .address = address, .key = key, .len = len, .fill = fill});
    return raw_client_wait(client);
}

void raw_client_read_until_error(struct raw_client *client, uint64_t address, uint32_t key,
                                 uint32_t len)
{
    command(client, &(struct command){
                        .what = READ_UNTIL_ERROR, .address = address, .key = key, .len = len});
    (void)raw_client_wait(client);
}
