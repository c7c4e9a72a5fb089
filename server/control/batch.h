/*
 * batch.h - one request of the control socket over many files: {"op":"seal","files":[...]}.
 * Its files are asked for at once, so that workers, the disk and the journal's flushes are shared;
 * the answer has a result for each. Control loop.
 */
#ifndef SEALNFS_SERVER_CONTROL_BATCH_H
#define SEALNFS_SERVER_CONTROL_BATCH_H

#include <jansson.h>

#include "server/control/ops.h"

enum { CONTROL_BATCH_MAX = 4096 };

/* request has a list "files"; it is borrowed. */
void control_batch(struct server *server, struct loop *loop, json_t *request,
                   control_answer_fn answer, void *context);

#endif
