/*
 * config.h - what sealnfs.conf says, checked. Loaded before threads start; a reload (SIGHUP) loads
 * a new one beside it and swaps what may change while running (exports' clients and access, log
 * level, timeouts).
 *
 * All strings are owned by the config and NUL-terminated. Times are in seconds, sizes in bytes.
 */
#ifndef SEALNFS_SERVER_CONFIG_CONFIG_H
#define SEALNFS_SERVER_CONFIG_CONFIG_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/types.h>

#include "server/base/log.h"

enum config_squash { SQUASH_NONE, SQUASH_ROOT, SQUASH_ALL };
enum config_policy { POLICY_MANUAL, POLICY_AT_REST };
/* The disk's type; with RDMA beside it, or RDMA alone. */
enum config_layout_types {
    LAYOUT_TYPES_AUTO,
    LAYOUT_TYPES_SCSI,
    LAYOUT_TYPES_BLOCK,
    LAYOUT_TYPES_NO_DISK,
    LAYOUT_TYPES_DISK = 3, /* a mask */
    LAYOUT_TYPES_RDMA = 4, /* a flag */
};

/* Who may use an export: an address with its prefix length (IPv4 is kept IPv4-mapped, prefix + 96,
 * so one comparison serves both); or a name, which has to be looked up (host_names.h).
 */
struct config_network {
    struct in6_addr address;
    unsigned prefix;
    char *name; /* instead: "host.example.org", "*.example.org", "@netgroup" */
};
enum { CONFIG_NAME_MAX = 255 };

struct config_export {
    char *pseudo;     /* where clients see it: "/data"; "/" for the root itself */
    char *path;       /* absolute; what is not there is held back */
    char *mountpoint; /* "auto", "true", "false" or an absolute path; NULL as "auto" */
    uint32_t id;      /* stable: from the option, else derived from the pseudo path; unique */
    bool unprivileged_ports; /* requests from ports above 1023 are taken */
    bool writable;
    enum config_squash squash;
    uid_t anon_uid;
    gid_t anon_gid;
    bool manage_gids; /* a user's groups are those that this machine knows, not what clients say */
    bool layouts;
    bool stripes;       /* layouts on striped volumes too */
    bool scsi_volatile; /* SCSI layouts where the target may forget who was fenced */
    enum config_layout_types layout_types;
    enum config_policy policy;
    uint64_t
        at_rest_min_size;   /* bytes; files below are never sealed at rest; sent as mdsthreshold */
    bool pinned_on_reflink; /* pinned seals where files can be cloned: local opens are kept away */
    bool local_opens_wait;  /* these wait, and are not refused */
    bool direct_writes;     /* files grow under a seal, while clients write to them by themselves */
    uint64_t direct_writes_min_size; /* bytes: not what is smaller */
    uint64_t direct_writes_reserve;  /* bytes made ready past a file's end, at least */
    size_t include_count, exclude_count;
    char **include, **exclude; /* patterns of paths below the export: what is sealed at rest */
    size_t network_count;      /* 0: nobody */
    struct config_network *networks;
};

