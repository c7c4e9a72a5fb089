/* http.c - see http.h. */
#include "server/control/http.h"

#include <errno.h>
#include <event2/buffer.h>
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <event2/util.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include <utlist.h>

#include "server/base/accept_pause.h"
#include "server/base/loop.h"

enum { HEAD_MAX = 8192, BACKLOG = 16 };

struct http_conn {
    struct http *http;
    struct http_conn *prev, *next;
    struct bufferevent *stream;
    struct event *end;
    bool answered;
};

struct http {
    struct event_base *base;
    struct evconnlistener *listener;
    struct http_page page;
    struct http_conn *conns; /* the oldest first */
    unsigned conn_count;
};

static void conn_free(struct http_conn *conn)
{
    DL_DELETE(conn->http->conns, conn);
    conn->http->conn_count--;
    event_free(conn->end);
    bufferevent_free(conn->stream);
    free(conn);
}

static void on_end(evutil_socket_t fd, short events, void *arg)
{
    (void)fd;
    (void)events;
    conn_free(arg);
}

static void on_event(struct bufferevent *stream, short events, void *arg)
{
    (void)stream;
    (void)events;
    conn_free(arg);
}

/* The answer has left. The peer closes first, so that what it has said beyond does not take the
 * answer away from it. */
static void on_written(struct bufferevent *stream, void *arg)
{
    struct http_conn *conn = arg;
    if (!conn->answered)
        return;
    shutdown(bufferevent_getfd(stream), SHUT_WR);
    bufferevent_enable(stream, EV_READ);
}

static void send_answer(struct http_conn *conn, const char *status, struct evbuffer *text,
                        bool with_text)
{
    struct evbuffer *out = bufferevent_get_output(conn->stream);
    evbuffer_add_printf(out,
                        "HTTP/1.1 %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n"
                        "Connection: close\r\n\r\n",
                        status, conn->http->page.type, evbuffer_get_length(text));
    if (with_text)
        evbuffer_add_buffer(out, text);
    conn->answered = true;
}

static const char *make_answer(const struct http *http, const char *request, struct evbuffer *text,
                               bool *with_text)
{
    char method[8], path[256], version[16];
    *with_text = true;
    if (sscanf(request, "%7s %255s %15s", method, path, version) != 3 ||
        strncmp(version, "HTTP/1.", strlen("HTTP/1.")) != 0)
        return "400 Bad Request";
    *with_text = strcmp(method, "HEAD") != 0;
    if (*with_text && strcmp(method, "GET") != 0)
        return "405 Method Not Allowed";
    path[strcspn(path, "?")] = '\0';
    if (strcmp(path, http->page.path) != 0)
        return "404 Not Found";
    return http->page.write(http->page.context, text) ? "200 OK" : "503 Service Unavailable";
}

static void on_request(struct http_conn *conn, char *request)
{
    struct evbuffer *text = evbuffer_new();
    bool with_text;
    if (!text || !request) {
        conn_free(conn);
    } else {
        const char *status = make_answer(conn->http, request, text, &with_text);
        bufferevent_disable(conn->stream, EV_READ);
        send_answer(conn, status, text, with_text);
    }
    if (text)
        evbuffer_free(text);
    free(request);
}

static void on_readable(struct bufferevent *stream, void *arg)
{
    struct http_conn *conn = arg;
    struct evbuffer *in = bufferevent_get_input(stream);
    const size_t len = evbuffer_get_length(in);
    if (conn->answered)
        evbuffer_drain(in, len);
    else if (evbuffer_search(in, "\r\n\r\n", 4, NULL).pos >= 0)
        on_request(conn, evbuffer_readln(in, NULL, EVBUFFER_EOL_CRLF));
    else if (len >= HEAD_MAX)
        conn_free(conn);
}

static struct http_conn *conn_new(struct http *http, int fd)
{
    static const struct timeval most = {.tv_sec = HTTP_SECONDS};
    struct http_conn *conn = calloc(1, sizeof *conn);
    if (!conn)
        return NULL;
    conn->http = http;
    conn->end = evtimer_new(http->base, on_end, conn);
    if (!conn->end || evtimer_add(conn->end, &most) != 0)
        goto fail;
    conn->stream = bufferevent_socket_new(http->base, fd, BEV_OPT_CLOSE_ON_FREE);
    if (conn->stream)
        return conn;
fail:
    if (conn->end)
        event_free(conn->end);
    free(conn);
    return NULL;
}

static void on_accept(struct evconnlistener *listener, evutil_socket_t fd, struct sockaddr *peer,
                      int len, void *arg)
{
    struct http *http = arg;
    struct http_conn *conn = conn_new(http, fd);
    (void)listener;
    (void)peer;
    (void)len;
    if (!conn) {
        evutil_closesocket(fd);
        return;
    }
    if (http->conn_count == HTTP_CONNECTIONS)
        conn_free(http->conns);
    DL_APPEND(http->conns, conn);
    http->conn_count++;
    bufferevent_setcb(conn->stream, on_readable, on_written, on_event, conn);
    bufferevent_setwatermark(conn->stream, EV_READ, 0, HEAD_MAX);
    bufferevent_enable(conn->stream, EV_READ | EV_WRITE);
}

static void on_accept_error(struct evconnlistener *listener, void *arg)
{
    int err = errno;
    (void)arg;
    accept_pause(listener, "metrics", err);
}

static int open_socket(const char *endpoint)
{
    struct sockaddr_storage address;
    int len = sizeof address, on = 1, err;
    if (evutil_parse_sockaddr_port(endpoint, (struct sockaddr *)&address, &len) != 0)
        return -EINVAL;
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return -errno;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&address, (socklen_t)len) != 0 || listen(fd, BACKLOG) != 0) {
        err = -errno;
        evutil_closesocket(fd);
        return err;
    }
    return fd;
}

int http_create(struct loop *loop, const char *endpoint, const struct http_page *page,
                struct http **out)
{
    struct http *http = calloc(1, sizeof *http);
    int fd, err;
    if (!http)
        return -ENOMEM;
    http->base = loop_base(loop);
    http->page = *page;
    err = fd = open_socket(endpoint);
    if (fd < 0)
        goto fail;
    http->listener = evconnlistener_new(http->base, on_accept, http,
                                        LEV_OPT_CLOSE_ON_FREE | LEV_OPT_CLOSE_ON_EXEC, 0, fd);
    if (!http->listener) {
        evutil_closesocket(fd);
        err = -ENOMEM;
        goto fail;
    }
    evconnlistener_set_error_cb(http->listener, on_accept_error);
    *out = http;
    return 0;
fail:
    free(http);
    return err;
}

void http_destroy(struct http *http)
{
    if (!http)
        return;
    evconnlistener_free(http->listener);
    while (http->conns)
        conn_free(http->conns);
    free(http);
}
