/*
 * control_ops.h - what can be asked on the control socket.
 */
#ifndef SEALNFS_SERVER_CONTROL_OPS_H
#define SEALNFS_SERVER_CONTROL_OPS_H

#include <jansson.h>
#include <stddef.h>

struct loop;
struct server;

/* Called once with the answer, on the control loop; takes over the reference. NULL: out of memory. */
typedef void (*control_answer_fn)(void *context, json_t *reply);

/* Carry out one request line. Control loop only; the answer may come before this returns. The line is copied.
 */
void control_request(struct server *server, struct loop *loop, const char *line, size_t length,
                     control_answer_fn answer, void *context);
/* The same for one that is read already. Takes over the reference; NULL: out of memory. */
void control_submit(struct server *server, struct loop *loop, json_t *json, control_answer_fn answer,
                    void *context);

#endif