struct config {
    char *file;        /* path it came from, absolute */
    char *include_dir; /* NULL: the one beside it, if that is there; "": none */
    size_t listen_count;
    char **listen; /* numeric addresses */
    uint16_t port;
    unsigned loops;   /* 0: one a CPU (cpu_count.h), up to 8 */
    unsigned workers; /* 0: 2 a CPU, 4 to 16 */
    char *state_dir;
    char *node; /* this machine's name; never NULL once loaded */
    size_t rdma_listen_count;
    char **rdma_listen; /* numeric addresses of one RDMA device; none: no RDMA layouts */
    uint16_t rdma_port;
    uint64_t rdma_max_pinned, rdma_max_pinned_per_client; /* bytes; 0: by what the process has */
    char *control_socket;
    char *control_group;     /* NULL: root only */
    unsigned metrics_rows;   /* at most so many clients, and exports, have rows of their own */
    char *metrics_listen;    /* NULL: none; "address:port" for scrapers */
    char *trace_file;        /* NULL: none; one JSON line per layout engine event and effect */
    uint64_t trace_max_size; /* bytes; 0: no bound */
    unsigned lease_time;
    unsigned grace_time;     /* default: the lease time */
    unsigned recall_timeout; /* from CB_LAYOUTRECALL to the fence; default: the lease time */
    unsigned max_grants;     /* soft; 0: no limit */
    char *fence_hook;        /* NULL: none */
    unsigned fence_timeout;  /* a hook that runs longer has failed */
    unsigned fence_retry;    /* STUCK: tried again after so long */
    bool quiesce_is_safe;    /* no hook: lease expiry + quiesce_time counts as a fence; the operator
                                says so */
    unsigned quiesce_time;
    unsigned initiator_settle_time; /* reserved disks; 0: not believed */
    unsigned device_interval;       /* the exports' devices are looked at again after so long */
    unsigned
        at_rest_pause;    /* before a file that gave way is sealed at rest again, the first time */
    unsigned at_rest_max; /* seals at rest */
    unsigned scrub_interval; /* every sealed file is looked at once in it; 0: never */
    unsigned max_connections;
    unsigned max_clients;
    unsigned max_sessions_per_client;
    unsigned max_slots;                                /* per session */
    uint32_t max_io_size;                              /* rsize/wsize, bytes */
    uint64_t max_request_memory;                       /* bytes over all connections */
    char *idmap_domain;                                /* NULL: libnfsidmap's own configuration */
    char *implementation_name, *implementation_domain; /* NULL: the true ones */
    bool numeric_owners; /* send owners as numbers when AUTH_SYS is used (what Linux clients expect)
                          */
    bool utf8_names;     /* refuse and hide names that are not UTF-8 */
    bool sync_metadata;  /* commit directory and inode changes before the reply */
    bool rpcbind;
    bool confine; /* threads to what they need of the kernel (base/confine.h) */
    enum log_level log_level;
    size_t export_count;
    struct config_export *exports;
};

/* Load and check, with what its include directory has (sources.h). For every mistake one line
 * "file:line: what is wrong; what to do" goes to `errors`, in the order of the lines, and -EINVAL
 * is returned; or -ENOMEM, -ENOENT and the like, with one line. Any thread. */
int config_load(const char *path, FILE *errors, struct config **out);
void config_free(struct config *config);
/* Every option with its value, in the file's own syntax and in one file: what is read from there is
 * the same. */
void config_dump(const struct config *config, FILE *out);
/* What it would serve, for people: exports, ports, layout types. */
void config_describe(const struct config *config, FILE *out);
/* The paths that the file names, mistakes or not, each in a line: "state /srv/state" and
 * "export /srv/data". For who orders the start after their mounts. -errno when the
 * file cannot be read. */
int config_print_paths(const char *path, FILE *out);
/* The name of this node by the file, mistakes or not; the machine's own where the file names none,
 * or is not there. There is room for NODE_NAME_SIZE. */
int config_find_node(const char *path, char *name);
/* Of the options that differ, the names of those that take effect at a start only, as "port,
 * trace_file"; empty: none does. */
void config_name_fixed(const struct config *old, const struct config *new, char *names,
                       size_t size);
/* Makes the default directories of our own that are not there; one that the file names is, or it
 * was refused. 0, or -errno, told in the log. */
int config_make_places(const struct config *config);

/* Every option as documentation generators and drift tests see it. */
struct config_option {
    const char *section; /* "" for top level, "export" */
    const char *name;
    const char *type; /* "string", "strings", "int", "size", "bool", "seconds" */
    const char *default_text;
    const char *help;
};
const struct config_option *config_options(size_t *count);

/* "192.0.2.0/24", "2001:db8::/32", an address alone without its length, or the name. */
void config_network_print(const struct config_network *network, char *text, size_t size);

/* Clients of the export may be given layouts of this disk type; RDMA layouts. */
enum config_layout_types config_export_disk_types(const struct config_export *export);
bool config_export_has_rdma(const struct config_export *export);

/* Does an address or a network of the list admit this peer (IPv4-mapped for IPv4)? Names are not
 * looked at. */
bool config_export_admits(const struct config_export *export, const struct in6_addr *peer);

#endif
