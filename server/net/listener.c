/*
 * listener.c - the sockets that accept, on loop 0; connections go to the loops in turn until a
 * client claims them. One sweep per loop closes what has stalled and wakes what waited for memory.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "layout/container_of.h"
#include "server/base/log.h"
#include "server/base/process_limits.h"
#include "server/config/config.h"
#include "server/net/private.h"

enum { ACCEPT_BATCH = 64, BACKLOG = 1024 };

static const uint64_t second_ns = 1000000000u;

bool conn_record_is_late(uint64_t since_ns, uint32_t received)
{
    return since_ns / second_ns > CONN_PARTIAL_SECONDS + received / CONN_SLOWEST;
}

bool conn_reply_is_late(uint64_t since_ns, size_t taken, bool scarce)
{
    return since_ns / second_ns >
           (scarce ? CONN_SCARCE_SECONDS : CONN_STALL_SECONDS) + taken / CONN_SLOWEST;
}

/* Its record keeps the memory that others wait for, and waits for some of theirs. */
static bool is_starved(const struct conn *conn, uint64_t now)
{
    return conn->record_partial && conn->requests == 0 && conn->starved_at != 0 &&
           now - conn->starved_at > CONN_STARVED_SECONDS * second_ns;
}

static const char *why_to_close(const struct conn *conn, uint64_t now)
{
    if (conn->out_first && conn_reply_is_late(now - conn->out_at, conn->out_taken,
                                              shares_are_scarce(conn->listener->shares)))
        return "the peer takes no replies";
    if (conn->record_partial && conn->read_on &&
        conn_record_is_late(now - conn->record_at, record_reader_length(&conn->reader)))
        return "a request was begun and not ended";
    if (is_starved(conn, now))
        return "there was no memory for its request";
    if (!atomic_load_explicit(&conn->bound, memory_order_relaxed) && conn->requests == 0 &&
        now - atomic_load_explicit(&conn->seat.heard_at, memory_order_relaxed) >
            CONN_IDLE_SECONDS * second_ns)
        return "idle, and no session was ever used on it";
    return NULL;
}

static void on_sweep(evutil_socket_t fd, short events, void *arg)
{
    (void)fd;
    (void)events;
    struct conn_home *home = arg;
    uint64_t now = loop_now_ns();
    log_tell_left_out();
    for (struct conn *conn = home->first, *next; conn; conn = next) {
        next = conn->next;
        const char *why = why_to_close(conn, now);
        if (why)
            conn_close(conn, why);
        else if (!conn->read_on) {
            conn->record_at = now; /* it is not the peer who keeps it from ending */
            if (conn_may_read(conn))
                turn_take(conn);
        }
    }
    bool stalled = atomic_load_explicit(&home->listener->stalled, memory_order_relaxed) > 0;
    struct timeval again = {.tv_sec = stalled ? 0 : 1, .tv_usec = stalled ? 20000 : 0};
    if (!home->closing)
        event_add(home->sweep, &again);
}

static void on_arrive(struct loop_msg *msg)
{
    struct conn *conn = container_of(msg, struct conn, arrive);
    struct conn_home *home = &conn->listener->homes[loop_index(conn_loop(conn))];
    conn->home = home;
    conn->next = home->first;
    if (home->first)
        home->first->prev = conn;
    home->first = conn;
    conn_events_init(conn);
    conn->read_on = true;
    conn_ref(conn);
    if (home->closing)
        conn_close(conn, NULL);
    else if (event_add(&conn->read_event, NULL) != 0)
        conn_close(conn, "out of memory");
    if (!conn->closed)
        conn_flush(conn);
    if (!conn->closed && conn->stage)
        turn_take(conn);
    conn_unref(conn);
}

/* ---- who gives way ---- */

static void on_give_way(struct loop_msg *msg)
{
    struct conn *conn = container_of(msg, struct conn, give_way);
    /* It has moved; or it is on its way here, and its arrival has been posted already. */
    if (loop_self() != conn_loop(conn) || (!conn->closed && !conn->home)) {
        loop_post(conn_loop(conn), msg);
        return;
    }
    conn->gave_way = true;
    conn_close(conn, "it was silent for longest, and its place is wanted");
    conn_unref(conn);
}

