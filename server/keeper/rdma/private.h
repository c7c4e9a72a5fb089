/*
 * private.h - what the files of keeper/rdma share. All of it is the keeper's thread's.
 *
 * keeper/rdma/rdma.c         the device, requests, what others see
 * keeper/rdma/client.c  clients: their peers, secrets, fences
 * keeper/rdma/file.c    files: their mappings, registrations, and the gate of a release
 * keeper/rdma/pinning.c what of a file is registered, how much may be pinned, and whose gives way
 */
#ifndef SEALNFS_SERVER_KEEPER_RDMA_PRIVATE_H
#define SEALNFS_SERVER_KEEPER_RDMA_PRIVATE_H

#include <netinet/in.h>
#include <uthash.h>
#include <utlist.h>

#include "layout/container_of.h"
#include "layout/journal/record.h"
#include "rdma/peer.h"
#include "server/base/jobs.h"
#include "server/base/loop.h"
#include "server/base/worker.h"
#include "server/file/file.h"
#include "server/keeper/rdma/rdma.h"

enum { KEEPER_RDMA_ADDRESS_TEXT = 64, KEEPER_RDMA_NETID = 8 };

struct rdma_client;
struct rdma_file;

enum registration_state {
    REGISTRATION_WANTED, /* waits for the client's peer, the file's mapping, or for room */
    REGISTRATION_MAKING,
    REGISTRATION_THERE,
    REGISTRATION_GOING,
    REGISTRATION_LEFT, /* not known to be void: the client's fence will tell */
};

/* A file registered for a client, to read or to write. */
struct registration {
    struct registration *file_next, *client_next;
    struct rdma_file *file;
    struct rdma_client *client;
    enum registration_state state;
    bool writable;
    bool granted;   /* the engine has a grant that stands on it */
    bool detached;  /* its client was fenced: void, freed with its last user */
    unsigned users; /* requests between here and the engine's answer, and a job */
    struct rdma_region *region;
    struct layout_memory memory;
    struct layout_piece pieces[LAYOUT_MEMORY_PIECES]; /* of it */
    struct rdma_call *waiting;
};

struct rdma_file {
    struct file_key key;
    struct rdma_memory *memory[2]; /* for reading, for writing */
    bool mapping;                  /* a job makes memory[0] */
    unsigned jobs;
    int fd; /* between two steps of sealing; -1 */
    char why_readonly[KEEPER_RDMA_WHY_MAX], why[KEEPER_RDMA_WHY_MAX];
    struct registration *registrations;
    struct keeper_rdma_gate *gates;
    UT_hash_handle hh;
};

enum rdma_client_state { CLIENT_NEW, CLIENT_CREATING, CLIENT_READY, CLIENT_FENCING, CLIENT_STUCK };

struct rdma_fence {
    struct rdma_fence *next;
    struct loop_msg msg;
    struct keeper_rdma *rdma;
    uint64_t ticket, client_id;
    bool success;
};

/* One run of a client, under one client id. */
struct rdma_client {
    struct rdma_client *next;
    struct keeper_rdma *rdma;
    uint8_t *owner;
    uint32_t owner_len;
    uint8_t verifier[JOURNAL_VERIFIER_SIZE];
    char address[JOURNAL_ADDRESS_MAX];
    uint64_t client_id, number;
    uint8_t secret[RDMA_SECRET_SIZE];
    enum rdma_client_state state;
    bool over; /* its client id is */
    bool lapsed;
    uint64_t lapsed_ns; /* since when; 0: it never has */
    bool making_room;   /* it is fenced for that */
    struct rdma_peer *peer;
    unsigned jobs; /* that use the peer */
    struct registration *registrations;
    struct rdma_call *describing, *returning;
    struct rdma_fence *fences; /* to be told */
};

struct keeper_rdma {
    struct keeper_rdma_parts parts;
    struct rdma_target *target; /* NULL: no device now */
    bool gone;                  /* its device was removed: it goes when its last peer has */
    bool listening;             /* a job looks for the device */
    bool stopping;              /* nobody is given anything any more */
    char why[RDMA_WHY_MAX];     /* there is none */
    struct rdma_limits limits;
    struct event *events[2], *timer;
    struct rdma_job *jobs; /* on workers, or on their way home */
    unsigned addresses_count;
    struct sockaddr_in6 addresses[RDMA_TARGET_MAX_ADDRESSES]; /* or a sockaddr_in in it */
    char netids[RDMA_TARGET_MAX_ADDRESSES][KEEPER_RDMA_NETID];
    char uaddrs[RDMA_TARGET_MAX_ADDRESSES][KEEPER_RDMA_ADDRESS_TEXT];
    netaddr4 netaddrs[RDMA_TARGET_MAX_ADDRESSES];
    struct rdma_client *clients,
        *zombies; /* zombies: fenced, and their peer cannot be destroyed yet */
    struct rdma_file *files;
    struct rdma_counters past; /* of targets that are gone */
};

/* What a LAYOUTGET wants registered. */
struct rdma_want {
    const struct engine_layoutget *get;
    struct file *file;
    struct engine_seal_view seal;
};

