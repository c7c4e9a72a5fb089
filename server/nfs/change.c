/*
 * change_info4; see change.h. On the worker that changes the directory.
 */
#include "server/nfs/change.h"

#include "server/file/file.h"

static uint64_t change_now(struct file *dir)
{
    struct file_stat stat;

    return file_stat_basic(dir, &stat) == 0 ? stat.change : 0;
}

void change_before(struct file *dir, change_info4 *info)
{
    info->atomic = false;
    info->before = change_now(dir);
    info->after = info->before;
}

void change_after(struct file *dir, change_info4 *info)
{
    file_changed(dir);
    info->after = change_now(dir);
}
