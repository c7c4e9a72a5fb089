/*
 * main.c - fence_sealnfs: cuts a node off from the disks by its reservation key, sees that it is,
 * and keeps this node's own. Called by Pacemaker by the FenceAgentAPI of ClusterLabs (options on
 * stdin, or -o ACTION), and by the resource agent ocf:sealnfs:disks (take, leave, held).
 *
 * A node that took the disks and finds its key gone was fenced, and its kernel may still have
 * writes to those disks in memory. So in that state, which a file below /run remembers until the
 * next boot, it registers no key again and fences nobody. Nor does it once it has left them: cut
 * from the other node only, its cluster manager would take the disks back, and the other one's
 * too, for ever. The file goes when disks are left that are this node's, or by forget.
 *
 * Exit status: 0 done, or on; 1 failed; 2 off; 3 (held) another node has the disks.
 */
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <inttypes.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include "layout/reservation/reservation.h"
#include "server/base/node.h"
#include "server/config/config.h"

enum { EXIT_ON = 0, EXIT_FAILED = 1, EXIT_OFF = 2, EXIT_LOST = 3 };
enum { DISKS_MAX = 64, TEXT_MAX = 4096 };

struct order {
    char action[32], node[NODE_NAME_SIZE], devices[TEXT_MAX], config[TEXT_MAX];
    char self[NODE_NAME_SIZE];
    uint64_t own, victim;
};

struct disk {
    const char *path;
    int fd;
    const struct reservation_ops *ops;
};

struct disks {
    size_t count;
    struct disk disk[DISKS_MAX];
    struct reservation_view view; /* of the last one that was read */
};

static const char metadata[] =
    "<?xml version=\"1.0\" ?>\n"
    "<resource-agent name=\"fence_sealnfs\" shortdesc=\"Fence agent for nodes of sealnfs\">\n"
    "<longdesc>fence_sealnfs cuts a node off from disks by preempting its reservation key, aborts "
    "its commands and sees that the key is gone. fence_scsi and fence_mpath take another type of "
    "reservation and must not be used on these disks.</longdesc>\n"
    "<vendor-url>https://sealnfs.example/</vendor-url>\n"
    "<parameters>\n"
    "<parameter name=\"action\" unique=\"0\" required=\"1\">\n"
    "<getopt mixed=\"-o, --action=[action]\"/>\n"
    "<content type=\"string\" default=\"off\"/>\n"
    "<shortdesc lang=\"en\">Fencing action</shortdesc>\n"
    "</parameter>\n"
    "<parameter name=\"plug\" unique=\"0\" required=\"1\" obsoletes=\"port\">\n"
    "<getopt mixed=\"-n, --plug=[node]\"/>\n"
    "<content type=\"string\"/>\n"
    "<shortdesc lang=\"en\">The node, as sealnfs.conf there names it (node = ...)</shortdesc>\n"
    "</parameter>\n"
    "<parameter name=\"devices\" unique=\"0\" required=\"1\">\n"
    "<getopt mixed=\"-d, --devices=[devices]\"/>\n"
    "<content type=\"string\"/>\n"
    "<shortdesc lang=\"en\">Whole disks of the exports and of the state directory, with commas "
    "between; the same names on all nodes (/dev/disk/by-id)</shortdesc>\n"
    "</parameter>\n"
    "<parameter name=\"config\" unique=\"0\" required=\"0\">\n"
    "<getopt mixed=\"--config=[file]\"/>\n"
    "<content type=\"string\" default=\"/etc/sealnfs.conf\"/>\n"
    "<shortdesc lang=\"en\">Where this node's own name is</shortdesc>\n"
    "</parameter>\n"
    "</parameters>\n"
    "<actions>\n"
    "<action name=\"on\" automatic=\"0\"/>\n"
    "<action name=\"off\"/>\n"
    "<action name=\"status\"/>\n"
    "<action name=\"monitor\"/>\n"
    "<action name=\"metadata\"/>\n"
    "<action name=\"validate-all\"/>\n"
    "</actions>\n"
    "</resource-agent>\n";

/* ---- what is asked ---- */

static bool set_option(struct order *order, const char *name, const char *value)
{
    const struct {
        const char *name;
        char *at;
        size_t size;
    } known[] = {{"action", order->action, sizeof(order->action)},
                 {"plug", order->node, sizeof(order->node)},
                 {"port", order->node, sizeof(order->node)},
                 {"devices", order->devices, sizeof(order->devices)},
                 {"config", order->config, sizeof(order->config)}};

    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        if (strcmp(known[i].name, name) != 0)
            continue;
        if (snprintf(known[i].at, known[i].size, "%s", value) < (int)known[i].size)
            return true;
        fprintf(stderr, "fence_sealnfs: %s is too long\n", name);
        return false;
    }
    return true; /* Pacemaker tells every agent more than it asked for */
}

