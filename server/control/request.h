/*
 * request.h - a request of the control socket under way; for control/ops.c,
 * control/hold.c and control/clients.c. Control loop only, but for what a worker does with `work`.
 */
#ifndef SEALNFS_SERVER_CONTROL_REQUEST_H
#define SEALNFS_SERVER_CONTROL_REQUEST_H

#include "layout/container_of.h"
#include "server/base/loop.h"
#include "server/base/worker.h"
#include "server/client/client.h"
#include "server/client/ending.h"
#include "server/control/ops.h"
#include "server/control/reload.h"
#include "server/keeper/keeper.h"

struct control_request;
struct evbuffer;

struct control_op {
    const char *name;
    enum { FILE_NONE, FILE_MAY, FILE_MUST } file;
    void (*start)(struct control_request *request);
};

struct control_request {
    struct server *server;
    struct loop *loop;
    struct control_peer *peer;
    control_answer_fn answer;
    void *context;
    const struct control_op *op;
    json_t *json;
    char *path; /* of "file" or "file_hex"; NULL: none */
    struct file *file;
    int error;            /* of opening the file */
    struct work work;     /* opening the file */
    struct loop_msg home; /* and back */
    unsigned next_loop;   /* clients, expel: the loop being asked */
    struct client_walk walk;
    json_t *clients;
    struct doctor *doctor;
    struct evbuffer *line; /* of a list: what is not written yet */
    enum { LIST_NONE, LIST_BEGUN, LIST_HAS_ROWS } list;
    uint64_t client_id; /* expel: who is meant */
    bool was_fenced;    /* expel: to end it */
    struct expiry_wait expiry;
    struct hold *hold; /* hold, return, wrote */
    struct reload_ask reload;
    char asker[64]; /* fenced, expel: the process that asks */
    union {
        struct keeper_call call;
        struct keeper_seal seal;
        struct keeper_release release;
        struct keeper_forget forget;
        struct keeper_expel expel;
        struct keeper_view view;
        struct keeper_local_request local;
        struct keeper_hold hold;
        struct keeper_layoutreturn ret;
        struct keeper_wrote wrote;
    } keeper;
};

#define REQUEST_OF(member, pointer) container_of(pointer, struct control_request, member)

/* Answers and frees; reply may be NULL: out of memory. */
void request_answer(struct control_request *request, json_t *reply);
void request_fail(struct control_request *request, const char *code, const char *sentence);

/* control/clients.c */
void start_clients(struct control_request *request);
void start_expel(struct control_request *request);

/* control/counters.c */
void start_counters(struct control_request *request);

/* control/doctor.c */
void start_doctor(struct control_request *request);

/* control/list.c */
void start_list(struct control_request *request);

/* control/hold.c */
void start_holder(struct control_request *request);
void start_hold(struct control_request *request);
void start_return(struct control_request *request);
void start_resumed(struct control_request *request);
void start_wrote(struct control_request *request);
void start_fenced(struct control_request *request);

#endif
