/*
 * control.c - the control socket's listener and connections: lines in, lines out.
 *
 * A connection has one request under way at a time; further lines wait in its buffer. A holder's
 * connection (control/hold.c) also gets lines it did not ask for. All of this runs on the control
 * loop. What the requests do is in control/ops.c.
 */
#include "server/control/control.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <fcntl.h>
#include <grp.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <utlist.h>

#include "layout/container_of.h"
#include "server/base/accept_pause.h"
#include "server/base/log.h"
#include "server/base/loop.h"
#include "server/config/config.h"
#include "server/control/hold.h"
#include "server/control/ops.h"
#include "server/server.h"

#define LINE_MAX_BYTES  (64u << 10)
#define OUTPUT_MAX      (1u << 20) /* that a peer has not read: it is not answered any further */
#define CONNECTIONS_MAX 1024u
#define HOLDERS_MAX     960u /* of these, so that the operator gets in */

struct control {
    struct server *server;
    struct loop *loop;
    struct evconnlistener *listener;
    unsigned connections, holders;
    int spare; /* a descriptor, so that the operator gets in when there is no other; -1: given away
                */
    struct control_conn *conns;
    char path[sizeof(((struct sockaddr_un *)0)->sun_path)];
};

struct control_conn {
    struct control *control;
    struct bufferevent *stream; /* NULL: the peer has gone, a request is still under way */
    bool busy;
    bool starting; /* requests, one after the other */
    bool holds;    /* counted among the holders */
    struct control_peer peer;
    void (*then)(void *context); /* of an answer that waits until its peer has read */
    void *then_context;
    struct control_conn *prev, *next;
};

static void take_spare(struct control *control)
{
    if (control->spare < 0)
        control->spare = open("/dev/null", O_RDONLY | O_CLOEXEC);
}

static void conn_free(struct control_conn *conn)
{
    struct control *control = conn->control;

    if (conn->stream)
        bufferevent_free(conn->stream);
    if (conn->holds)
        control->holders--;
    control->connections--;
    DL_DELETE(control->conns, conn);
    free(conn);
    take_spare(control);
}

/* When nothing of a connection without a peer is under way any more. */
static void conn_free_if_over(struct control_conn *conn)
{
    if (!conn->stream && !conn->busy && !conn->peer.holder)
        conn_free(conn);
}

static void holder_over(void *arg)
{
    struct control_conn *conn = arg;

    conn->peer.holder = NULL;
    conn_free_if_over(conn);
}

static void write_line(struct control_conn *conn, const json_t *line)
{
    char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;
    const char *say =
        text ? text : "{\"ok\":false,\"code\":\"failed\",\"error\":\"out of memory\"}";

    if (bufferevent_write(conn->stream, say, strlen(say)) == 0)
        bufferevent_write(conn->stream, "\n", 1);
    free(text);
}

static void conn_say(struct control_peer *peer, json_t *line)
{
    struct control_conn *conn = container_of(peer, struct control_conn, peer);

    if (conn->stream && line)
        write_line(conn, line);
    json_decref(line);
}

static void conn_put(struct control_peer *peer, struct evbuffer *text)
{
    struct control_conn *conn = container_of(peer, struct control_conn, peer);

    if (conn->stream)
        bufferevent_write_buffer(conn->stream, text);
}

static bool conn_gone(const struct control_peer *peer)
{
    return !container_of((struct control_peer *)(uintptr_t)peer, struct control_conn, peer)->stream;
}

static bool is_unread(const struct control_conn *conn)
{
    return conn->stream && evbuffer_get_length(bufferevent_get_output(conn->stream)) > OUTPUT_MAX;
}

static void conn_when_read(struct control_peer *peer, void (*then)(void *context), void *context)
{
    struct control_conn *conn = container_of(peer, struct control_conn, peer);

    if (!is_unread(conn)) {
        then(context);
        return;
    }
    conn->then = then;
    conn->then_context = context;
}

/* True: an answer went on, and may have taken the connection with it. */
static bool go_on(struct control_conn *conn)
{
    void (*then)(void *context) = conn->then;

    conn->then = NULL;
    if (then)
        then(conn->then_context);
    return then != NULL;
}

