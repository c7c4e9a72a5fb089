/*
 * A build without RDMA libraries. See rdma.h.
 */
#include "client/rdma/rdma.h"

#include <errno.h>

bool sealio_rdma_supported(void)
{
    return false;
}

int sealio_rdma_create(const rdma_deviceaddr4 *addr, const struct sealio_verbs *verbs,
                       struct sealio_rdma **out)
{
    (void)addr, (void)verbs, (void)out;
    return -EOPNOTSUPP;
}

void sealio_rdma_free(struct sealio_rdma *rdma)
{
    (void)rdma;
}

bool sealio_rdma_is_same(const struct sealio_rdma *a, const struct sealio_rdma *b)
{
    return a == b;
}

const char *sealio_rdma_name(const struct sealio_rdma *rdma)
{
    (void)rdma;
    return "";
}

int sealio_rdma_connect(struct sealio_rdma *rdma, unsigned patience_ms)
{
    (void)rdma, (void)patience_ms;
    return -EOPNOTSUPP;
}

void sealio_rdma_disconnect(struct sealio_rdma *rdma)
{
    (void)rdma;
}

void sealio_rdma_add_memory(struct sealio_rdma *rdma, void *memory, size_t size)
{
    (void)rdma, (void)memory, (void)size;
}

void sealio_rdma_remove_memory(struct sealio_rdma *rdma, void *memory)
{
    (void)rdma, (void)memory;
}

size_t sealio_rdma_limit(struct sealio_rdma *rdma, const void *memory, size_t length,
                         uint64_t remote)
{
    (void)rdma, (void)memory, (void)remote;
    return length;
}

uint64_t sealio_rdma_misfit(const struct sealio_rdma *rdma, uint64_t remote)
{
    (void)rdma, (void)remote;
    return 0;
}

int sealio_rdma_submit(struct sealio_rdma *rdma, struct sealio_rdma_op *op)
{
    (void)rdma, (void)op;
    return -ENOTCONN;
}

bool sealio_rdma_lead(struct sealio_rdma *rdma, const atomic_bool *over, uint64_t until_ms)
{
    (void)rdma, (void)over, (void)until_ms;
    return false;
}

void sealio_rdma_nudge(struct sealio_rdma *rdma)
{
    (void)rdma;
}

int sealio_rdma_run(struct sealio_rdma *rdma, struct sealio_rdma_op *op)
{
    (void)rdma, (void)op;
    return -EOPNOTSUPP;
}