static bool read_stdin(struct order *order)
{
    char line[TEXT_MAX + 64];

    while (fgets(line, sizeof(line), stdin)) {
        char *value = strchr(line, '=');

        if (!strchr(line, '\n') && !feof(stdin)) { /* its rest would be read as another */
            fprintf(stderr, "fence_sealnfs: a line of more than %zu bytes\n", sizeof(line) - 2);
            return false;
        }
        line[strcspn(line, "\n")] = '\0';
        if (!value || line[0] == '#')
            continue;
        *value++ = '\0';
        if (!set_option(order, line, value))
            return false;
    }
    return true;
}

static bool read_arguments(struct order *order, int argc, char **argv)
{
    static const struct option known[] = {
        {"action", required_argument, NULL, 'o'},  {"plug", required_argument, NULL, 'n'},
        {"devices", required_argument, NULL, 'd'}, {"config", required_argument, NULL, 'c'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0}};
    static const char *const names[] = {
        ['o'] = "action", ['n'] = "plug", ['d'] = "devices", ['c'] = "config"};

    for (int opt; (opt = getopt_long(argc, argv, "o:n:d:h", known, NULL)) != -1;) {
        if (opt == 'h' || opt == '?') {
            fputs(
                "usage: fence_sealnfs -o ACTION [-n NODE] -d DISK[,DISK...] [--config FILE]\n"
                "\n"
                "  -o, --action ACTION    off, on, status, monitor, validate-all, metadata; take,\n"
                "                         leave, held, forget\n"
                "  -n, --plug NODE        the node that is meant\n"
                "  -d, --devices DISKS    whole disks, with commas between\n"
                "      --config FILE      this node's own name is there\n"
                "  -h, --help             print this\n"
                "\n"
                "Without arguments: the same as name=value lines on standard input.\n",
                opt == 'h' ? stdout : stderr);
            exit(opt == 'h' ? EXIT_ON : EXIT_FAILED);
        }
        if (!set_option(order, names[opt], optarg))
            return false;
    }
    if (optind == argc)
        return true;
    fprintf(stderr, "fence_sealnfs: \"%s\" is no option; see fence_sealnfs --help\n", argv[optind]);
    return false;
}

static bool find_keys(struct order *order)
{
    int err = config_find_node(order->config, order->self);

    if (err) {
        fprintf(stderr, "fence_sealnfs: %s: %s\n", order->config, strerror(-err));
        return false;
    }
    order->own = reservation_node_key(order->self);
    order->victim = reservation_node_key(order->node);
    if (order->node[0] == '\0' || node_name_is_good(order->node))
        return true;
    fprintf(stderr, "fence_sealnfs: \"%s\" cannot be a node\n", order->node);
    return false;
}

/* ---- disks ---- */

static bool fail(const struct disk *disk, const char *what, int err)
{
    fprintf(stderr, "fence_sealnfs: %s: %s: %s\n", disk->path, what, strerror(-err));
    return false;
}

static bool open_disks(struct order *order, struct disks *disks)
{
    for (char *at = order->devices, *path; (path = strsep(&at, ", ")) != NULL;) {
        struct disk *disk = &disks->disk[disks->count];
        int err;

        if (path[0] == '\0')
            continue;
        if (disks->count == DISKS_MAX) {
            fprintf(stderr, "fence_sealnfs: more than %d disks\n", DISKS_MAX);
            return false;
        }
        disk->path = path;
        disk->fd = open(path, O_RDWR | O_CLOEXEC | O_NONBLOCK);
        if (disk->fd < 0)
            return fail(disk, "cannot be opened", -errno);
        disks->count++;
        err = reservation_of(disk->fd, &disk->ops);
        if (err)
            return fail(disk, "its reservations cannot be asked for", err);
    }
    if (disks->count == 0)
        fprintf(stderr, "fence_sealnfs: no devices are given\n");
    return disks->count > 0;
}

/* A conflict after the open: a write on close would be refused too, but there is none. */
static void close_disks(struct disks *disks)
{
    for (size_t i = 0; i < disks->count; i++)
        (void)close(disks->disk[i].fd);
}

static bool read_disk(struct disks *disks, const struct disk *disk)
{
    int err = disk->ops->read(disk->fd, &disks->view);

    return err ? fail(disk, "it does not say who is registered", err) : true;
}

static bool is_registered(const struct reservation_view *view, uint64_t key)
{
    for (size_t i = 0; i < view->count; i++) {
        if (view->reg[i].key == key)
            return true;
    }
    return false;
}