/* A job on a worker, and its way home. */
struct rdma_job {
    struct work work;
    struct loop_msg home;
    struct rdma_job *prev, *next;
    struct keeper_rdma *rdma;
    struct rdma_client *client;
    struct rdma_peer *peer;
    struct registration *registration;
    struct rdma_file *rfile;
    struct file *file;
    struct rdma_memory *memory;
    int fd; /* -1: none */
    struct rdma_region *region;
    struct rdma_facts facts;
    struct seal_map *map;
    uint64_t size;
    bool writable;
    int error;
    char why[RDMA_WHY_MAX];
};
/* Never NULL: what has begun must be ended. */
struct rdma_job *rdma_job_make(struct keeper_rdma *rdma, void (*run)(struct work *work),
                               void (*home)(struct loop_msg *msg));
void rdma_job_free(struct rdma_job *job);
void rdma_job_submit(struct rdma_job *job);
struct rdma_job *rdma_job_of_work(struct work *work);
struct rdma_job *rdma_job_of_home(struct loop_msg *msg);

void rdma_calls_finish(struct keeper_rdma *rdma, struct rdma_call **list, nfsstat4 status,
                       const char *why);
void rdma_calls_post(struct keeper_rdma *rdma, struct rdma_call **list);

/* keeper/rdma/rdma.c */
void keeper_rdma_answered(struct rdma_call *call, bool granted);
/* A peer of the target has gone; the target's end may have waited for it. */
void rdma_target_settle(struct keeper_rdma *rdma);

/* keeper/rdma/client.c */
void keeper_rdma_fence(struct keeper_rdma *rdma, const struct engine_effect *effect);
void keeper_rdma_client(struct keeper_rdma *rdma, enum engine_client_event what,
                        uint64_t client_id);
/* NULL: *status and *why say what is in the way. Creation may be under way yet. */
struct rdma_client *rdma_client_get(struct keeper_rdma *rdma, uint64_t client_id, nfsstat4 *status,
                                    const char **why);
struct rdma_client *rdma_client_of_run(struct keeper_rdma *rdma, const uint8_t *owner,
                                       uint32_t owner_len, const uint8_t *verifier);
struct rdma_client *rdma_client_of_id(struct keeper_rdma *rdma, uint64_t client_id);
void rdma_client_drive(struct rdma_client *client); /* makes its peer */
void rdma_client_begin_fence(struct rdma_client *client);
/* A job or a registration of it has ended: what waited for that goes on. */
void rdma_client_settle(struct rdma_client *client);
bool rdma_clients_stop(struct keeper_rdma *rdma); /* true: there are none any more */
void rdma_clients_destroy(struct keeper_rdma *rdma);

/* keeper/rdma/file.c */
void keeper_rdma_enter(struct keeper_rdma *rdma, const struct file_key *key,
                       struct keeper_rdma_gate *gate);
void keeper_rdma_keep_fd(struct keeper_rdma *rdma, const struct file_key *key, int fd);
int keeper_rdma_take_fd(struct keeper_rdma *rdma, const struct file_key *key);
struct rdma_memory *keeper_rdma_map(int fd, uint64_t size, char *why);
void keeper_rdma_keep_memory(struct keeper_rdma *rdma, const struct file_key *key,
                             struct rdma_memory *memory, const char *why);
void keeper_rdma_drop_memory(struct keeper_rdma *rdma, struct rdma_memory *memory);
const char *keeper_rdma_why(const struct keeper_rdma *rdma, const struct file_key *key);
bool keeper_rdma_refuses(const struct keeper_rdma *rdma, struct file *file,
                         const struct engine_seal_view *seal, bool writable,
                         char why[KEEPER_RDMA_WHY_MAX]);
struct rdma_file *rdma_file_find(const struct keeper_rdma *rdma, const struct file_key *key);
void rdma_file_settle(struct keeper_rdma *rdma, struct rdma_file *file);
void rdma_registration_want(struct rdma_client *client, struct rdma_call *call,
                            const struct rdma_want *want);
void rdma_registration_drive(struct registration *registration);
/* Its peer cannot be had. */
void rdma_registrations_fail(struct rdma_client *client, nfsstat4 status, const char *why);
/* Takes it back if nobody needs it. */
void rdma_registration_drop(struct registration *registration);
struct registration *rdma_registration_find(const struct rdma_client *client,
                                            const struct file_key *key, bool writable);
/* The client's fence has ended: all of them are void, or still not known to be. */
void rdma_registrations_voided(struct rdma_client *client);
/* The request has done with it. */
void rdma_registration_leave(struct registration *registration);
void rdma_gates_fail(struct rdma_client *client);

/* keeper/rdma/pinning.c */
/* What of the file holds data. Where it is in too many pieces, the smallest holes between them are
 * taken along. Pure; any thread. */
unsigned rdma_data_of_map(const struct seal_map *map, struct rdma_range ranges[RDMA_MEMORY_PIECES]);
struct rdma_limits rdma_limits_of(const struct config *config);
enum rdma_room {
    ROOM_FOR_PAGES,        /* by our own limits */
    ROOM_FOR_REGISTRATION, /* by the kernel's or the device's, which count each */
    ROOM_FOR_PEER,         /* a protection domain */
};
/*
 * Somebody wants what there is no room for. Who is past his lease, or gone, has what was
 * registered for him by courtesy, and that ends where others want it: he is fenced from memory,
 * which the engine need not know; to it he has his grants until it fences him itself. True:
 * rdma_room_came() is called when that has ended, by whatever end.
 */
bool rdma_room_is_coming(struct keeper_rdma *rdma, enum rdma_room room);
void rdma_room_came(struct keeper_rdma *rdma);
void rdma_files_destroy(struct keeper_rdma *rdma);

#endif
