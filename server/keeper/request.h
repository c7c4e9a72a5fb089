/*
 * request.h - a request to the keeper on its way through the engine; for keeper/request.c
 * and keeper/local.c.
 */
#ifndef SEALNFS_SERVER_KEEPER_REQUEST_H
#define SEALNFS_SERVER_KEEPER_REQUEST_H

#include "server/keeper/private.h"
#include "server/keeper/rdma/rdma.h"
#include "server/keeper/san/san.h"

enum { REQUEST_PATH_MAX = 1024 };

enum request_kind {
    REQUEST_LAYOUTGET,
    REQUEST_LAYOUTRETURN,
    REQUEST_LAYOUTCOMMIT,
    REQUEST_SEAL,
    REQUEST_RELEASE,
    REQUEST_FORGET,
    REQUEST_EXPEL,
    REQUEST_WROTE,
    REQUEST_ROOM,
    REQUEST_RESIZE,
    REQUEST_DEVICEINFO,
    REQUEST_TEST_STATEIDS,
    REQUEST_MAP,
    REQUEST_CLIENT_QUERY,
    REQUEST_VIEW,
    REQUEST_FIGURES,
    REQUEST_HOLD,
    REQUEST_LOOK,
};

/* The engine's half of a request; the caller's half is `of`. */
struct request {
    struct loop_msg msg;
    struct keeper *keeper;
    enum request_kind kind;
    struct keeper_call *of;
    union {
        struct engine_call call; /* first in all the others */
        struct engine_layoutget get;
        struct engine_layoutreturn ret;
        struct engine_layoutcommit commit;
        struct engine_seal seal;
        struct engine_release release;
        struct engine_forget forget;
        struct engine_expel expel;
        struct engine_wrote wrote;
        struct engine_room room;
        struct engine_resize resize;
        struct file_key key;  /* VIEW: of the seal */
        struct san_wait look; /* LOOK */
    };
    struct engine_event event; /* of those that are nothing but one */
    char path[REQUEST_PATH_MAX];
    struct rdma_call rdma;
};

/* NULL: out of memory, and answered. */
struct request *request_make(struct keeper *keeper, enum request_kind kind, struct keeper_call *of,
                             void (*run)(struct loop_msg *msg));
void request_post(struct request *request);
void request_finish(struct request *request, nfsstat4 status, const char *why);
/* What a LAYOUTGET of the file begins with: its key, and whether it may be sealed for it. False:
 * there are no layouts there, and it has been answered. */
bool request_for_layout(struct request *request, struct file *file, const struct export *export,
                        uint64_t reserve);
void keeper_reply(struct keeper_call *call, nfsstat4 status, const char *why);
void keeper_hold_granted(struct request *request);

#endif