/* On how many disks; false: one does not say. */
static bool count_registered(struct disks *disks, uint64_t key, size_t *count)
{
    *count = 0;
    for (size_t i = 0; i < disks->count; i++) {
        if (!read_disk(disks, &disks->disk[i]))
            return false;
        *count += is_registered(&disks->view, key);
    }
    return true;
}

/* ---- what this boot took ---- */

/* Left since: the file says something. */
static bool has_left(void)
{
    struct stat info;

    return stat(node_taken_file(), &info) == 0 && info.st_size > 0;
}

static bool note_taken(const char *text)
{
    int fd = open(node_taken_file(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    size_t size = strlen(text);

    if (fd >= 0) {
        bool written = write(fd, text, size) == (ssize_t)size;

        if (close(fd) == 0 && written)
            return true;
    }
    fprintf(stderr, "fence_sealnfs: %s: %s\n", node_taken_file(), strerror(errno));
    return false;
}

static bool forget_taken(void)
{
    if (unlink(node_taken_file()) == 0 || errno == ENOENT)
        return true;
    fprintf(stderr, "fence_sealnfs: %s: %s\n", node_taken_file(), strerror(errno));
    return false;
}

static bool was_fenced(const struct order *order, struct disks *disks, bool *fenced)
{
    size_t count;

    *fenced = false;
    if (!node_has_taken())
        return true;
    if (!count_registered(disks, order->own, &count))
        return false;
    *fenced = count < disks->count;
    if (*fenced)
        fprintf(stderr,
                "fence_sealnfs: this node, \"%s\", was fenced: restart the machine (or see "
                "fence_sealnfs(8), forget)\n",
                order->self); /* Pacemaker shows the first 128 bytes or so */
    return true;
}

/* ---- actions ---- */

/* Who holds the disks may have something mounted there. */
static bool expel(const struct order *order, struct disks *disks)
{
    int (*const expels)(const struct reservation_ops *ops, int fd, uint64_t own,
                        struct reservation_view *view, unsigned *expelled) =
        node_has_taken() && !has_left() ? reservation_hold : reservation_take_over;

    for (size_t i = 0; i < disks->count; i++) {
        const struct disk *disk = &disks->disk[i];
        unsigned expelled;
        int err = expels(disk->ops, disk->fd, order->own, &disks->view, &expelled);

        if (err == -EBUSY) {
            fprintf(stderr,
                    "fence_sealnfs: %s: it is held by key 0x%016" PRIx64
                    ", or another node's key is not seen to be gone\n",
                    disk->path, disks->view.holder_key);
            return false;
        }
        if (err)
            return fail(disk, "it cannot be taken", err);
        if (expelled)
            fprintf(stderr,
                    "fence_sealnfs: %s: the key of another node was preempted, and is "
                    "seen gone\n",
                    disk->path);
    }
    return true;
}

/* All other nodes: who is not this one and not fenced may not be left beside it. */
static int cut_off(const struct order *order, struct disks *disks)
{
    size_t count;

    if (order->node[0] == '\0' || order->victim == order->own) {
        fprintf(stderr, "fence_sealnfs: a node other than this one, \"%s\", has to be named\n",
                order->self);
        return EXIT_FAILED;
    }
    if (!expel(order, disks) || !count_registered(disks, order->victim, &count))
        return EXIT_FAILED;
    if (count == 0)
        return EXIT_ON;
    fprintf(stderr, "fence_sealnfs: the key of \"%s\" is back on %zu of %zu disks: it is not off\n",
            order->node, count, disks->count);
    return EXIT_FAILED;
}

static bool look_again(const struct disk *disk)
{
    char path[64];
    struct stat info;

    if (fstat(disk->fd, &info) != 0)
        return false;
    snprintf(path, sizeof(path), "/sys/dev/block/%u:%u/device/rescan", major(info.st_rdev),
             minor(info.st_rdev));
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool asked = fd >= 0 && write(fd, "1", 1) == 1;

    if (fd >= 0)
        close(fd);
    return asked;
}

/* LIO tells its size, and whether it has a cache to be flushed, to nobody without a key. So a
 * machine that booted while another one had the disk knows neither. */
static bool learn_sizes(const struct disks *disks)
{
    for (size_t i = 0; i < disks->count; i++) {
        const struct disk *disk = &disks->disk[i];
        uint64_t size = 0;

        if (ioctl(disk->fd, BLKGETSIZE64, &size) == 0 && size > 0)
            continue;
        if (!look_again(disk) || ioctl(disk->fd, BLKGETSIZE64, &size) != 0 || size == 0)
            return fail(disk, "its size is not known", -ENOMEDIUM);
        fprintf(stderr, "fence_sealnfs: %s: it tells its size now\n", disk->path);
    }
    return true;
}

/* Nothing is mounted before this has succeeded. */
static int take(const struct order *order, struct disks *disks)
{
    return expel(order, disks) && learn_sizes(disks) && note_taken("") ? EXIT_ON : EXIT_FAILED;
}

static int switch_on(const struct order *order, struct disks *disks)
{
    if (order->node[0] != '\0' && order->victim != order->own) {
        fprintf(stderr, "fence_sealnfs: a node can only be switched on by itself\n");
        return EXIT_FAILED;
    }
    for (size_t i = 0; i < disks->count; i++) {
        const struct disk *disk = &disks->disk[i];
        bool persists = false;
        int err = disk->ops->probe(disk->fd, &persists);

        if (!err)
            err = disk->ops->register_key(disk->fd, order->own, persists);
        if (err) {
            fail(disk, "the key cannot be registered", err);
            return EXIT_FAILED;
        }
    }
    size_t count;
    if (!count_registered(disks, order->own, &count))
        return EXIT_FAILED;
    if (count == disks->count)
        return EXIT_ON;
    fprintf(stderr, "fence_sealnfs: the key of this node, \"%s\", is on %zu of %zu disks only\n",
            order->self, count, disks->count);
    return EXIT_FAILED;
}

/* All of them, as when it took them. */
static int is_held(const struct order *order, struct disks *disks)
{
    for (size_t i = 0; i < disks->count; i++) {
        if (!read_disk(disks, &disks->disk[i]))
            return EXIT_FAILED;
        if (disks->view.held && disks->view.holder_key == order->own &&
            is_registered(&disks->view, order->own))
            continue;
        fprintf(stderr, "fence_sealnfs: %s: this node, \"%s\", does not hold it any more\n",
                disks->disk[i].path, order->self);
        return disks->view.held && reservation_key_is_node(disks->view.holder_key) &&
                       disks->view.holder_key != order->own
                   ? EXIT_LOST
                   : EXIT_FAILED;
    }
    return EXIT_ON;
}

static int find_status(const struct order *order, struct disks *disks)
{
    size_t count;

    if (!count_registered(disks, order->node[0] ? order->victim : order->own, &count))
        return EXIT_FAILED;
    return count > 0 ? EXIT_ON : EXIT_OFF;
}

/* What is registered stays: nobody else could be kept off the disks meanwhile. Of disks that do not
 * say whose they are, it is found out when they are taken next. */
static int leave(struct order *order, struct disks *disks)
{
    size_t count = 0;
    bool whole = find_keys(order) && open_disks(order, disks) &&
                 count_registered(disks, order->own, &count) && count == disks->count;

    if (!node_has_taken())
        return EXIT_ON;
    return (whole ? forget_taken() : note_taken("left\n")) ? EXIT_ON : EXIT_FAILED;
}

static int act(struct order *order, struct disks *disks)
{
    const char *action = order->action;
    bool fenced;

    if (strcmp(action, "forget") == 0)
        return forget_taken() ? EXIT_ON : EXIT_FAILED;
    if (strcmp(action, "leave") == 0)
        return leave(order, disks);
    if (strcmp(action, "held") == 0 && (!node_has_taken() || has_left()))
        return EXIT_OFF; /* whatever the disks say: nothing is mounted here */
    if (!find_keys(order) || !open_disks(order, disks))
        return EXIT_FAILED;
    if (strcmp(action, "monitor") == 0 || strcmp(action, "validate-all") == 0)
        return EXIT_ON;
    if (strcmp(action, "status") == 0)
        return find_status(order, disks);
    if (strcmp(action, "held") == 0)
        return is_held(order, disks);
    if (!was_fenced(order, disks, &fenced) || fenced)
        return EXIT_FAILED;
    if (strcmp(action, "off") == 0)
        return cut_off(order, disks);
    if (strcmp(action, "on") == 0)
        return switch_on(order, disks);
    if (strcmp(action, "take") == 0)
        return take(order, disks);
    fprintf(stderr, "fence_sealnfs: there is no action \"%s\"\n", action);
    return EXIT_FAILED;
}

int main(int argc, char **argv)
{
    static struct disks disks;
    static struct order order = {.action = "off", .config = "/etc/sealnfs.conf"};
    int status;

    if (!(argc > 1 ? read_arguments(&order, argc, argv) : read_stdin(&order)))
        return EXIT_FAILED;
    if (strcmp(order.action, "metadata") == 0)
        return fputs(metadata, stdout) < 0 ? EXIT_FAILED : EXIT_ON;
    status = act(&order, &disks);
    close_disks(&disks);
    return status;
}
