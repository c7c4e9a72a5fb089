/*
 * TCP connections with deadlines. See transport.h.
 */
#include "client/net/transport.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

uint64_t sealio_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* 0, -ETIMEDOUT or an error of poll. */
static int wait_for(int fd, short events, uint64_t deadline_ms)
{
    for (;;) {
        const uint64_t now = sealio_now_ms();
        if (now >= deadline_ms)
            return -ETIMEDOUT;
        const uint64_t left = deadline_ms - now;
        struct pollfd pfd = {.fd = fd, .events = events};
        int rc = poll(&pfd, 1, left > INT_MAX ? INT_MAX : (int)left);
        if (rc > 0)
            return 0;
        if (rc < 0 && errno != EINTR)
            return -errno;
    }
}

/* A port below 1024, which servers ask for unless they are told otherwise: it shows that root
 * speaks. Who may have none, or finds none free, goes on without. Ports that wait for the end of
 * earlier connections can be had again, if not to the same server: the caller tries others. */
static bool bind_reserved(int fd, int family, unsigned port)
{
    const int one = 1;
    struct sockaddr_in in = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct sockaddr_in6 in6 = {.sin6_family = AF_INET6, .sin6_port = htons((uint16_t)port)};
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
    return family == AF_INET6 ? bind(fd, (const struct sockaddr *)&in6, sizeof(in6)) == 0
                              : bind(fd, (const struct sockaddr *)&in, sizeof(in)) == 0;
}

/* One attempt, from this port (0: any). */
static int connect_from(const struct addrinfo *address, unsigned port, uint64_t deadline_ms,
                        int *out)
{
    const int one = 1;
    int error = 0;
    socklen_t len = sizeof(error);
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP);
    if (fd < 0)
        return -errno;
    if (port > 0 && !bind_reserved(fd, address->ai_family, port)) {
        int cannot = -errno;
        close(fd);
        return cannot;
    }
    int rc = 0;
    if (connect(fd, address->ai_addr, address->ai_addrlen) < 0) {
        rc = -errno;
        if (rc == -EINPROGRESS || rc == -EINTR)
            rc = wait_for(fd, POLLOUT, deadline_ms);
        if (rc == 0 && getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
            rc = -errno;
        if (rc == 0)
            rc = -error;
    }
    if (rc == 0 && (setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one)) < 0 ||
                    setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &one, sizeof(one)) < 0))
        rc = -errno;
    const int flags = rc < 0 ? rc : fcntl(fd, F_GETFL);
    if (rc == 0 && (flags < 0 || fcntl(fd, F_SETFL, flags & ~O_NONBLOCK) < 0))
        rc = -errno;
    if (rc < 0) {
        close(fd);
        return rc;
    }
    *out = fd;
    return 0;
}

static bool is_taken(int rc)
{
    return rc == -EADDRINUSE || rc == -EADDRNOTAVAIL;
}

/* From each reserved port in turn until one can be had. */
static int connect_reserved(const struct addrinfo *address, uint64_t deadline_ms, int *out)
{
    enum { FIRST = 512, COUNT = 512, PAUSE_MS = 10000 };
    static atomic_uint next;        /* begins anywhere: processes do not compete for the first */
    static atomic_ullong not_until; /* all were taken: that is not found out anew each time */
    int rc = -EADDRINUSE;
    if (sealio_now_ms() < atomic_load(&not_until))
        return rc;
    if (atomic_load(&next) == 0)
        atomic_store(&next, (unsigned)getpid() * 31);
    for (unsigned i = 0; i < COUNT && is_taken(rc); i++)
        rc = connect_from(address, FIRST + atomic_fetch_add(&next, 1) % COUNT, deadline_ms, out);
    if (is_taken(rc))
        atomic_store(&not_until, sealio_now_ms() + PAUSE_MS);
    return rc;
}

static int connect_address(const struct addrinfo *address, uint64_t deadline_ms, int *out)
{
    int rc = connect_reserved(address, deadline_ms, out);
    if (is_taken(rc) || rc == -EACCES || rc == -EPERM)
        rc = connect_from(address, 0, deadline_ms, out);
    return rc;
}

int sealio_connect(const char *host, uint16_t port, uint64_t deadline_ms, int *out)
{
    const struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *list;
    char service[8];
    snprintf(service, sizeof(service), "%u", (unsigned)port);
    int rc = getaddrinfo(host, service, &hints, &list);
    if (rc != 0)
        return rc == EAI_MEMORY ? -ENOMEM : rc == EAI_AGAIN ? -EAGAIN : -ENOENT;
    rc = -ENOENT;
    for (const struct addrinfo *address = list; address; address = address->ai_next) {
        rc = connect_address(address, deadline_ms, out);
        if (rc == 0)
            break;
    }
    freeaddrinfo(list);
    return rc;
}

static bool is_loopback(const struct sockaddr_storage *address)
{
    return ntohl(((const struct sockaddr_in *)address)->sin_addr.s_addr) >> IN_CLASSA_NSHIFT ==
           IN_LOOPBACKNET;
}

bool sealio_is_one_machine(const struct sockaddr_storage *own, const struct sockaddr_storage *peer)
{
    if (own->ss_family != peer->ss_family)
        return false;
    if (own->ss_family == AF_INET)
        return (is_loopback(own) && is_loopback(peer)) ||
               ((const struct sockaddr_in *)own)->sin_addr.s_addr ==
                   ((const struct sockaddr_in *)peer)->sin_addr.s_addr;
    return own->ss_family == AF_INET6 &&
           memcmp(&((const struct sockaddr_in6 *)own)->sin6_addr,
                  &((const struct sockaddr_in6 *)peer)->sin6_addr, sizeof(struct in6_addr)) == 0;
}

bool sealio_is_local(int fd)
{
    struct sockaddr_storage own = {0}, peer = {0};
    socklen_t own_len = sizeof(own), peer_len = sizeof(peer);
    return getsockname(fd, (struct sockaddr *)&own, &own_len) == 0 &&
           getpeername(fd, (struct sockaddr *)&peer, &peer_len) == 0 &&
           sealio_is_one_machine(&own, &peer);
}

int sealio_send(int fd, struct iovec *iov, unsigned count, uint64_t deadline_ms)
{
    while (count > 0) {
        const struct msghdr message = {.msg_iov = iov, .msg_iovlen = count};
        ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent < 0) {
            if (errno == EINTR)
                continue;
            int rc = -errno;
            if (rc == -EAGAIN || rc == -EWOULDBLOCK)
                rc = wait_for(fd, POLLOUT, deadline_ms);
            if (rc < 0)
                return rc;
            continue;
        }
        size_t left = (size_t)sent;
        while (count > 0 && left >= iov->iov_len) {
            left -= iov->iov_len;
            iov++;
            count--;
        }
        if (count > 0) {
            iov->iov_base = (char *)iov->iov_base + left;
            iov->iov_len -= left;
        }
    }
    return 0;
}
