/*
 * seal_wait.c - see seal_wait.h. On the compound's loop.
 */
#include "server/nfs/seal_wait.h"

#include <stddef.h>

#include "layout/container_of.h"
#include "server/base/log.h"
#include "server/client/client.h"
#include "server/file/file.h"
#include "server/server.h"

/* Long enough for clients that answer a recall at once, short of what makes an NFS client
 * retransmit. */
enum { RELEASE_WAIT_MS = 2000, FILE_TEXT = 512 };

static void on_released(struct loop_msg *msg)
{
    struct seal_wait *wait = container_of(msg, struct seal_wait, release.call.reply);

    compound_resume(wait->compound);
}

static void log_refusal(const struct compound *c, const struct file *file)
{
    char text[FILE_TEXT];

    file_describe(file, text, sizeof text);
    log_info("client %s may not change %s: it is sealed; to allow it: sealctl unseal %s",
             c->client ? client_describe(c->client) : "?", text, text);
}

nfsstat4 seal_wait_start(struct compound *c, struct seal_wait *wait, struct file *file)
{
    unsigned word = file_seal(file);

    switch (seal_kind(word)) {
    case SEAL_NONE:
    case SEAL_SEALING:
    case SEAL_RELEASING:
        return NFS4ERR_DELAY;
    default:
        break;
    }
    if (!(word & SEAL_WORD_AT_REST)) {
        log_refusal(c, file);
        return NFS4ERR_PERM;
    }
    wait->compound = c;
    wait->release = (struct keeper_release){
        .call = {.reply.run = on_released, .reply_loop = c->loop},
        .file = file,
        .timeout_ms = RELEASE_WAIT_MS,
    };
    keeper_release(c->server->keeper, &wait->release);
    return NFS4_OK;
}

nfsstat4 seal_wait_status(const struct seal_wait *wait, struct file *file)
{
    char text[FILE_TEXT];

    if (wait->release.call.status != NFS4_OK) {
        file_describe(file, text, sizeof text);
        log_info("the seal of %s does not give way: %s", text, wait->release.call.why);
    }
    return wait->release.call.status;
}
