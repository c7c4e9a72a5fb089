/*
 * sealio bench: a load generator for any NFSv4.1 server. Each connection has a client id and a
 * session of its own and one COMPOUND under way; the COMPOUNDs are built once and sent again and
 * again with a few words changed, from one epoll loop, so that the generator costs a small part of
 * what the server does.
 *
 * tools/sealio/bench.c: options, the order of things, results. tools/sealio/bench_setup.c: what has
 * to be on the server, one connection's session. tools/sealio/bench_ops.c: the COMPOUNDs of each
 * operation. tools/sealio/bench_load.c: the loop and the latencies. tools/sealio/bench_recall.c:
 * layouts that are recalled. One thread. tools/sealio/bench_rdma.c is a bench of its own: one
 * file's data path.
 */
#ifndef TOOLS_SEALIO_BENCH_H
#define TOOLS_SEALIO_BENCH_H

#include "client/path.h"
#include "tools/sealio/tool.h"

enum { BENCH_MAX_STEPS = 3, BENCH_CALL_SIZE = 1024, BENCH_FILES = 100, BENCH_BUCKETS = 64 * 32 };

/* The data file is read and written in regions, one a connection (several share one past REGIONS).
 */
enum { BENCH_REGION = 4 << 20, BENCH_REGIONS = 16 };

/* What all connections use. Made and removed by bench_ground_*(). */
struct bench_ground {
    struct sealio_session *session;
    char path[4200]; /* the bench's own directory */
    struct sealio_fh dir, data, layout;
    const char *layout_path; /* an existing file that has layouts, or NULL */
};

/* One COMPOUND of an operation. */
struct bench_step {
    uint8_t *buf; /* BENCH_CALL_SIZE */
    struct sealio_call call;
    struct iovec iov[XDR_OUT_MAX_IOV];
    unsigned iov_count;
    uint32_t take_op;   /* its result brings a stateid for a later step: OP_OPEN or OP_LAYOUTGET; 0:
                           none */
    size_t stateid_pos; /* where the taken stateid goes; 0: nowhere */
    size_t offset_pos;  /* where the file offset goes; 0: nowhere */
    bool is_null;       /* the NULL procedure: no COMPOUND in the reply */
};

struct bench_conn {
    int fd;
    unsigned index;
    uint32_t xid, sequence;
    sessionid4 session;
    clientid4 client;
    uint32_t max_request, max_reply; /* bytes, as the session has it */
    stateid4 open;                   /* of the data or layout file */
    bool has_open, has_layout;       /* has_layout: taken is a layout's, to be returned */
    const struct sealio_fh *file;
    stateid4 taken;
    unsigned step_count, step;
    struct bench_step steps[BENCH_MAX_STEPS];
    uint64_t offset, offset_step;
    uint64_t op_start_ns;
    uint8_t *rx;
    size_t rx_room, rx_have;
    uint64_t rx_total; /* of the record under way, mark included; 0: not known yet */
    unsigned tx_index; /* iovec entries already sent */
    struct iovec tx[XDR_OUT_MAX_IOV];
};

struct bench_op {
    const char *name, *describe;
    bool needs_open, needs_layout, holds_only;
    bool recalls; /* what is held is given back while --release-command runs */
    /* Builds the steps of a connection. 0 or a negative errno. */
    int (*build)(struct bench_conn *conn, const struct bench_ground *ground);
};
const struct bench_op *bench_op_find(const char *name);
const struct bench_op *bench_op_at(size_t index); /* NULL past the last */

struct bench_latency {
    uint64_t count;
    uint32_t buckets[BENCH_BUCKETS];
};
void bench_latency_add(struct bench_latency *latency, uint64_t ns);
double bench_latency_us(const struct bench_latency *latency, double part);

struct bench_result {
    uint64_t ops, errors, recalls;
    nfsstat4 first_error;
    uint64_t bytes; /* of requests and replies, on the wire */
    double seconds;
    long server_pid, server_processor; /* whose CPU time; 0 and negative: nobody's */
    double server_cpu,
        own_cpu; /* seconds of CPU time while measuring; server_cpu negative: not known */
    struct bench_latency all, first; /* whole operations; their first COMPOUND, or the recall */
};
/* Take the CPU times at the ends of the measurement. */
void bench_mark_begin(struct bench_result *result);
void bench_mark_end(struct bench_result *result);

/* The server tries the backchannel (CB_NULL): say that it works. */
int bench_answer_probe(struct bench_conn *conn, uint32_t xid, uint64_t deadline_ms);
/* Those that have come by now, on connections that wait for nothing else: a server that has no
 * answer for seconds gives no layouts. */
int bench_answer_probes(struct bench_conn *conns, unsigned count);

int bench_ground_make(struct bench_ground *ground, const struct sealio_url *url,
                      const char *layout_path);
void bench_ground_remove(struct bench_ground *ground);
/* Connects, makes a session, opens what the operation needs. text gets a sentence on error. */
int bench_conn_open(struct bench_conn *conn, const struct sealio_url *url, unsigned index,
                    char *text, size_t size);
int bench_conn_prepare(struct bench_conn *conn, const struct bench_op *op,
                       const struct bench_ground *ground, char *text, size_t size);
void bench_conn_close(struct bench_conn *conn);
/* One COMPOUND there and back, for set-up. 0: the reply's SEQUENCE (if any) was fine. */
int bench_roundtrip(struct bench_conn *conn, struct sealio_call *call, struct sealio_reply *reply);
void bench_begin(struct bench_conn *conn, struct sealio_call *call, uint8_t *buf,
                 bool with_sequence);

/* Runs the command, answers the recalls that it brings, returns the layouts. -ECHILD: it failed. */
int bench_recall(struct bench_conn *conns, unsigned count, const char *command,
                 struct bench_result *result);

/* sealio bench --rdma: has options of its own. */
int tool_bench_rdma(int argc, char **argv);

/* Runs the operation on all connections for so long, after a warm-up. 0 or the error that ended it.
 */
int bench_load(struct bench_conn *conns, unsigned count, double warm_up, double seconds,
               struct bench_result *result);

#endif
