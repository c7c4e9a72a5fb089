/*
 * http.h - an HTTP server of one page, for whoever may reach its address: so many connections, of
 * which the oldest gives way to a new one, and each for so long. A connection is for one request.
 */
#ifndef SEALNFS_SERVER_CONTROL_HTTP_H
#define SEALNFS_SERVER_CONTROL_HTTP_H

#include <stdbool.h>

struct evbuffer;
struct http;
struct loop;

enum { HTTP_CONNECTIONS = 16, HTTP_SECONDS = 10 };

struct http_page {
    const char *path;
    const char *type;
    /* On the loop. False: it cannot be said just now. */
    bool (*write)(void *context, struct evbuffer *text);
    void *context;
};

/* endpoint: "address:port". The page is copied. Before the loop starts. -errno. */
int http_create(struct loop *loop, const char *endpoint, const struct http_page *page,
                struct http **out);
/* After the loop has stopped. NULL is fine. */
void http_destroy(struct http *http);

#endif