static void conn_next(struct control_conn *conn);

/* The answer to the request under way; takes over the reference to reply (NULL: out of memory). */
static void conn_answer(void *context, json_t *reply)
{
    struct control_conn *conn = context;

    conn->busy = false;
    if (conn->peer.holder && !conn->holds) {
        conn->holds = true;
        conn->control->holders++;
    }
    if (conn->stream) {
        if (!conn->peer.answered)
            write_line(conn, reply);
        conn->peer.answered = false;
        conn_next(conn);
    } else {
        conn_free_if_over(conn);
    }
    json_decref(reply);
}

/* Starts the next request if a whole line is there, and says whether it did. A line that does not
 * end is answered and cut off. */
static bool start_request(struct control_conn *conn)
{
    struct evbuffer *input = bufferevent_get_input(conn->stream);
    size_t length;
    char *line;

    if (conn->busy || is_unread(conn))
        return false;
    line = evbuffer_readln(input, &length, EVBUFFER_EOL_LF);
    if (!line && evbuffer_get_length(input) < LINE_MAX_BYTES)
        return false;
    conn->busy = true;
    if (!line)
        evbuffer_drain(input, evbuffer_get_length(input));
    conn->peer.may_hold = conn->control->holders < HOLDERS_MAX;
    control_request(conn->control->server, conn->control->loop, &conn->peer, line ? line : "",
                    line ? length : 0, conn_answer, conn);
    free(line);
    return true;
}

/* As far as requests are answered at once; the answer to one that is not goes on from there. */
static void conn_next(struct control_conn *conn)
{
    if (conn->starting)
        return;
    conn->starting = true;
    while (start_request(conn))
        ;
    conn->starting = false;
}

static void conn_readable(struct bufferevent *stream, void *arg)
{
    struct control_conn *conn = arg;

    (void)stream;
    if (is_unread(conn) || !go_on(conn))
        conn_next(conn);
}

/* Nobody has the other end open any more. An end of file alone says less: the peer may have shut
 * down its sending half and live on. */
static bool peer_has_closed(int fd)
{
    struct pollfd look = {.fd = fd};

    return poll(&look, 1, 0) == 1 && (look.revents & POLLHUP);
}

static void conn_event(struct bufferevent *stream, short what, void *arg)
{
    struct control_conn *conn = arg;

    (void)what;
    bool closed = peer_has_closed(conn->peer.fd);
    bufferevent_free(stream);
    conn->stream = NULL;
    take_spare(conn->control);
    if (conn->peer.holder)
        control_holder_close(conn->peer.holder, closed, holder_over, conn);
    if (!go_on(conn))
        conn_free_if_over(conn);
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *address,
                      int length, void *arg)
{
    struct control *control = arg;
    struct control_conn *conn = NULL;

    (void)listener, (void)address, (void)length;
    if (control->connections < CONNECTIONS_MAX)
        conn = calloc(1, sizeof(*conn));
    if (conn)
        conn->stream = bufferevent_socket_new(loop_base(control->loop), fd, BEV_OPT_CLOSE_ON_FREE);
    if (!conn || !conn->stream) {
        log_warning("control socket: a connection was refused: %s",
                    conn ? "out of memory" : "too many connections");
        free(conn);
        close(fd);
        return;
    }
    conn->control = control;
    conn->peer = (struct control_peer){
        .fd = fd, .say = conn_say, .put = conn_put, .when_read = conn_when_read, .gone = conn_gone};
    control->connections++;
    DL_APPEND(control->conns, conn);
    bufferevent_setcb(conn->stream, conn_readable, conn_readable, conn_event, conn);
    bufferevent_setwatermark(conn->stream, EV_READ, 0, 2 * LINE_MAX_BYTES);
    bufferevent_enable(conn->stream, EV_READ | EV_WRITE);
}

