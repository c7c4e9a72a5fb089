/*
 * What the kernel's part costs on this machine, without which no ratio of two servers can be read:
 * bench_calls [ROUNDS]. CPU time of this thread, by loops of each (100,000).
 *
 * The floor of a request: epoll_wait, recv, sendmsg and nothing else, for CONNECTIONS over
 * loopback; the peers are another process, whose time is not counted.
 *
 * Prints rows "name<TAB>unit<TAB>value".
 */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { CONNECTIONS = 16, REQUEST = 140, REPLY = 300 };

static void must(bool ok, const char *what)
{
    if (ok)
        return;
    fprintf(stderr, "bench_calls: %s: %s\n", what, strerror(errno));
    exit(1);
}

static double cpu_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return (double)now.tv_sec * 1e9 + (double)now.tv_nsec;
}

static void row(const char *name, double ns, unsigned rounds)
{
    printf("%s\tus\t%.3f\n", name, ns / rounds / 1000);
    fflush(stdout);
}

static void calls(unsigned rounds)
{
    const int fd = open(".", O_PATH | O_CLOEXEC);
    struct statx stx;
    struct stat st;
    must(fd >= 0, "open");
    double begin = cpu_ns();
    for (unsigned i = 0; i < rounds; i++)
        (void)syscall(SYS_getppid);
    row("a system call (getppid), CPU", cpu_ns() - begin, rounds);
    begin = cpu_ns();
    for (unsigned i = 0; i < rounds; i++)
        must(statx(fd, "", AT_EMPTY_PATH, STATX_BASIC_STATS, &stx) == 0, "statx");
    row("statx by descriptor, CPU", cpu_ns() - begin, rounds);
    begin = cpu_ns();
    for (unsigned i = 0; i < rounds; i++)
        must(syscall(SYS_fstat, fd, &st) == 0, "fstat");
    row("fstat, CPU", cpu_ns() - begin, rounds);
    close(fd);
}

static bool move(int fd, size_t len, bool out)
{
    char bytes[REPLY] = "";
    ssize_t n = 0;
    for (size_t at = 0; at < len; at += (size_t)n) {
        n = out ? send(fd, bytes, len - at, MSG_NOSIGNAL) : recv(fd, bytes, len - at, 0);
        if (n <= 0)
            return false;
    }
    return true;
}

/* One request at a time on each connection, until this process is killed. */
static void ask(const int *fds)
{
    struct pollfd ready[CONNECTIONS];
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        ready[i] = (struct pollfd){.fd = fds[i], .events = POLLIN};
        if (!move(fds[i], REQUEST, true))
            _exit(1);
    }
    while (poll(ready, CONNECTIONS, -1) > 0)
        for (unsigned i = 0; i < CONNECTIONS; i++)
            if (ready[i].revents && (!move(fds[i], REPLY, false) || !move(fds[i], REQUEST, true)))
                _exit(1);
    _exit(1);
}

static int listen_here(struct sockaddr_in *at)
{
    socklen_t len = sizeof(*at);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    *at = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    must(fd >= 0 && bind(fd, (struct sockaddr *)at, len) == 0 && listen(fd, CONNECTIONS) == 0 &&
             getsockname(fd, (struct sockaddr *)at, &len) == 0,
         "listen");
    return fd;
}

static void connect_all(int epoll, int peers[CONNECTIONS])
{
    struct sockaddr_in at;
    const int listener = listen_here(&at), on = 1;
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        peers[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        must(peers[i] >= 0 && connect(peers[i], (struct sockaddr *)&at, sizeof(at)) == 0,
             "connect");
        struct epoll_event event = {.events = EPOLLIN, .data.fd = accept(listener, NULL, NULL)};
        must(event.data.fd >= 0 && epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd, &event) == 0,
             "accept");
        setsockopt(peers[i], IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        setsockopt(event.data.fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    }
    close(listener);
}

static void answer(int fd)
{
    static char request[65536], reply[REPLY];
    struct iovec iov = {.iov_base = reply, .iov_len = sizeof(reply)};
    const struct msghdr message = {.msg_iov = &iov, .msg_iovlen = 1};
    must(recv(fd, request, sizeof(request), MSG_DONTWAIT) == REQUEST, "recv of a request");
    must(sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) == REPLY, "sendmsg of a reply");
}

static void floor_of_a_request(unsigned rounds)
{
    int peers[CONNECTIONS];
    struct epoll_event ready[CONNECTIONS];
    const int epoll = epoll_create1(EPOLL_CLOEXEC);
    must(epoll >= 0, "epoll_create1");
    connect_all(epoll, peers);
    const pid_t peer = fork();
    must(peer >= 0, "fork");
    if (peer == 0)
        ask(peers);
    const double begin = cpu_ns();
    for (unsigned done = 0; done < rounds;) {
        const int n = epoll_wait(epoll, ready, CONNECTIONS, 10000);
        must(n > 0, "a request that comes");
        for (int i = 0; i < n; i++, done++)
            answer(ready[i].data.fd);
    }
    row("floor: recv and sendmsg of a request alone, 16 connections, CPU", cpu_ns() - begin,
        rounds);
    kill(peer, SIGKILL);
    waitpid(peer, NULL, 0);
}

int main(int argc, char **argv)
{
    const long rounds = argc > 1 ? strtol(argv[1], NULL, 10) : 100000;
    if (argc > 2 || rounds < CONNECTIONS || rounds > 100000000) {
        fprintf(stderr, "usage: bench_calls [ROUNDS]\n");
        return 2;
    }
    calls((unsigned)rounds);
    floor_of_a_request((unsigned)rounds);
    return 0;
}
