/*
 * reserver.h - a thread for each device under a reservation, which does what blocks for as long as
 * a path may be down: keeping the reservation, reading keys, preempting some
 * (layout/reservation/reservation.h). One job after the other, so nobody else speaks of
 * reservations to those disks at the same time.
 */
#ifndef SEALNFS_SERVER_KEEPER_SAN_RESERVER_H
#define SEALNFS_SERVER_KEEPER_SAN_RESERVER_H

#include <stdbool.h>
#include <stdint.h>

#include "layout/device/device.h"
#include "layout/key/rule.h"
#include "layout/reservation/reservation.h"
#include "server/base/loop.h"

struct reserver;

struct reserver_disk {
    struct designator name;
    int error; /* of the check, or of the preemption */
    struct reservation_loss loss;
    bool missed;         /* a victim was or is there, and not for our PREEMPT AND ABORT to end */
    bool persists;       /* registrations outlive a power failure, it says */
    bool held;           /* error is -EBUSY: somebody holds the disk */
    uint64_t holder_key; /* who; 0: all who are registered */
    uint32_t generation;
    struct key_registration *reg; /* as it was at the end; malloc'ed, the job's */
    size_t count;
};

struct reserver_victim {
    struct designator disk;
    uint64_t key;
};
enum { RESERVER_VICTIMS_MAX = DEVICE_BASES_MAX * KEY_VICTIMS_MAX }; /* all that are marked */

struct reserver_job {
    struct loop_msg home; /* posted once to `loop`; the caller sets run */
    struct loop *loop;
    uint64_t since;      /* the caller's: when it was submitted */
    size_t victim_count; /* to be preempted; none: only look */
    struct reserver_victim victim[RESERVER_VICTIMS_MAX];
    struct reserver_job *next;
    uint32_t disk_count; /* out, from here on */
    struct reserver_disk disk[DEVICE_BASES_MAX];
};

/* Takes a reference to the device. before: what a version before nodes had keys held it by. */
int reserver_create(struct device *device, uint64_t own_key, uint64_t before,
                    struct reserver **out);
/* The same device with other paths to its disks; for the jobs after this. */
void reserver_set_device(struct reserver *reserver, struct device *device);
void reserver_submit(struct reserver *reserver, struct reserver_job *job);
/* Frees what the job brought home; not the job. */
void reserver_job_clear(struct reserver_job *job);
/* No job comes home any more. false: a thread hangs in a path that is down and is left to itself,
 * with its job. */
bool reserver_destroy(struct reserver *reserver);

#endif