/* Under the shares' lock. */
static void hold_conn(struct share_seat *seat)
{
    struct conn *conn = container_of(seat, struct conn, seat);
    conn_ref(conn);
    conn->giving_way = true;
    atomic_fetch_add(&conn->listener->closing, 1);
}

/* False: there is no place for it. */
static bool take_place(struct conn *conn)
{
    struct share_seat *seat;
    if (!share_enter(conn->listener->shares, &conn->seat, &conn->peer, hold_conn, &seat))
        return false;
    if (seat) {
        struct conn *other = container_of(seat, struct conn, seat);
        other->give_way.run = on_give_way;
        loop_post(conn_loop(other), &other->give_way);
    }
    return true;
}

int conn_adopt(struct listener *listener, struct loop *loop, int fd)
{
    struct conn *conn;
    int err = conn_create(listener, fd, &conn);
    if (err < 0) {
        close(fd);
        return err;
    }
    atomic_init(&conn->loop, loop); /* once it has a place it may be told to give way */
    if (!take_place(conn)) {
        log_warning("%s: refused: %u connections are open, and none of them can give way; raise "
                    "max_connections if they are wanted",
                    conn->text, shares_seats(listener->shares));
        close(fd);
        conn_unref(conn);
        return -EUSERS;
    }
    atomic_fetch_add_explicit(&listener->connections, 1, memory_order_relaxed);
    conn->arrive.run = on_arrive;
    loop_post(loop, &conn->arrive);
    return 0;
}

static void set_accepting(struct listener *listener, bool on)
{
    for (unsigned i = 0; i < listener->socket_count; i++) {
        if (on)
            event_add(listener->sockets[i].event, NULL);
        else
            event_del(listener->sockets[i].event);
    }
}

static void on_accept_again(evutil_socket_t fd, short events, void *arg)
{
    (void)fd;
    (void)events;
    set_accepting(arg, true);
}

static void pause_accepting(struct listener *listener, unsigned ms)
{
    const struct timeval moment = {.tv_usec = ms * 1000};
    set_accepting(listener, false);
    event_add(listener->accept_again, &moment);
}

/* Out of descriptors or memory: the connection stays in the backlog, try again soon. */
static void accept_failed(struct listener *listener, int err)
{
    if (err == EAGAIN || err == EWOULDBLOCK || err == ECONNABORTED || err == EINTR)
        return;
    log_some_errors("cannot accept a connection: %s; trying again in a moment", strerror(err));
    pause_accepting(listener, 200);
}

