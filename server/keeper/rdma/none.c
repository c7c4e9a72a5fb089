/* none.c - keeper/rdma/rdma.h in a build without the RDMA libraries: nothing is ever
 * registered. */
#include <errno.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "server/base/container_of.h"
#include "server/base/loop.h"
#include "server/keeper/private.h"
#include "server/keeper/rdma/past.h"
#include "server/keeper/rdma/rdma.h"
#include "server/keeper/request.h"

static const char not_built[] = "this sealnfsd was built without RDMA";

int keeper_rdma_create(struct keeper *keeper)
{
    (void)keeper;
    return 0;
}

void keeper_rdma_stop(struct keeper *keeper)
{
    (void)keeper;
}

bool keeper_rdma_destroy(struct keeper *keeper)
{
    (void)keeper;
    return true;
}

void keeper_rdma_offer(struct keeper *keeper, struct request *request)
{
    (void)keeper;
    (void)request;
}

void keeper_rdma_prepare(struct keeper *keeper, struct request *request)
{
    (void)keeper;
    request_finish(request, NFS4ERR_LAYOUTUNAVAILABLE, not_built);
}

void keeper_rdma_answered(struct keeper *keeper, struct request *request, bool granted)
{
    (void)keeper;
    (void)request;
    (void)granted;
}

bool keeper_rdma_commits(struct keeper *keeper, struct request *request)
{
    (void)keeper;
    (void)request;
    return false;
}

bool keeper_rdma_returns(struct keeper *keeper, struct request *request)
{
    (void)keeper;
    (void)request;
    return false;
}

void keeper_rdma_let_go(struct keeper *keeper, const struct engine_effect *effect)
{
    (void)keeper;
    (void)effect;
}

nfsstat4 keeper_rdma_describe(struct keeper *keeper, struct request *request, uint64_t client_id,
                              const struct device *device, rdma_deviceaddr4 *addr, bool *later)
{
    (void)keeper;
    (void)request;
    (void)client_id;
    (void)device;
    (void)addr;
    (void)later;
    return NFS4ERR_NOENT;
}

struct fence {
    struct loop_msg msg;
    struct keeper *keeper;
    uint64_t ticket, client_id;
};

static void tell(struct loop_msg *msg)
{
    struct fence *fence = container_of(msg, struct fence, msg);
    keeper_fence_done(fence->keeper, fence->ticket, fence->client_id,
                      keeper_past_is_void(fence->keeper));
    free(fence);
}

/* Of an earlier process, of another build. */
void keeper_rdma_fence(struct keeper *keeper, const struct engine_effect *effect)
{
    struct fence *fence;
    while (!(fence = calloc(1, sizeof *fence))) {
        struct timespec pause = {.tv_nsec = 10000000};
        nanosleep(&pause, NULL);
    }
    *fence = (struct fence){.msg.run = tell,
                            .keeper = keeper,
                            .ticket = effect->fence.ticket,
                            .client_id = effect->fence.client_id};
    loop_post(keeper->loop, &fence->msg);
}

void keeper_rdma_client(struct keeper *keeper, enum engine_client_event what, uint64_t client_id)
{
    (void)keeper;
    (void)what;
    (void)client_id;
}

void keeper_rdma_enter(struct keeper *keeper, const struct file_key *key,
                       struct keeper_rdma_gate *gate)
{
    (void)keeper;
    (void)key;
    gate->pass(gate, 0, "");
}

bool keeper_rdma_wants_writable(const struct keeper *keeper, const struct file *file)
{
    (void)keeper;
    (void)file;
    return false;
}

void keeper_rdma_keep_fd(struct keeper *keeper, const struct file_key *key, int fd)
{
    (void)keeper;
    (void)key;
    close(fd);
}

int keeper_rdma_take_fd(struct keeper *keeper, const struct file_key *key)
{
    (void)keeper;
    (void)key;
    return -1;
}

struct rdma_memory *keeper_rdma_map(int fd, uint64_t size, char *why)
{
    (void)fd;
    (void)size;
    snprintf(why, KEEPER_WHY_MAX, "%s", not_built);
    return NULL;
}

void keeper_rdma_keep_memory(struct keeper *keeper, const struct file_key *key,
                             struct rdma_memory *memory, const char *why)
{
    (void)keeper;
    (void)key;
    (void)memory;
    (void)why;
}

void keeper_rdma_drop_memory(struct rdma_memory *memory)
{
    (void)memory;
}

const char *keeper_rdma_why(const struct keeper *keeper, const struct file_key *key)
{
    (void)keeper;
    (void)key;
    return "";
}

struct json_t *keeper_rdma_view(struct keeper *keeper)
{
    (void)keeper;
    return NULL;
}

void keeper_rdma_figures(struct keeper *keeper, struct keeper_rdma_figures *figures)
{
    (void)keeper;
    *figures = (struct keeper_rdma_figures){.configured = false};
}
