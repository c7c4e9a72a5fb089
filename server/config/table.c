/*
 * table.c - the table of options: names, types, defaults, ranges and their explanation, and
 * the reading of single values by type.
 */
#include "server/config/table.h"

#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "server/base/node.h"
#include "server/config/config.h"
#include "server/config/value.h"

static const char *const type_names[] = {
    [TYPE_TEXT] = "string",
    [TYPE_NODE] = "name",
    [TYPE_PSEUDO] = "path",
    [TYPE_DIRECTORY] = "directory",
    [TYPE_INCLUDE] = "directory",
    [TYPE_EXPORTED] = "directory",
    [TYPE_PLACE] = "path",
    [TYPE_PROGRAM] = "program",
    [TYPE_GROUP] = "group",
    [TYPE_ADDRESSES] = "addresses",
    [TYPE_NETWORKS] = "networks",
    [TYPE_UNSIGNED] = "number",
    [TYPE_PORT] = "number",
    [TYPE_ID] = "number",
    [TYPE_SIZE32] = "size",
    [TYPE_SIZE64] = "size",
    [TYPE_BOOL] = "bool",
    [TYPE_ACCESS] = "\"rw\" or \"ro\"",
    [TYPE_MOUNTPOINT] = "\"auto\", bool or path",
    [TYPE_ALLOW] = "\"refuse\" or \"allow\"",
    [TYPE_ENDPOINT] = "address:port",
    [TYPE_PATTERNS] = "patterns",
    [TYPE_SQUASH] = "squash",
    [TYPE_POLICY] = "policy",
    [TYPE_LEVEL] = "log level",
    [TYPE_LAYOUT_TYPES] = "layout types",
};

#define AT(field) .offset = offsetof(struct config, field)
#define LIST(count, at)                                                                            \
    .count_offset = offsetof(struct config, count), .offset = offsetof(struct config, at)
#define XAT(field)       .offset = offsetof(struct config_export, field)
#define RANGE(low, high) .min = (low), .max = (high)

