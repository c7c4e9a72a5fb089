/*
 * The data path's life: addresses, connecting, memory that is registered. See rdma.h.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "client/rdma/private.h"

bool sealio_rdma_supported(void)
{
    return true;
}

/* ---- universal addresses (RFC 5665 section 5.2.3): the port is the last two numbers ---- */

static bool take_number(char *text, unsigned *out)
{
    char *dot = strrchr(text, '.'), *end;
    if (!dot || dot[1] < '0' || dot[1] > '9')
        return false;
    const unsigned long value = strtoul(dot + 1, &end, 10);
    if (*end || value > 255)
        return false;
    *dot = '\0';
    *out = (unsigned)value;
    return true;
}

static bool parse_address(const netaddr4 *addr, struct sockaddr_storage *out, char *name,
                          size_t size)
{
    const bool v6 = xdr_bytes_equal(addr->na_r_netid, xdr_bytes_of("rdma6"));
    struct sockaddr_in *in = (struct sockaddr_in *)out;
    struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)out;
    char text[INET6_ADDRSTRLEN + 8];
    unsigned low, high;
    if ((!v6 && !xdr_bytes_equal(addr->na_r_netid, xdr_bytes_of("rdma"))) ||
        addr->na_r_addr.len >= sizeof(text))
        return false;
    memcpy(text, addr->na_r_addr.data, addr->na_r_addr.len);
    text[addr->na_r_addr.len] = '\0';
    if (!take_number(text, &low) || !take_number(text, &high))
        return false;
    const in_port_t port = htons((uint16_t)(high << 8 | low));
    memset(out, 0, sizeof(*out));
    if (v6)
        *in6 = (struct sockaddr_in6){.sin6_family = AF_INET6, .sin6_port = port};
    else
        *in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = port};
    if (inet_pton(v6 ? AF_INET6 : AF_INET, text,
                  v6 ? (void *)&in6->sin6_addr : (void *)&in->sin_addr) != 1)
        return false;
    snprintf(name, size, v6 ? "rdma://[%s]:%u" : "rdma://%s:%u", text, ntohs(port));
    return true;
}

/* ---- life ---- */

int sealio_rdma_create(const rdma_deviceaddr4 *addr, const struct sealio_verbs *verbs,
                       struct sealio_rdma **out)
{
    struct sealio_rdma *rdma = calloc(1, sizeof(*rdma));
    char name[sizeof(rdma->name)];
    if (!rdma)
        return -ENOMEM;
    rdma->verbs = verbs ? verbs : &sealio_verbs_system;
    rdma->peer = addr->rda_peer;
    memcpy(rdma->secret, addr->rda_secret, sizeof(rdma->secret));
    rdma->alignment = addr->rda_alignment;
    for (uint32_t i = 0; i < addr->rda_addrs_count && i < RDMA_LAYOUT_MAX_ADDRS; i++) {
        char *into = rdma->addresses_count == 0 ? rdma->name : name;
        if (parse_address(&addr->rda_addrs[i], &rdma->addresses[rdma->addresses_count], into,
                          sizeof(name)))
            rdma->addresses_count++;
    }
    /* Bounced reads round down to the alignment; page-sized is what is known. */
    int rc =
        rdma->addresses_count == 0 || rdma->alignment > RDMA_BOUNCE_SIZE / 2 ? -EADDRNOTAVAIL : 0;
    rdma->wake = rc == 0 ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : -1;
    if (rc == 0 && rdma->wake < 0)
        rc = -errno;
    rdma->wake_leader = rc == 0 ? eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK) : -1;
    if (rc == 0 && rdma->wake_leader < 0) {
        rc = -errno;
        close(rdma->wake);
    }
    if (rc < 0) {
        free(rdma);
        return rc;
    }
    rdma->posted.end = &rdma->posted.first;
    rdma->waiting.end = &rdma->waiting.first;
    pthread_mutex_init(&rdma->lock, NULL);
    pthread_cond_init(&rdma->changed, NULL);
    *out = rdma;
    return 0;
}

bool sealio_rdma_is_same(const struct sealio_rdma *a, const struct sealio_rdma *b)
{
    return a->peer == b->peer && a->alignment == b->alignment &&
           memcmp(a->secret, b->secret, sizeof(a->secret)) == 0 &&
           a->addresses_count == b->addresses_count &&
           memcmp(a->addresses, b->addresses, a->addresses_count * sizeof(a->addresses[0])) == 0;
}

const char *sealio_rdma_name(const struct sealio_rdma *rdma)
{
    return rdma->name;
}

/* Under the lock, dropped meanwhile: the thread of an earlier connection has nothing left to do. */
static void join_locked(struct sealio_rdma *rdma)
{
    if (!rdma->has_thread)
        return;
    const pthread_t thread = rdma->thread;
    rdma->has_thread = false;
    pthread_mutex_unlock(&rdma->lock);
    pthread_join(thread, NULL);
    pthread_mutex_lock(&rdma->lock);
}