/* The spare descriptor is for one connection: that of the operator who sees what is wrong. */
static void on_accept_error(struct evconnlistener *listener, void *arg)
{
    struct control *control = arg;
    int err = errno, fd = -1;

    if ((err == EMFILE || err == ENFILE) && control->spare >= 0) {
        close(control->spare);
        control->spare = -1;
        fd = accept4(evconnlistener_get_fd(listener), NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    }
    if (fd >= 0)
        on_accept(listener, fd, NULL, 0, control);
    else
        accept_pause(listener, "control socket", err);
}

/* A socket file that nobody answers on is left from a crash and is taken away. */
static int remove_stale(const struct sockaddr_un *address)
{
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int error = 0;

    if (fd < 0)
        return -errno;
    if (connect(fd, (const struct sockaddr *)address, sizeof(*address)) == 0 || errno == EAGAIN)
        error = -EADDRINUSE; /* EAGAIN: it has no room for another connection just now */
    else if (errno == ECONNREFUSED && unlink(address->sun_path) < 0)
        error = -errno;
    close(fd);
    return error;
}

static int set_access(const char *path, const char *group)
{
    struct group *entry = group ? getgrnam(group) : NULL;

    if (group && !entry)
        return -ESRCH;
    if (entry && chown(path, (uid_t)-1, entry->gr_gid) < 0)
        return -errno;
    return chmod(path, group ? 0660 : 0600) < 0 ? -errno : 0;
}

static int listen_on(struct control *control, const struct config *config)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    mode_t mask;
    int fd, error;

    if (strlen(config->control_socket) >= sizeof(address.sun_path))
        return -ENAMETOOLONG;
    strcpy(address.sun_path, config->control_socket);
    error = remove_stale(&address);
    if (error)
        return error;
    fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    mask = umask(0177); /* nobody gets in between bind and set_access */
    error = bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
    umask(mask);
    if (!error) {
        strcpy(control->path, address.sun_path);
        error = set_access(address.sun_path, config->control_group);
    }
    if (!error && listen(fd, 16) < 0)
        error = -errno;
    if (!error) {
        control->listener = evconnlistener_new(loop_base(control->loop), on_accept, control,
                                               LEV_OPT_CLOSE_ON_FREE, 0, fd);
        error = control->listener ? 0 : -ENOMEM;
    }
    if (!error) {
        evconnlistener_set_error_cb(control->listener, on_accept_error);
        take_spare(control);
    }
    if (error)
        close(fd);
    if (error && control->path[0])
        unlink(control->path);
    return error;
}

static const char *advice_for(int error)
{
    switch (-error) {
    case EADDRINUSE:
        return "another sealnfsd answers there: stop it, or give this one another control_socket";
    case ENAMETOOLONG:
        return "give a shorter control_socket";
    case ENOENT:
        return "make its directory (systemd does, by the unit's RuntimeDirectory)";
    case ESRCH:
        return "there is no such control_group: make it (systemd-sysusers), or name another";
    default:
        return "see who may write to its directory";
    }
}

int control_create(struct server *server, struct control **out)
{
    struct control *control = calloc(1, sizeof(*control));
    int error;

    if (!control)
        return -ENOMEM;
    control->server = server;
    control->spare = -1;
    error = loop_create("control", 0, &control->loop);
    if (error)
        goto fail;
    loop_confine(control->loop, CONFINE_SPEAKER);
    error = listen_on(control, server->config);
    if (error)
        goto fail_loop;
    error = loop_start(control->loop);
    if (error)
        goto fail_listener;
    *out = control;
    return 0;
fail_listener:
    evconnlistener_free(control->listener);
    unlink(control->path);
    if (control->spare >= 0)
        close(control->spare);
fail_loop:
    loop_destroy(control->loop);
fail:
    log_error("control socket %s: %s; %s", server->config->control_socket, strerror(-error),
              advice_for(error));
    free(control);
    return error;
}

void control_stop(struct control *control)
{
    loop_stop(control->loop);
}

void control_destroy(struct control *control)
{
    if (!control)
        return;
    while (control->conns) {
        control_holder_free(control->conns->peer.holder);
        conn_free(control->conns);
    }
    evconnlistener_free(control->listener);
    unlink(control->path);
    if (control->spare >= 0)
        close(control->spare);
    loop_destroy(control->loop);
    free(control);
}
