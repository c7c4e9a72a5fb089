/*
 * A client of the data path in a process of its own, by raw verbs: does what it is told, allowed or
 * not.
 */
#ifndef TESTS_RAW_CLIENT_H
#define TESTS_RAW_CLIENT_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

enum { RAW_BUFFER = 1 << 20, RAW_NO_ANSWER = 1000, RAW_NOT_CONNECTED = 1001 };

struct raw_client {
    pid_t pid;
    int socket;
};

/* How a connection attempt ended: 0, or a negative errno; refusal is a rdma_refusal4 when it was
 * refused with one. */
struct raw_connected {
    int error;
    uint32_t refusal;
};

/* How an RDMA READ or WRITE ended: an ibv_wc_status (0 is success), or one of the two above. */
struct raw_done {
    int status;
    uint32_t operations; /* raw_client_read_until_error: how many went well before */
    uint64_t sum;        /* of the bytes read, each weighted by its place */
};

/* Forks: before the caller has used any verbs. server: its numeric address. */
void raw_client_start(struct raw_client *client, const char *server, uint16_t port);
/* It ends in order; or is killed where it stands. */
void raw_client_stop(struct raw_client *client);
void raw_client_kill(struct raw_client *client);

/* Connects anew, with these bytes as private data. */
struct raw_connected raw_client_connect(struct raw_client *client, const void *hello, uint8_t len);
struct raw_done raw_client_read(struct raw_client *client, uint64_t address, uint32_t key,
                                uint32_t len);
/* Writes len bytes of `fill`. */
struct raw_done raw_client_write(struct raw_client *client, uint64_t address, uint32_t key,
                                 uint32_t len, uint8_t fill);
/* Begins to read again and again until it fails; returns when the first has gone well. */
void raw_client_read_until_error(struct raw_client *client, uint64_t address, uint32_t key,
                                 uint32_t len);
struct raw_done raw_client_wait(struct raw_client *client);
/* The same sum over bytes here. */
uint64_t raw_sum(const uint8_t *bytes, uint32_t len);

#endif