static void on_acceptable(evutil_socket_t fd, short events, void *arg)
{
    (void)events;
    struct listener *listener = ((struct listener_socket *)arg)->listener;
    for (unsigned i = 0; i < ACCEPT_BATCH; i++) {
        if (atomic_load(&listener->closing) >= CONN_CLOSING_MAX) {
            pause_accepting(listener, 10);
            return;
        }
        int conn_fd = accept4((int)fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (conn_fd < 0) {
            accept_failed(listener, errno);
            return;
        }
        int err = conn_adopt(
            listener, listener->loops[listener->next_loop++ % listener->loop_count], conn_fd);
        if (err < 0 && err != -EUSERS && err != -ENOTCONN) /* that one is its peer's doing */
            log_some_errors("cannot serve a connection: %s", strerror(-err));
    }
}

/* "::" takes IPv4 as well, unless IPv4 was asked for by its own. */
static bool listens_on_ipv4(const struct config *config)
{
    for (size_t i = 0; i < config->listen_count; i++)
        if (!strchr(config->listen[i], ':'))
            return true;
    return false;
}

static int open_socket(const struct addrinfo *ai, int v6only)
{
    int on = 1;
    int fd = socket(ai->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (ai->ai_family == AF_INET6)
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &v6only, sizeof(v6only));
    if (bind(fd, ai->ai_addr, ai->ai_addrlen) != 0 || listen(fd, BACKLOG) != 0) {
        int err = -errno;
        close(fd);
        return err;
    }
    return fd;
}

static int listen_on(struct listener *listener, const char *address, uint16_t port, bool v6only)
{
    char service[8];
    struct addrinfo hints = {.ai_family = AF_UNSPEC,
                             .ai_socktype = SOCK_STREAM,
                             .ai_flags = AI_NUMERICHOST | AI_PASSIVE};
    struct addrinfo *ai = NULL;
    snprintf(service, sizeof(service), "%u", port);
    int fd = -EINVAL;
    if (getaddrinfo(address, service, &hints, &ai) == 0)
        fd = open_socket(ai, v6only);
    freeaddrinfo(ai);
    if (fd < 0) {
        log_error("cannot listen on %s port %u: %s", address, port, strerror(-fd));
        return fd;
    }
    struct listener_socket *s = &listener->sockets[listener->socket_count];
    s->listener = listener;
    s->fd = fd;
    s->event = event_new(loop_base(listener->loops[0]), fd, EV_READ | EV_PERSIST, on_acceptable, s);
    if (!s->event || event_add(s->event, NULL) != 0) {
        if (s->event)
            event_free(s->event);
        close(fd);
        return -ENOMEM;
    }
    listener->socket_count++;
    return 0;
}

static void close_home(struct loop_msg *msg)
{
    struct conn_home *home = container_of(msg, struct conn_home, close_msg);
    home->closing = true;
    while (home->first)
        conn_close(home->first, NULL);
}

static void close_sockets(struct listener *listener)
{
    for (unsigned i = 0; i < listener->socket_count; i++) {
        event_free(listener->sockets[i].event);
        close(listener->sockets[i].fd);
    }
    listener->socket_count = 0;
}

static void on_close(struct loop_msg *msg)
{
    struct listener *listener = container_of(msg, struct listener, close_msg);
    event_del(listener->accept_again);
    close_sockets(listener);
    for (unsigned i = 0; i < listener->loop_count; i++)
        loop_post(listener->loops[i], &listener->homes[i].close_msg);
}

static void signal_drained(struct listener *listener)
{
    pthread_mutex_lock(&listener->drain_lock);
    pthread_cond_signal(&listener->drained);
    pthread_mutex_unlock(&listener->drain_lock);
}

void listener_drain(struct listener *listener, unsigned seconds)
{
    struct timespec end;
    int err = 0;
    clock_gettime(CLOCK_MONOTONIC, &end);
    end.tv_sec += seconds;
    pthread_mutex_lock(&listener->drain_lock);
    atomic_store(&listener->draining, true);
    while (err == 0 && atomic_load(&listener->requests) > 0)
        err = pthread_cond_timedwait(&listener->drained, &listener->drain_lock, &end);
    pthread_mutex_unlock(&listener->drain_lock);
    if (err != 0)
        log_warning("%u requests were not answered before the end",
                    atomic_load(&listener->requests));
}

void listener_close(struct listener *listener)
{
    listener->close_msg.run = on_close;
    loop_post(listener->loops[0], &listener->close_msg);
}

/* The loops have stopped: who is on the way to one does not arrive, and who was to give way is not
 * told any more. */
static void close_all(struct listener *listener)
{
    for (struct conn *conn = listener->all, *next; conn; conn = next) {
        const bool held = conn->giving_way && !conn->gave_way;
        next = conn->next_of_all;
        conn_close(conn, NULL);
        if (held)
            conn_unref(conn);
    }
}

void listener_destroy(struct listener *listener)
{
    if (!listener)
        return;
    close_sockets(listener);
    if (listener->accept_again)
        event_free(listener->accept_again);
    close_all(listener);
    for (unsigned i = 0; i < listener->loop_count; i++) {
        struct conn_home *home = &listener->homes[i];
        if (home->sweep)
            event_free(home->sweep);
        turns_destroy(home);
    }
    shares_destroy(listener->shares);
    pthread_cond_destroy(&listener->drained);
    pthread_mutex_destroy(&listener->drain_lock);
    pthread_mutex_destroy(&listener->lock);
    free(listener->sockets);
    free(listener);
}

static int create_homes(struct listener *listener)
{
    static const struct timeval soon = {.tv_sec = 1};
    for (unsigned i = 0; i < listener->loop_count; i++) {
        struct conn_home *home = &listener->homes[i];
        home->listener = listener;
        home->loop = listener->loops[i];
        home->close_msg.run = close_home;
        home->sweep = evtimer_new(loop_base(home->loop), on_sweep, home);
        if (!home->sweep || evtimer_add(home->sweep, &soon) != 0 || turns_create(home) < 0)
            return -ENOMEM;
    }
    return 0;
}

static uint64_t at_most(uint64_t value, uint64_t limit)
{
    return value < limit ? value : limit;
}

static uint64_t at_least(uint64_t value, uint64_t limit)
{
    return value > limit ? value : limit;
}

/* Of the memory that the process may have a quarter. */
static int create_shares(struct listener *listener, const struct config *config, unsigned seats)
{
    const uint64_t memory = process_memory() / 4;
    if (seats < config->max_connections)
        log_warning("max_connections is %u, and no more than %u are taken: RLIMIT_NOFILE is too "
                    "low for more (LimitNOFILE= in the unit)",
                    config->max_connections, seats);
    const size_t bytes =
        at_least(at_most(config->max_request_memory, memory), 4 * (size_t)listener->max_record);
    const struct share_limits limits = {
        .seats = seats,
        .an_address = (unsigned)at_most(at_least(seats / 4, CONN_AN_ADDRESS_LEAST), seats),
        .kept = seats / 8,
        .memory = bytes,
        .a_seat = at_least(bytes / 8, 2 * (size_t)listener->max_record),
        .loops = listener->loop_count,
    };
    return shares_create(&limits, &listener->shares);
}

int listener_create(const struct config *config, unsigned connections, struct loop **loops,
                    unsigned loop_count, const struct conn_service *service, struct listener **out)
{
    struct listener *listener =
        calloc(1, sizeof(*listener) + loop_count * sizeof(listener->homes[0]));
    if (!listener)
        return -ENOMEM;
    listener->loops = loops;
    listener->loop_count = loop_count;
    listener->service = *service;
    listener->on_drained = signal_drained;
    listener->max_record = config->max_io_size + CONN_RECORD_SLACK;
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&listener->drained, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_mutex_init(&listener->drain_lock, NULL);
    pthread_mutex_init(&listener->lock, NULL);
    int err = create_shares(listener, config, connections);
    if (err == 0)
        err = create_homes(listener);
    if (err < 0)
        goto fail;
    err = -ENOMEM;
    listener->accept_again = evtimer_new(loop_base(loops[0]), on_accept_again, listener);
    listener->sockets = calloc(config->listen_count + 1, sizeof(listener->sockets[0]));
    if (!listener->accept_again || !listener->sockets)
        goto fail;
    for (size_t i = 0; i < config->listen_count; i++) {
        err = listen_on(listener, config->listen[i], config->port, listens_on_ipv4(config));
        if (err < 0)
            goto fail;
    }
    *out = listener;
    return 0;

fail:
    listener_destroy(listener);
    return err;
}

uint16_t listener_port(const struct listener *listener)
{
    struct sockaddr_storage addr;
    socklen_t len = sizeof(addr);
    if (listener->socket_count == 0 ||
        getsockname(listener->sockets[0].fd, (struct sockaddr *)&addr, &len) != 0)
        return 0;
    return ntohs(addr.ss_family == AF_INET6 ? ((struct sockaddr_in6 *)&addr)->sin6_port
                                            : ((struct sockaddr_in *)&addr)->sin_port);
}

unsigned listener_connections(const struct listener *listener)
{
    return atomic_load_explicit(&listener->connections, memory_order_relaxed);
}
