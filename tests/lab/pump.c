/*
 * pump.c - many connections on which every slot has a call under way, always: what hostile.py does
 * where python would be the slower one. It is compiled by the tests that want it.
 *
 * The calls of a connection are one call, in which its xid, and behind SEQUENCE the sequence id and
 * the slot are changed. Of the answers no more is looked at than whose they are and their status.
 */
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

enum {
    HEAD = 32, /* of a record: its mark, and the answer up to the status of its COMPOUND */
    EVENTS = 64,
};

struct pump_pipe {
    int fd;
    uint32_t slots, call_len, sequence_at; /* 0: calls without SEQUENCE; the slot is behind it */
    const uint8_t *call;                   /* a whole record */
    uint32_t *sequences;                   /* of each slot the last one */
    /* ours */
    uint8_t *out; /* as much as all slots may have under way */
    size_t out_at, out_len;
    uint8_t head[HEAD];
    uint32_t head_len, skip;
};

struct counts {
    uint64_t answered, granted; /* granted: with the status OK */
};

static void put_u32(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (24 - 8 * i));
}

static uint32_t get_u32(const uint8_t *at)
{
    return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void queue_call(struct pump_pipe *pipe, uint32_t slot)
{
    if (pipe->out_at > 0 && pipe->out_at == pipe->out_len)
        pipe->out_at = pipe->out_len = 0;
    if (pipe->out_len + pipe->call_len > (size_t)pipe->slots * pipe->call_len) {
        pipe->out_len -= pipe->out_at;
        memmove(pipe->out, pipe->out + pipe->out_at, pipe->out_len);
        pipe->out_at = 0;
    }
    uint8_t *call = pipe->out + pipe->out_len;
    memcpy(call, pipe->call, pipe->call_len);
    put_u32(call + 4, slot);
    if (pipe->sequence_at > 0) {
        put_u32(call + pipe->sequence_at, ++pipe->sequences[slot]);
        put_u32(call + pipe->sequence_at + 4, slot);
    }
    pipe->out_len += pipe->call_len;
}

static int send_calls(struct pump_pipe *pipe)
{
    while (pipe->out_at < pipe->out_len) {
        ssize_t n = send(pipe->fd, pipe->out + pipe->out_at, pipe->out_len - pipe->out_at,
                         MSG_DONTWAIT | MSG_NOSIGNAL);
        if (n < 0)
            return errno == EAGAIN ? 0 : -1;
        pipe->out_at += (size_t)n;
    }
    return 0;
}

/* The head of an answer is there, or 0: it takes more; the rest of it is thrown away in the
 * kernel. */
static int take_some(struct pump_pipe *pipe, struct counts *counts)
{
    ssize_t n;
    if (pipe->skip > 0) {
        n = recv(pipe->fd, NULL, pipe->skip, MSG_DONTWAIT | MSG_TRUNC);
        if (n > 0)
            pipe->skip -= (uint32_t)n;
    } else {
        n = recv(pipe->fd, pipe->head + pipe->head_len, HEAD - pipe->head_len, MSG_DONTWAIT);
        if (n > 0)
            pipe->head_len += (uint32_t)n;
    }
    if (n <= 0)
        return n < 0 && errno == EAGAIN ? 0 : -1;
    if (pipe->skip == 0 && pipe->head_len == HEAD) {
        uint32_t len = get_u32(pipe->head) & 0x7fffffff;
        if (len < HEAD - 4)
            return -1; /* denied: nothing more is to be had here */
        pipe->skip = len + 4 - HEAD;
        pipe->head_len = 0;
        uint32_t slot = get_u32(pipe->head + 4);
        if (get_u32(pipe->head + 8) == 1 && slot < pipe->slots) {
            counts->answered++;
            if (get_u32(pipe->head + 24) == 0 && get_u32(pipe->head + 28) == 0)
                counts->granted++;
            queue_call(pipe, slot);
        }
    }
    return 1;
}

static int work_pipe(struct pump_pipe *pipe, struct counts *counts)
{
    int more = 1;
    for (int i = 0; i < 2 * EVENTS && more > 0; i++)
        more = take_some(pipe, counts);
    return more < 0 ? -1 : send_calls(pipe);
}

unsigned pump_pipe_size(void)
{
    return sizeof(struct pump_pipe);
}

/* Until stop_fd is readable. How many connections the server has closed; -1 when out of memory. */
int pump(struct pump_pipe *pipes, unsigned count, int stop_fd, struct counts *counts)
{
    int poll = epoll_create1(EPOLL_CLOEXEC), closed = 0;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = NULL}, events[EVENTS];
    if (poll < 0 || epoll_ctl(poll, EPOLL_CTL_ADD, stop_fd, &event) != 0)
        return -1;
    for (unsigned i = 0; i < count; i++) {
        struct pump_pipe *pipe = &pipes[i];
        pipe->out = malloc((size_t)pipe->slots * pipe->call_len);
        event = (struct epoll_event){.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.ptr = pipe};
        if (!pipe->out || epoll_ctl(poll, EPOLL_CTL_ADD, pipe->fd, &event) != 0)
            return -1;
        for (uint32_t slot = 0; slot < pipe->slots; slot++)
            queue_call(pipe, slot);
    }
    for (;;) {
        int n = epoll_wait(poll, events, EVENTS, -1);
        for (int i = 0; i < n; i++) {
            struct pump_pipe *pipe = events[i].data.ptr;
            if (!pipe)
                return closed;
            if (work_pipe(pipe, counts) < 0) {
                epoll_ctl(poll, EPOLL_CTL_DEL, pipe->fd, NULL);
                closed++;
            } else {
                /* more may be there than was taken: the edge is set anew */
                event = (struct epoll_event){.events = EPOLLIN | EPOLLET, .data.ptr = pipe};
                if (pipe->out_at < pipe->out_len)
                    event.events |= EPOLLOUT;
                epoll_ctl(poll, EPOLL_CTL_MOD, pipe->fd, &event);
            }
        }
    }
}