static const struct option server_options[] = {
    {"include_dir", TYPE_INCLUDE, NULL, AT(include_dir),
     .help =
         "Directory whose files *.conf are read after this one, in the order of their names, as "
         "if they stood here; nothing may be given twice. Default: the one beside this file "
         "with \".d\" for \".conf\" (/etc/sealnfs.d), if it is there. \"\": none."},
    {"listen", TYPE_ADDRESSES, "::", LIST(listen_count, listen),
     .help = "Numeric addresses to listen on. \"::\" takes IPv6 and IPv4."},
    {"port", TYPE_PORT, "2049", AT(port), RANGE(1, 65535), .help = "TCP port to listen on."},
    {"loops", TYPE_UNSIGNED, "0", AT(loops), RANGE(0, 64),
     .help = "Event loops, one thread each. 0: one a CPU that the server may use (its affinity "
             "mask, its cgroup's quota), 8 at most."},
    {"workers", TYPE_UNSIGNED, "0", AT(workers), RANGE(0, 256),
     .help = "Threads for blocking work on each file system. 0: two a CPU that the server may "
             "use, at least 4, at most 16. As many again are there for flushes, a quarter for "
             "seals that fill files, and as many for all other work: a file system that is "
             "frozen, or whose disk hangs, holds up nobody else, and long work no short one."},
    {"state_dir", TYPE_DIRECTORY, "/var/lib/sealnfs", AT(state_dir),
     .help = "Directory of the journal, the client records and the keys. Losing it means losing "
             "track of who "
             "may hold layouts: "
             "keep it on a disk that survives."},
    {"node", TYPE_NODE, NULL, AT(node),
     .help = "Name of this machine among those that serve from one state_dir, one after the other. "
             "Its reservation key on disks follows from it, so no two may have the same. Default: "
             "the machine's id (/etc/machine-id), which a copied machine has to be given anew."},
    {"control_socket", TYPE_PLACE, "/run/sealnfs/control.sock", AT(control_socket),
     .help = "Unix socket that sealctl talks to."},
    {"control_group", TYPE_GROUP, NULL, AT(control_group),
     .help = "Group that may use the control socket besides root."},
    {"rdma_listen", TYPE_ADDRESSES, NULL, LIST(rdma_listen_count, rdma_listen),
     .help = "Numeric addresses, all of one RDMA device, on which clients connect to read and "
             "write files in the "
             "server's memory (RDMA layouts; which exports have them says layout_types). No "
             "wildcards. Default: "
             "none."},
    {"rdma_port", TYPE_PORT, "20050", AT(rdma_port), RANGE(1, 65535),
     .help = "Port of the RDMA connection manager for them."},
    {"rdma_max_pinned", TYPE_SIZE64, "0", AT(rdma_max_pinned), RANGE(0, INT64_MAX),
     .help = "Bytes of frozen files' pages on ordinary disks that are pinned in memory for RDMA "
             "layouts, in all; pages that several clients have count once. Beyond it there are no "
             "more such layouts, and clients go through the server. 0: a quarter of the memory "
             "that the server may use (the machine's, its cgroup's), and no more than "
             "RLIMIT_MEMLOCK."},
    {"rdma_max_pinned_per_client", TYPE_SIZE64, "0", AT(rdma_max_pinned_per_client),
     RANGE(0, INT64_MAX), .help = "The same for one client. 0: half of rdma_max_pinned."},
    {"metrics_listen", TYPE_ENDPOINT, NULL, AT(metrics_listen),
     .help =
         "Address and port that answer GET /metrics for Prometheus, such as \"127.0.0.1:9820\". "
         "Without "
         "encryption or a password: keep it on loopback or a management network. Default: off."},
    {"metrics_rows", TYPE_UNSIGNED, "0", AT(metrics_rows), RANGE(0, 10000),
     .help = "So many clients, and so many exports, at most have rows of their own in the metrics. "
             "Each client that ever was makes series of its own in Prometheus. 0: none."},
    {"trace_file", TYPE_PLACE, NULL, AT(trace_file),
     .help = "File that gets one JSON line for every event and effect of the layout engine, "
             "numbered in order. A reload opens it anew."},
    {"trace_max_size", TYPE_SIZE64, "1G", AT(trace_max_size), RANGE(0, INT64_MAX),
     .help = "Bytes after which trace_file becomes trace_file.1, in place of an older one, and is "
             "begun anew: both together take twice as much. 0: no bound."},
    {"lease_time", TYPE_UNSIGNED, "90", AT(lease_time), RANGE(5, 3600),
     .help = "Seconds a client's state lives without a word from it."},
    {"grace_time", TYPE_UNSIGNED, NULL, AT(grace_time), RANGE(1, 3600),
     .help =
         "Seconds after a start in which clients reclaim their state; up to three times as long "
         "while they still do. Default: the lease time."},
    {"recall_timeout", TYPE_UNSIGNED, NULL, AT(recall_timeout), RANGE(1, 3600),
     .help = "Seconds a client has to return a recalled layout before it is fenced. Less than the "
             "lease time is less than RFC 8881 promises it. Default: the lease time."},
    {"max_grants", TYPE_UNSIGNED, "262144", AT(max_grants), RANGE(0, 100000000),
     .help = "Layouts held by all clients together, beyond which those that hold most are asked to "
             "give some "
             "back. It is a request: nothing is refused, nobody is fenced. 0: never ask."},
    {"fence_hook", TYPE_PROGRAM, NULL, AT(fence_hook),
     .help = "Program that cuts a client off from the shared disk; exit status 0 says that it is "
             "cut off, "
             "anything else that it is not. "
             "Without it a client that does not return its layout leaves the seal STUCK."},
    {"fence_timeout", TYPE_UNSIGNED, "30", AT(fence_timeout), RANGE(1, 3600),
     .help = "Seconds the fence hook may run; then it is killed and has failed."},
    {"fence_retry", TYPE_UNSIGNED, "60", AT(fence_retry), RANGE(1, 86400),
     .help = "Seconds after which the fence of a STUCK seal is tried again."},
    {"quiesce_is_safe", TYPE_BOOL, "false", AT(quiesce_is_safe),
     .help = "Say true only if a client whose lease has run out is certain to have no I/O to the "
             "disk left "
             "after quiesce_time. "
             "Then that counts as a fence where no hook is given."},
    {"quiesce_time", TYPE_UNSIGNED, "60", AT(quiesce_time), RANGE(1, 86400),
     .help =
         "Seconds after the end of its lease in which a client's I/O may still reach the disk."},
    {"initiator_settle_time", TYPE_UNSIGNED, "0", AT(initiator_settle_time), RANGE(0, 86400),
     .help = "Seconds after which commands that a client had queued for a reserved disk have come "
             "in or been given up, counted from when its path was seen to work (it registered a "
             "key that it was told anew). Only then what it was granted before it lost its state "
             "(a restart of the server, a lost lease) keeps a seal no longer, without a fence. To "
             "cover the initiator's own limits: on Linux 30 s a command, 5 retries, and "
             "replacement_timeout of open-iscsi (120 s); with dm-multipath no queue_if_no_path. 0: "
             "not believed, such a client is fenced when one of its files is unsealed."},
    {"device_interval", TYPE_UNSIGNED, "60", AT(device_interval), RANGE(1, 86400),
     .help = "Seconds after which the devices under the exports are looked at again, for changes "
             "of size or "
             "place."},
    {"at_rest_pause", TYPE_UNSIGNED, "10", AT(at_rest_pause), RANGE(0, 3600),
     .help = "Seconds after a seal at rest gave way to a writer before the file is sealed at rest "
             "again. Doubles "
             "each time, up to an hour; time without a change takes that back. 0: no pause."},
    {"at_rest_max", TYPE_UNSIGNED, "100000", AT(at_rest_max), RANGE(1, 10000000),
     .help = "Seals at rest at one time. Beyond that the one that has been without a layout for "
             "longest is "
             "released to make room."},
    {"scrub_interval", TYPE_UNSIGNED, "86400", AT(scrub_interval), RANGE(0, 31536000),
     .help = "Seconds in which every sealed file is looked at once, one at a time, evenly spread: "
             "whether "
             "its map "
             "and its immutable flag are still what was sealed. 0: never."},
    {"max_connections", TYPE_UNSIGNED, "4096", AT(max_connections), RANGE(1, 1000000),
     .help = "Connections at one time, of which an address may have a quarter."},
    {"max_clients", TYPE_UNSIGNED, "16384", AT(max_clients), RANGE(1, 1000000),
     .help = "Client ids at one time, of which an address may have a quarter."},
    {"max_sessions_per_client", TYPE_UNSIGNED, "16", AT(max_sessions_per_client), RANGE(1, 1024),
     .help = "Sessions of one client."},
    {"max_slots", TYPE_UNSIGNED, "64", AT(max_slots), RANGE(1, 1024),
     .help = "Requests that a session may have under way."},
    {"max_io_size", TYPE_SIZE32, "1M", AT(max_io_size), RANGE(4096, 8u << 20),
     .help = "Largest READ or WRITE (rsize, wsize)."},
    {"max_request_memory", TYPE_SIZE64, "256M", AT(max_request_memory), RANGE(4u << 20, 1ull << 40),
     .help = "Memory for requests and replies under way, over all connections. An address that has "
             "as much as is free is not read until some of its own has left."},
    {"idmap_domain", TYPE_TEXT, NULL, AT(idmap_domain),
     .help = "Domain of names such as user@domain. Default: what /etc/idmapd.conf says."},
    {"implementation_name", TYPE_TEXT, NULL, AT(implementation_name),
     .help = "What the server calls itself to clients (eir_server_impl_id), for their logs. "
             "Default: sealnfsd and its version."},
    {"implementation_domain", TYPE_TEXT, NULL, AT(implementation_domain),
     .help = "Whose implementation it says it is. Default: sealnfs.org."},
    {"numeric_owners", TYPE_BOOL, "true", AT(numeric_owners),
     .help = "Send owners as numbers, as Linux clients expect with AUTH_SYS. Names are understood "
             "either way."},
    {"utf8_names", TYPE_BOOL, "false", AT(utf8_names),
     .help =
         "Refuse names that are not UTF-8, and leave them out of listings. false: a name is the "
         "bytes that it is, as for a local program."},
    {"sync_metadata", TYPE_BOOL, "true", AT(sync_metadata),
     .help = "Make a create, remove, rename, link or attribute change durable before answering."},
    {"rpcbind", TYPE_BOOL, "true", AT(rpcbind), .help = "Register with rpcbind when one answers."},
    {"confine", TYPE_BOOL, "true", AT(confine),
     .help = "Threads ask of the kernel what they need and no more: system calls (seccomp), "
             "capabilities. The log says at the start what was confined, the kernel's log each "
             "call that was refused. false: to find out whether that is in the way of something."},
    {"log_level", TYPE_LEVEL, "info", AT(log_level), .help = "error, warning, info or debug."},
};

