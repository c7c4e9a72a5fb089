/*
 * trial.c - would a file be sealed? What sealing asks of it is asked on a worker, and nothing is
 * changed. The answer is of that moment.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "layout/seal/fs.h"
#include "server/export/export.h"
#include "server/file/file.h"
#include "server/keeper/request.h"
#include "server/state/state.h"

struct trial {
    struct loop_msg msg;
    struct work work;
    struct keeper *keeper;
    struct keeper_seal *seal;
    struct file_key key;
    int error;
    struct seal_refusal why;
};

static void end_trial(struct trial *trial, nfsstat4 status, const char *why)
{
    struct keeper_call *call = &trial->seal->call;
    char text[KEEPER_WHY_MAX];
    snprintf(text, sizeof text, "%s", why);
    free(trial);
    keeper_reply(call, status, text);
}

static struct seal_fs_request request_of(const struct trial *trial)
{
    const struct keeper_seal *seal = trial->seal;
    const char *unguarded = keeper_unguarded(trial->keeper, seal->file);
    return (struct seal_fs_request){.kind = seal->pinned ? SEAL_KIND_PINNED : SEAL_KIND_FROZEN,
                                    .fill = seal->fill,
                                    .sparse = seal->sparse,
                                    .growing = seal->reserve > 0,
                                    .guarded = !unguarded,
                                    .unguarded = unguarded};
}

static int try_file(struct trial *trial)
{
    const struct keeper_seal *seal = trial->seal;
    const struct export *export = file_export(seal->file);
    const char *why_not = NULL;
    if (!export || !export_has_layouts(export, &why_not))
        return seal_refuse(&trial->why, SEAL_REFUSED_FILESYSTEM, EOPNOTSUPP, "%s",
                           why_not ? why_not : "no layouts here");
    if (!seal->reserve && state_file_has_writer(seal->file))
        return seal_refuse(&trial->why, SEAL_REFUSED_WRITER, EBUSY,
                           "an NFS client has the file open for writing; close it there first");
    if (file_drop_writer(seal->file))
        return seal_refuse(&trial->why, SEAL_REFUSED_WRITER, EBUSY,
                           "the file is being written to; try again");
    int fd, err = file_data_open(seal->file, FILE_READ, &fd); /* one more would be a reader */
    if (err)
        return seal_refuse_errno(&trial->why, -err, "opening the file");
    const struct device *device = export_device(export);
    const struct seal_fs_request request = request_of(trial);
    err = seal_fs_try(fd, &request, device ? device_size(device) : 0, &trial->why);
    if (!err && seal->pinned)
        err = keeper_try_alone(seal->file, fd, &trial->why);
    if (err && trial->why.lost) /* the kernel says so once, and has said it to us */
        export_note_loss(trial->keeper->exports, export);
    file_data_close(seal->file, FILE_READ);
    return err;
}

static void tried(struct loop_msg *msg)
{
    struct trial *trial = container_of(msg, struct trial, msg);
    end_trial(trial, trial->error ? NFS4ERR_INVAL : NFS4_OK, trial->error ? trial->why.text : "");
}

static void try_on_worker(struct work *work)
{
    struct trial *trial = container_of(work, struct trial, work);
    trial->error = try_file(trial);
    trial->msg.run = tried;
    jobs_come_home(&trial->keeper->jobs, &trial->msg);
}

static void run_trial(struct loop_msg *msg)
{
    struct trial *trial = container_of(msg, struct trial, msg);
    struct engine_seal_view view;
    char why[KEEPER_WHY_MAX];
    if (engine_seal_view(trial->keeper->engine, &trial->key, &view) == 0) {
        snprintf(why, sizeof why, "has a %s seal already (%s)",
                 view.kind == SEAL_KIND_PINNED ? "pinned" : "frozen",
                 engine_state_name(view.state));
        end_trial(trial, NFS4_OK, why);
        return;
    }
    trial->work.run = try_on_worker;
    trial->work.key = worker_key(trial->key.data);
    jobs_submit(&trial->keeper->jobs, &trial->work);
}

void keeper_seal_try(struct keeper *keeper, struct keeper_seal *seal)
{
    struct trial *trial = calloc(1, sizeof *trial);
    if (!trial) {
        keeper_reply(&seal->call, NFS4ERR_DELAY, "out of memory");
        return;
    }
    trial->keeper = keeper;
    trial->seal = seal;
    trial->key = *file_key(seal->file);
    trial->msg.run = run_trial;
    keeper_recognize(keeper, seal->file, &trial->key, &trial->msg);
}