void sealio_rdma_free(struct sealio_rdma *rdma)
{
    if (!rdma)
        return;
    sealio_rdma_disconnect(rdma);
    pthread_mutex_lock(&rdma->lock);
    while (rdma->state != RDMA_DOWN)
        pthread_cond_wait(&rdma->changed, &rdma->lock);
    join_locked(rdma);
    pthread_mutex_unlock(&rdma->lock);
    pthread_cond_destroy(&rdma->changed);
    pthread_mutex_destroy(&rdma->lock);
    close(rdma->wake);
    close(rdma->wake_leader);
    explicit_bzero(rdma, sizeof(*rdma));
    free(rdma);
}

void sealio_rdma_disconnect(struct sealio_rdma *rdma)
{
    pthread_mutex_lock(&rdma->lock);
    sealio_rdma_end(rdma, -ECONNRESET);
    pthread_mutex_unlock(&rdma->lock);
}

/* ---- connecting ---- */

static int start_thread(struct sealio_rdma *rdma)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&rdma->thread, NULL, sealio_rdma_conn_main, rdma);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return -rc;
}

static int open_any(struct sealio_rdma *rdma, unsigned patience_ms)
{
    int rc = -EHOSTUNREACH;
    for (unsigned i = 0; i < rdma->addresses_count; i++) {
        rc = sealio_rdma_conn_open(rdma, (struct sockaddr *)&rdma->addresses[i], patience_ms);
        if (rc == 0 || rc == -EACCES || rc == -EBUSY || rc == -EPROTONOSUPPORT)
            break; /* the server has answered: the same at its other addresses */
    }
    return rc;
}

/* Under the lock, dropped meanwhile. */
static int connect_locked(struct sealio_rdma *rdma, unsigned patience_ms)
{
    rdma->state = RDMA_CONNECTING;
    join_locked(rdma);
    pthread_mutex_unlock(&rdma->lock);
    int rc = open_any(rdma, patience_ms);
    pthread_mutex_lock(&rdma->lock);
    rdma->why = 0;
    rdma->led = false;
    rdma->state = rc == 0 ? RDMA_UP : RDMA_DOWN;
    if (rc == 0)
        rc = start_thread(rdma);
    if (rc == 0) {
        rdma->has_thread = true;
    } else if (rdma->state == RDMA_UP) {
        rdma->state = RDMA_CONNECTING; /* nobody saw it */
        pthread_mutex_unlock(&rdma->lock);
        sealio_rdma_conn_close_qp(rdma);
        sealio_rdma_conn_close(rdma);
        pthread_mutex_lock(&rdma->lock);
        rdma->state = RDMA_DOWN;
    }
    pthread_cond_broadcast(&rdma->changed);
    return rc;
}

int sealio_rdma_connect(struct sealio_rdma *rdma, unsigned patience_ms)
{
    pthread_mutex_lock(&rdma->lock);
    while (rdma->state == RDMA_CONNECTING || rdma->state == RDMA_ENDING)
        pthread_cond_wait(&rdma->changed, &rdma->lock);
    int rc = rdma->state == RDMA_UP ? 0 : connect_locked(rdma, patience_ms);
    pthread_mutex_unlock(&rdma->lock);
    return rc;
}

/* ---- memory ---- */

/* Under the lock. */
static struct rdma_memory *find_memory(struct sealio_rdma *rdma, const void *base)
{
    for (unsigned i = 0; i < rdma->memories_count; i++) {
        if (rdma->memories[i].base == base)
            return &rdma->memories[i];
    }
    return NULL;
}

void sealio_rdma_add_memory(struct sealio_rdma *rdma, void *memory, size_t size)
{
    pthread_mutex_lock(&rdma->lock);
    while (rdma->state == RDMA_CONNECTING)
        pthread_cond_wait(&rdma->changed, &rdma->lock);
    const bool room = rdma->memories_count < RDMA_MAX_MEMORIES && !find_memory(rdma, memory);
    const bool up = rdma->state == RDMA_UP;
    if (room)
        rdma->memories[rdma->memories_count++] = (struct rdma_memory){memory, size, NULL};
    if (!room || !up) {
        pthread_mutex_unlock(&rdma->lock);
        return;
    }
    rdma->users++;
    pthread_mutex_unlock(&rdma->lock);
    struct ibv_mr *mr = rdma->verbs->reg_mr(rdma->pd, memory, size, IBV_ACCESS_LOCAL_WRITE);
    pthread_mutex_lock(&rdma->lock);
    struct rdma_memory *found = find_memory(rdma, memory);
    if (found)
        found->mr = mr;
    rdma->users--;
    pthread_cond_broadcast(&rdma->changed);
    pthread_mutex_unlock(&rdma->lock);
}

void sealio_rdma_remove_memory(struct sealio_rdma *rdma, void *memory)
{
    pthread_mutex_lock(&rdma->lock);
    while (rdma->state == RDMA_CONNECTING || rdma->state == RDMA_ENDING)
        pthread_cond_wait(&rdma->changed, &rdma->lock);
    struct rdma_memory *found = find_memory(rdma, memory);
    struct ibv_mr *mr = found ? found->mr : NULL;
    if (found)
        *found = rdma->memories[--rdma->memories_count];
    if (mr) {
        rdma->users++;
        pthread_mutex_unlock(&rdma->lock);
        (void)rdma->verbs->dereg_mr(mr);
        pthread_mutex_lock(&rdma->lock);
        rdma->users--;
        pthread_cond_broadcast(&rdma->changed);
    }
    pthread_mutex_unlock(&rdma->lock);
}