static const struct option export_options[] = {
    {"path", TYPE_EXPORTED, NULL, XAT(path),
     .help = "The exported directory. Needed. Layouts want XFS or ext4 on a block device. If it is "
             "not there the export is held back, and taken in when it comes."},
    {"mountpoint", TYPE_MOUNTPOINT, "auto", XAT(mountpoint),
     .help = "Serve it only while something is mounted at path (\"true\"), or at the path given "
             "here; never the directory underneath. \"auto\": only while the file system that was "
             "served from there before is mounted, or another in its place. \"false\": whatever is "
             "there."},
    {"id", TYPE_ID, NULL, XAT(id), RANGE(1, UINT32_MAX),
     .help = "Number in this export's file handles. Default: made from the name, so renaming an "
             "export makes "
             "its handles stale."},
    {"clients", TYPE_NETWORKS, NULL, .count_offset = offsetof(struct config_export, network_count),
     .offset = offsetof(struct config_export, networks),
     .help =
         "Who may use the export: addresses and networks, such as \"192.0.2.7\" or "
         "\"2001:db8::/32\"; names of machines, \"host.example.org\" or \"*.example.org\" (* and "
         "? stand for any letters, dots too); netgroups, \"@trusted\". Needed."},
    {"unprivileged_ports", TYPE_ALLOW, "refuse", XAT(unprivileged_ports),
     .help = "Whether requests are taken from ports of 1024 and above, which every user of a "
             "client's machine can have and so speak for all the others (AUTH_SYS). \"refuse\": "
             "only from ports below 1024, which take root there; as Linux clients do by default. "
             "\"allow\": from any, for programs without privilege and for clients behind address "
             "translation."},
    {"access", TYPE_ACCESS, "rw", XAT(writable), .help = "\"rw\" or \"ro\"."},
    {"squash", TYPE_SQUASH, "root", XAT(squash),
     .help = "Whose requests are made as the anonymous user: \"none\", \"root\" or \"all\"."},
    {"anon_uid", TYPE_ID, "65534", XAT(anon_uid), RANGE(0, UINT32_MAX - 1),
     .help = "User id of the anonymous user."},
    {"anon_gid", TYPE_ID, "65534", XAT(anon_gid), RANGE(0, UINT32_MAX - 1),
     .help = "Group id of the anonymous user."},
    {"manage_gids", TYPE_BOOL, "false", XAT(manage_gids),
     .help = "Which groups a user is in is looked up on this machine (getent initgroups), and what "
             "the client says of it does not count: for users in more than the 16 groups that "
             "AUTH_SYS has room for. The user's primary group is still the client's word. The "
             "answer is good for ten minutes, and until a reload."},
    {"layouts", TYPE_BOOL, "true", XAT(layouts), .help = "Hand out layouts on sealed files."},
    {"stripes", TYPE_BOOL, "false", XAT(stripes),
     .help = "Do so on striped volumes (LVM striped, md raid0) too. A Linux client whose kernel "
             "lacks \"pNFS: "
             "Fix "
             "stripe mapping in block/scsi layout\" (in 6.17, and in stable kernels since August "
             "2025) reads and "
             "writes wrong places of a stripe: say true only if every client has it."},
    {"layout_types", TYPE_LAYOUT_TYPES, "auto", XAT(layout_types),
     .help = "Which layouts. \"scsi\": the disks are kept under a persistent reservation, and a "
             "client that does "
             "not answer is fenced by its reservation key; clients need no blkmapd. \"block\": "
             "clients find the "
             "disk by its contents, and fencing is left to fence_hook. \"auto\": scsi when every "
             "disk under the "
             "file system can be reserved, else block. \"rdma\": none of the disk, but RDMA "
             "layouts, by which "
             "clients of libsealio read and write the file in the server's memory (rdma_listen). "
             "\"auto+rdma\", "
             "\"scsi+rdma\" and \"block+rdma\": both, and clients choose."},
    {"scsi_volatile_reservations", TYPE_ALLOW, "refuse", XAT(scsi_volatile),
     .help = "Whether SCSI layouts are given on disks whose target forgets its registrations when "
             "it loses power or restarts (no APTPL). \"refuse\": not there. \"allow\": all the "
             "same; after each restart of the target a client that was fenced can write what it "
             "had queued, over whatever its blocks hold by then."},
    {"policy", TYPE_POLICY, "manual", XAT(policy),
     .help = "How seals come about. \"manual\": by sealctl only. \"at-rest\": also when a client "
             "asks for a "
             "read layout of a quiet file; such a "
             "seal gives way when somebody needs to change the file."},
    {"direct_writes", TYPE_BOOL, "false", XAT(direct_writes),
     .help =
         "Whether clients write new data to the disk by themselves: a file that is written to "
         "is sealed over blocks that are made ready past its end, and grows under that seal. "
         "When the last writer has closed it, the seal goes and the file has its size. "
         "Meanwhile local programs see a longer file, which they cannot change. After a crash of "
         "the server a file that grew then cannot be removed, nor become longer than its "
         "reserve, before its writer is fenced or has unmounted, or somebody says \"sealctl "
         "fenced\": what is written past the reserve waits. Use reserved disks, or a fence_hook, "
         "where that matters."},
    {"pinned_on_reflink", TYPE_ALLOW, "allow", XAT(pinned_on_reflink),
     .help = "Whether files that clients write to by themselves (sealed with --pinned, or by "
             "direct_writes) may be where files can be cloned: XFS with reflink=1, as mkfs.xfs "
             "makes it. A clone would change with such a file. \"allow\": they may; while one is "
             "sealed no program of this machine can open it. One that does so while sealnfsd "
             "does not run, and clones it, is found out at the next start, and the seal is then "
             "BROKEN. \"refuse\": such seals are refused there."},
    {"local_opens_wait", TYPE_BOOL, "false", XAT(local_opens_wait),
     .help = "What becomes of a program of this machine that opens a file which "
             "pinned_on_reflink keeps closed: false: it is refused (EPERM); true: it waits until "
             "the file is unsealed, for as long as that takes."},
    {"direct_writes_min_size", TYPE_SIZE64, "1M", XAT(direct_writes_min_size), RANGE(0, INT64_MAX),
     .help = "With direct_writes: files below this size are written through the server; clients "
             "are told by the mdsthreshold attribute."},
    {"direct_writes_reserve", TYPE_SIZE64, "64M", XAT(direct_writes_reserve),
     RANGE(1 << 20, INT64_C(1) << 40),
     .help = "With direct_writes: so many bytes are made ready past the end of a file, or as many "
             "as it has, if these are more; but an eighth of what is free at most, or 16 MiB, or "
             "half of it where even that is less. They are written with zeros first, unless the "
             "disk and the kernel do that by themselves. What ext4 keeps for root is not taken. "
             "They count in the quotas of the file's owner, group and project while it grows; "
             "where these leave less, less is made ready."},
    {"at_rest_min_size", TYPE_SIZE64, "1M", XAT(at_rest_min_size), RANGE(0, INT64_MAX),
     .help = "Files below this size are not sealed at rest; clients are told by the mdsthreshold "
             "attribute."},
    {"at_rest_include", TYPE_PATTERNS, NULL,
     .count_offset = offsetof(struct config_export, include_count),
     .offset = offsetof(struct config_export, include),
     .help = "Only files whose path below the export matches one of these patterns are sealed at "
             "rest, such as "
             "\"*.qcow2\" or \"media/*\"; * matches / too. Default: all."},
    {"at_rest_exclude", TYPE_PATTERNS, NULL,
     .count_offset = offsetof(struct config_export, exclude_count),
     .offset = offsetof(struct config_export, exclude),
     .help =
         "Files whose path below the export matches one of these patterns are not sealed at rest, "
         "included or "
         "not."},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

_Static_assert(COUNT(server_options) <= OPTION_TABLE_MAX &&
                   COUNT(export_options) <= OPTION_TABLE_MAX,
               "raise OPTION_TABLE_MAX");

const struct option *option_table(bool in_export, size_t *count)
{
    *count = in_export ? COUNT(export_options) : COUNT(server_options);
    return in_export ? export_options : server_options;
}

const struct option *option_find(bool in_export, const char *name)
{
    size_t count;
    const struct option *options = option_table(in_export, &count);

    for (size_t i = 0; i < count; i++)
        if (strcmp(options[i].name, name) == 0)
            return &options[i];
    return NULL;
}

bool option_is_list(const struct option *option)
{
    return option->type == TYPE_ADDRESSES || option->type == TYPE_NETWORKS ||
           option->type == TYPE_PATTERNS;
}

/* ---- reading one value ---- */

bool option_dir_is_ours(const char *dir)
{
    char parent[PATH_MAX];

    snprintf(parent, sizeof(parent), "%s", option_find(false, "control_socket")->initial);
    return strcmp(dir, option_find(false, "state_dir")->initial) == 0 ||
           strcmp(dir, dirname(parent)) == 0;
}

static bool is_directory(const char *path)
{
    struct stat st;

    return stat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

/* These check text, and store it at `at` if that is given. NULL, or what is wrong and what to do,
 * in `why`. */
static const char *check_path(const struct option *option, const char *text, char *why, size_t room)
{
    struct stat st;
    char parent[PATH_MAX];

    if (text[0] != '/' || strlen(text) >= sizeof(parent)) {
        snprintf(why, room, "\"%.200s\" is not an absolute path; write it from the root", text);
        return why;
    }
    snprintf(parent, sizeof(parent), "%s", text);
    switch (option->type) {
    case TYPE_INCLUDE:
        if (!is_directory(text))
            snprintf(why, room, "directory %.200s is not there; make it or correct the path", text);
        break;
    case TYPE_DIRECTORY:
        if (!is_directory(text) && !(option->initial && option_dir_is_ours(text)))
            snprintf(why, room, "directory %.200s is not there; make it or correct the path", text);
        break;
    case TYPE_PLACE:
        if (!is_directory(dirname(parent)) && !option_dir_is_ours(parent))
            snprintf(why, room, "directory of %.200s is not there; make it or correct the path",
                     text);
        break;
    case TYPE_PROGRAM:
        if (stat(text, &st) < 0 || !S_ISREG(st.st_mode) || access(text, X_OK) < 0)
            snprintf(why, room, "%.200s is not an executable file; install it or correct the path",
                     text);
        break;
    case TYPE_EXPORTED:
    case TYPE_MOUNTPOINT:
        break;
    default:
        if (!config_pseudo_is_normal(text))
            snprintf(why, room,
                     "\"%.200s\" is not a plain path; write it as in \"/data\", without . or .. or "
                     "// in it",
                     text);
    }
    return why[0] ? why : NULL;
}

static bool store_number(const struct option *option, uint64_t number, void *at)
{
    switch (option->type) {
    case TYPE_UNSIGNED:
        *(unsigned *)at = (unsigned)number;
        return true;
    case TYPE_PORT:
        *(uint16_t *)at = (uint16_t)number;
        return true;
    case TYPE_ID:
    case TYPE_SIZE32:
        *(uint32_t *)at = (uint32_t)number;
        return true;
    default:
        *(uint64_t *)at = number;
        return true;
    }
}

static const char *read_number(const struct option *option, const char *text, void *at, char *why,
                               size_t room)
{
    bool units = option->type == TYPE_SIZE32 || option->type == TYPE_SIZE64;
    uint64_t number;

    if (!config_number_parse(text, units, &number)) {
        snprintf(why, room, "\"%.200s\" is not a %s; write digits%s", text,
                 type_names[option->type],
                 units ? ", with K, M, G or T after them if you like" : " only");
        return why;
    }
    if (number < option->min || number > option->max) {
        snprintf(why, room, "%.200s is out of range; give %" PRIu64 " to %" PRIu64, text,
                 option->min, option->max);
        return why;
    }
    if (at)
        store_number(option, number, at);
    return NULL;
}

static const struct choice {
    enum option_type type;
    const char *word;
    int value;
} choices[] = {
    {TYPE_BOOL, "true", 1},
    {TYPE_BOOL, "yes", 1},
    {TYPE_BOOL, "on", 1},
    {TYPE_BOOL, "false", 0},
    {TYPE_BOOL, "no", 0},
    {TYPE_BOOL, "off", 0},
    {TYPE_ACCESS, "rw", 1},
    {TYPE_ACCESS, "ro", 0},
    {TYPE_MOUNTPOINT, "auto", 0},
    {TYPE_MOUNTPOINT, "true", 0},
    {TYPE_MOUNTPOINT, "false", 0},
    {TYPE_ALLOW, "allow", 1},
    {TYPE_ALLOW, "refuse", 0},
    {TYPE_SQUASH, "none", SQUASH_NONE},
    {TYPE_SQUASH, "root", SQUASH_ROOT},
    {TYPE_SQUASH, "all", SQUASH_ALL},
    {TYPE_POLICY, "manual", POLICY_MANUAL},
    {TYPE_POLICY, "at-rest", POLICY_AT_REST},
    {TYPE_LAYOUT_TYPES, "auto", LAYOUT_TYPES_AUTO},
    {TYPE_LAYOUT_TYPES, "scsi", LAYOUT_TYPES_SCSI},
    {TYPE_LAYOUT_TYPES, "block", LAYOUT_TYPES_BLOCK},
    {TYPE_LAYOUT_TYPES, "rdma", LAYOUT_TYPES_NO_DISK | LAYOUT_TYPES_RDMA},
    {TYPE_LAYOUT_TYPES, "auto+rdma", LAYOUT_TYPES_AUTO | LAYOUT_TYPES_RDMA},
    {TYPE_LAYOUT_TYPES, "scsi+rdma", LAYOUT_TYPES_SCSI | LAYOUT_TYPES_RDMA},
    {TYPE_LAYOUT_TYPES, "block+rdma", LAYOUT_TYPES_BLOCK | LAYOUT_TYPES_RDMA},
    {TYPE_LEVEL, "error", LOG_LEVEL_ERROR},
    {TYPE_LEVEL, "warning", LOG_LEVEL_WARNING},
    {TYPE_LEVEL, "info", LOG_LEVEL_INFO},
    {TYPE_LEVEL, "debug", LOG_LEVEL_DEBUG},
};

const char *option_word(enum option_type type, int value)
{
    for (size_t i = 0; i < COUNT(choices); i++)
        if (choices[i].type == type && choices[i].value == value)
            return choices[i].word;
    return "?";
}

static const char *read_choice(const struct option *option, const char *text, void *at, char *why,
                               size_t room)
{
    size_t used = 0;

    for (size_t i = 0; i < COUNT(choices); i++) {
        if (choices[i].type != option->type || strcmp(choices[i].word, text) != 0)
            continue;
        if (at && (option->type == TYPE_BOOL || option->type == TYPE_ACCESS ||
                   option->type == TYPE_ALLOW))
            *(bool *)at = choices[i].value != 0;
        else if (at)
            *(int *)at = choices[i].value;
        return NULL;
    }
    used += (size_t)snprintf(why, room, "\"%.200s\" is not known here; write one of:", text);
    for (size_t i = 0; i < COUNT(choices) && used < room; i++)
        if (choices[i].type == option->type)
            used += (size_t)snprintf(why + used, room - used, " %s", choices[i].word);
    return why;
}

static const char *check_word(const struct option *option, const char *text, char *why, size_t room)
{
    struct in6_addr address;

    if (option->type == TYPE_NETWORKS)
        return config_network_check(text, why, room);
    if (option->type == TYPE_GROUP && !getgrnam(text))
        snprintf(why, room,
                 "group \"%.200s\" is not known; create it with groupadd or name another", text);
    else if (option->type == TYPE_ADDRESSES && !config_address_parse(text, &address))
        snprintf(why, room,
                 "\"%.200s\" is not a numeric address; write one such as \"192.0.2.1\" or \"::\"",
                 text);
    else if (option->type == TYPE_PATTERNS && !config_pattern_is_sane(text))
        snprintf(why, room,
                 "\"%.200s\" is not a pattern for paths below the export; write one such as "
                 "\"*.qcow2\" or "
                 "\"media/*\", "
                 "without a / at its start and with every [ closed",
                 text);
    else if (option->type == TYPE_ENDPOINT && !config_endpoint_parse(text))
        snprintf(why, room,
                 "\"%.200s\" is not a numeric address with a port; write one such as "
                 "\"127.0.0.1:9820\" or "
                 "\"[::1]:9820\"",
                 text);
    return why[0] ? why : NULL;
}

static const char *store_text(const char *text, void *at, char *why, size_t room)
{
    char *copy = at ? strdup(text) : NULL;

    if (!at)
        return NULL;
    if (!copy) {
        snprintf(why, room, "out of memory");
        return why;
    }
    free(*(char **)at);
    *(char **)at = copy;
    return NULL;
}

static const char *check_node(const char *text, char *why, size_t room)
{
    if (node_name_is_good(text))
        return NULL;
    snprintf(why, room,
             "\"%.80s\" cannot name a node; use up to 64 letters, digits, '.', '_' and '-'", text);
    return why;
}

bool option_is_text(enum option_type type)
{
    switch (type) {
    case TYPE_TEXT:
    case TYPE_NODE:
    case TYPE_GROUP:
    case TYPE_ENDPOINT:
    case TYPE_PSEUDO:
    case TYPE_DIRECTORY:
    case TYPE_INCLUDE:
    case TYPE_EXPORTED:
    case TYPE_PLACE:
    case TYPE_PROGRAM:
    case TYPE_MOUNTPOINT:
        return true;
    default:
        return false;
    }
}

static const char *read_text(const struct option *option, const char *text, void *at, char *why,
                             size_t room)
{
    const char *wrong = NULL;

    if (option->type == TYPE_NODE)
        wrong = check_node(text, why, room);
    else if (option->type == TYPE_GROUP || option->type == TYPE_ENDPOINT)
        wrong = check_word(option, text, why, room);
    else if (option->type == TYPE_MOUNTPOINT && text[0] != '/')
        wrong = read_choice(option, text, NULL, why, room);
    else if (option->type != TYPE_TEXT && (option->type != TYPE_INCLUDE || text[0]))
        wrong = check_path(option, text, why, room);
    return wrong ? wrong : store_text(text, at, why, room);
}

const char *option_read(const struct option *option, const char *text, void *at, char *why,
                        size_t room)
{
    why[0] = '\0';
    if (option_is_text(option->type))
        return read_text(option, text, at, why, room);
    switch (option->type) {
    case TYPE_ADDRESSES:
    case TYPE_NETWORKS:
    case TYPE_PATTERNS:
        return check_word(option, text, why, room);
    case TYPE_BOOL:
    case TYPE_ACCESS:
    case TYPE_ALLOW:
    case TYPE_SQUASH:
    case TYPE_POLICY:
    case TYPE_LAYOUT_TYPES:
    case TYPE_LEVEL:
        return read_choice(option, text, at, why, room);
    default:
        return read_number(option, text, at, why, room);
    }
}

static bool same_text(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_list(const struct option *option, const char *a, const char *b)
{
    const size_t count = *(const size_t *)(const void *)(a + option->count_offset);
    const void *of_a = *(const void *const *)(const void *)(a + option->offset);
    const void *of_b = *(const void *const *)(const void *)(b + option->offset);

    if (count != *(const size_t *)(const void *)(b + option->count_offset))
        return false;
    for (size_t i = 0; i < count; i++) {
        if (option->type == TYPE_NETWORKS) {
            const struct config_network *x = of_a, *y = of_b;

            if (x[i].prefix != y[i].prefix || !same_text(x[i].name, y[i].name) ||
                memcmp(&x[i].address, &y[i].address, sizeof(x[i].address)) != 0)
                return false;
        } else if (!same_text(((char *const *)of_a)[i], ((char *const *)of_b)[i])) {
            return false;
        }
    }
    return true;
}

static size_t size_of_value(enum option_type type)
{
    switch (type) {
    case TYPE_PORT:
        return sizeof(uint16_t);
    case TYPE_SIZE64:
        return sizeof(uint64_t);
    case TYPE_BOOL:
    case TYPE_ACCESS:
    case TYPE_ALLOW:
        return sizeof(bool);
    default:
        return sizeof(uint32_t);
    }
}

bool option_same(const struct option *option, const void *a, const void *b)
{
    const char *of_a = (const char *)a + option->offset, *of_b = (const char *)b + option->offset;

    if (option_is_list(option))
        return same_list(option, a, b);
    if (option_is_text(option->type))
        return same_text(*(const char *const *)(const void *)of_a,
                         *(const char *const *)(const void *)of_b);
    return memcmp(of_a, of_b, size_of_value(option->type)) == 0;
}

const struct config_option *config_options(size_t *count)
{
    static struct config_option list[COUNT(server_options) + COUNT(export_options)];
    size_t used = 0;

    for (int in_export = 0; in_export < 2; in_export++) {
        size_t of_section;
        const struct option *options = option_table(in_export, &of_section);
        for (size_t i = 0; i < of_section; i++)
            list[used++] = (struct config_option){
                in_export ? "export" : "", options[i].name, type_names[options[i].type],
                options[i].initial ? options[i].initial : "", options[i].help};
    }
    *count = used;
    return list;
}
