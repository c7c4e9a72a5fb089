/*
 * config.c - sealnfs.conf: one table of options drives parsing, checking, defaults and the drift
 * tests of the man page.
 *
 * syntax.c finds the options and knows their lines; every value arrives as text and is read by the
 * option's type, so that every mistake is told in the same way: file, line, what is wrong, what to
 * do. Reading goes on after a mistake, and all are told in the order of their lines.
 */
#include "server/config/config.h"

#include <errno.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <sodium.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/layout/rdma.h"
#include "server/base/log.h"
#include "server/base/node.h"
#include "server/config/sources.h"
#include "server/config/syntax.h"
#include "server/config/table.h"
#include "server/config/value.h"

enum { MISTAKES_MAX = 200 };
/* Where something is: a file and a line of it in one number, in the order that they are read in. 0:
 * nowhere. */
enum { LINE_BITS = 22, LINE_MASK = (1 << LINE_BITS) - 1 };

/* ---- mistakes ---- */

struct mistake {
    unsigned line;
    bool of_syntax;
    char *text;
};

struct loading {
    const struct config_sources *sources;
    unsigned source; /* that is being read */
    struct config *config;
    struct config_export *export;        /* the section that is being read; NULL: none */
    unsigned lines[2][OPTION_TABLE_MAX]; /* of options given: at the top, in the export; 0: not */
    unsigned *export_lines;              /* of config->exports */
    unsigned rdma_line;                  /* of the first export that wants RDMA layouts */
    struct mistake *mistakes;
    size_t mistake_count;
    int error; /* -ENOMEM */
};

static unsigned here(const struct loading *l, unsigned line)
{
    return l->source << LINE_BITS | (line & LINE_MASK);
}

/* "line 7", or "/etc/sealnfs.d/a.conf:7" of another file than where it is said. */
static const char *name_place(const struct loading *l, unsigned place, char text[PATH_MAX + 16])
{
    if (place >> LINE_BITS == l->source)
        snprintf(text, PATH_MAX + 16, "line %u", place & LINE_MASK);
    else
        snprintf(text, PATH_MAX + 16, "%s:%u", l->sources->list[place >> LINE_BITS].path,
                 place & LINE_MASK);
    return text;
}

/* Where the syntax is wrong, whatever else is wrong in the line is its consequence. */
static bool is_consequence(const struct loading *l, unsigned line)
{
    for (size_t i = 0; i < l->mistake_count; i++)
        if (l->mistakes[i].of_syntax && l->mistakes[i].line == line)
            return true;
    return false;
}

static void add_mistake(struct loading *l, unsigned line, bool of_syntax, const char *name,
                        const char *what)
{
    struct mistake *more;
    char *text = NULL;

    if (l->mistake_count == MISTAKES_MAX) /* enough to do */
        return;
    more = realloc(l->mistakes, (l->mistake_count + 1) * sizeof(*more));
    if (more)
        l->mistakes = more;
    if (!more || asprintf(&text, "%s%s%s", name ? name : "", name ? ": " : "", what) < 0)
        l->error = -ENOMEM;
    else if (is_consequence(l, line))
        free(text);
    else
        l->mistakes[l->mistake_count++] = (struct mistake){line, of_syntax, text};
}

__attribute__((format(printf, 4, 5))) static void
tell_mistake(struct loading *l, unsigned line, const char *name, const char *format, ...)
{
    char text[1024];
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof(text), format, args);
    va_end(args);
    add_mistake(l, line, false, name, text);
}

static void print_mistakes(const struct loading *l, FILE *errors)
{
    for (unsigned last = 0, line; last != UINT_MAX; last = line) {
        line = UINT_MAX;
        for (size_t i = 0; i < l->mistake_count; i++)
            if (l->mistakes[i].line > last && l->mistakes[i].line < line)
                line = l->mistakes[i].line;
        for (size_t i = 0; i < l->mistake_count; i++)
            if (l->mistakes[i].line == line)
                fprintf(errors, "%s:%u: %s\n", l->sources->list[line >> LINE_BITS].path,
                        line & LINE_MASK, l->mistakes[i].text);
    }
}

/* ---- options ---- */

static void tell_unknown(struct loading *l, const struct syntax_option *given)
{
    size_t count, best_distance = 4;
    const bool in_export = l->export;
    const struct option *options = option_table(in_export, &count);
    const char *best = NULL;

    for (size_t i = 0; i < count; i++) {
        size_t distance = config_word_distance(given->name, options[i].name);
        if (distance < best_distance) {
            best_distance = distance;
            best = options[i].name;
        }
    }
    if (option_find(!in_export, given->name))
        tell_mistake(l, here(l, given->line), given->name, "this option belongs %s; move it there",
                     in_export ? "outside the export sections" : "inside an export section");
    else if (best)
        tell_mistake(l, here(l, given->line), given->name, "unknown option; did you mean \"%s\"?",
                     best);
    else
        tell_mistake(l, here(l, given->line), given->name,
                     "unknown option; see sealnfs.conf(5) for the ones there are");
}

static void free_networks(struct config_network *networks, size_t count)
{
    for (size_t i = 0; i < count; i++)
        config_network_free(&networks[i]);
    free(networks);
}

static void free_texts(char **texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(texts[i]);
    free(texts);
}

/* In the place of the default. */
static int store_list(const struct option *option, const struct syntax_value *values, size_t count,
                      char *base)
{
    void **at = (void **)(void *)(base + option->offset);
    size_t *stored = (size_t *)(void *)(base + option->count_offset);
    const bool networks = option->type == TYPE_NETWORKS;
    void *list =
        calloc(count ? count : 1, networks ? sizeof(struct config_network) : sizeof(char *));

    if (!list)
        return -ENOMEM;
    if (networks)
        free_networks(*at, *stored);
    else
        free_texts(*at, *stored);
    *at = list;
    for (*stored = 0; *stored < count; ++*stored) {
        if (networks) {
            const int rc = config_network_read(values[*stored].text,
                                               &((struct config_network *)list)[*stored]);
            if (rc)
                return rc;
        } else if (!(((char **)list)[*stored] = strdup(values[*stored].text))) {
            return -ENOMEM;
        }
    }
    return 0;
}

static void on_option(void *context, const struct syntax_option *given)
{
    struct loading *l = context;
    const bool in_export = l->export;
    const struct option *option = option_find(in_export, given->name);
    char *base = in_export ? (char *)l->export : (char *)l->config;
    const size_t before = l->mistake_count;
    bool well = true;
    char why[1024], before_this[PATH_MAX + 16];
    size_t count;

    if (l->error)
        return;
    if (!option) {
        tell_unknown(l, given);
        return;
    }
    if (given->is_list && !option_is_list(option)) {
        tell_mistake(l, here(l, given->line), option->name,
                     "it takes one value, not a list; write it without {}");
        return;
    }
    unsigned *line = &l->lines[in_export][option - option_table(in_export, &count)];
    if (*line > 0)
        tell_mistake(l, here(l, given->line), option->name,
                     "it is in %s already; keep one of the two", name_place(l, *line, before_this));
    if (l->source > 0 && option->type == TYPE_INCLUDE)
        tell_mistake(l, here(l, given->line), option->name,
                     "included files include no others; "
                     "move it to %s",
                     l->sources->list[0].path);
    *line = here(l, given->line);
    for (size_t i = 0; i < given->count; i++) {
        const char *wrong =
            option_read(option, given->values[i].text,
                        option_is_list(option) ? NULL : base + option->offset, why, sizeof(why));
        if (!wrong)
            continue;
        well = false; /* also where it is a consequence, and not told */
        tell_mistake(l, here(l, given->values[i].line), option->name, "%s", wrong);
    }
    if (option_is_list(option) && given->count > 0 && l->mistake_count == before && well &&
        store_list(option, given->values, given->count, base) != 0)
        l->error = -ENOMEM;
}

static void store_defaults(struct loading *l, bool in_export, void *base)
{
    size_t count;
    const struct option *options = option_table(in_export, &count);
    char why[512];

    memset(l->lines[in_export], 0, sizeof(l->lines[in_export]));
    for (size_t i = 0; i < count; i++) {
        const struct syntax_value value = {.text = options[i].initial};
        bool failed;

        if (!value.text)
            continue;
        if (option_is_list(&options[i]))
            failed = store_list(&options[i], &value, 1, base) != 0;
        else
            failed = option_read(&options[i], value.text, (char *)base + options[i].offset, why,
                                 sizeof(why)) != NULL;
        if (failed)
            l->error = -ENOMEM;
    }
}

/* 0: not given. */
static unsigned line_of(const struct loading *l, bool in_export, const char *name)
{
    size_t count;

    return l->lines[in_export][option_find(in_export, name) - option_table(in_export, &count)];
}

/* ---- exports ---- */

static uint32_t id_from_name(const char *pseudo)
{
    static const unsigned char key[crypto_shorthash_KEYBYTES] = "sealnfs export";
    unsigned char hash[crypto_shorthash_BYTES];
    uint32_t id;

    crypto_shorthash(hash, (const unsigned char *)pseudo, strlen(pseudo), key);
    memcpy(&id, hash, sizeof(id));
    return id ? id : 1;
}

static struct config_export *add_export(struct loading *l, unsigned line)
{
    struct config *config = l->config;
    const size_t count = config->export_count + 1;
    struct config_export *exports = realloc(config->exports, count * sizeof(*exports));
    unsigned *lines = realloc(l->export_lines, count * sizeof(*lines));

    if (exports)
        config->exports = exports;
    if (lines)
        l->export_lines = lines;
    if (!exports || !lines)
        return NULL;
    lines[count - 1] = line;
    memset(&exports[count - 1], 0, sizeof(*exports));
    config->export_count = count;
    return &exports[count - 1];
}

static void on_export(void *context, const char *name, unsigned line)
{
    struct loading *l = context;
    const unsigned place = here(l, line);
    char other[PATH_MAX + 16];

    if (l->error)
        return;
    if (!config_pseudo_is_normal(name))
        tell_mistake(
            l, place, "export",
            "its name is not a plain absolute path; write it as in export \"/data\" { ... }");
    for (size_t i = 0; i < l->config->export_count; i++)
        if (strcmp(l->config->exports[i].pseudo, name) == 0)
            tell_mistake(l, place, "export",
                         "\"%.200s\" is a duplicate of the export in %s; give it another name",
                         name, name_place(l, l->export_lines[i], other));
    l->export = add_export(l, place);
    if (l->export)
        l->export->pseudo = strdup(name);
    if (!l->export || !l->export->pseudo)
        l->error = -ENOMEM;
    else
        store_defaults(l, true, l->export);
}

/* A slash at the end means nothing. */
static bool same_path(const char *a, const char *b)
{
    size_t a_len = strlen(a), b_len = strlen(b);

    while (a_len > 1 && a[a_len - 1] == '/')
        a_len--;
    while (b_len > 1 && b[b_len - 1] == '/')
        b_len--;
    return a_len == b_len && memcmp(a, b, a_len) == 0;
}

/* A directory may be exported to some in one way and to others in another. But what concerns its
 * files, and not who asks, a file can have once only. */
static void check_twins(struct loading *l, const struct config_export *export, unsigned line)
{
    static const char *const of_files[] = {
        "mountpoint",      "layouts",          "stripes",
        "layout_types",    "policy",           "scsi_volatile_reservations",
        "direct_writes",   "at_rest_min_size", "direct_writes_min_size",
        "at_rest_include", "at_rest_exclude",  "direct_writes_reserve"};
    char place[PATH_MAX + 16];

    for (size_t i = 0; l->config->exports + i < export; i++) {
        const struct config_export *other = &l->config->exports[i];

        if (!export->path || !other->path || !same_path(export->path, other->path))
            continue;
        for (size_t j = 0; j < sizeof(of_files) / sizeof(of_files[0]); j++)
            if (!option_same(option_find(true, of_files[j]), export, other))
                tell_mistake(l, line, NULL,
                             "export \"%.200s\" has the path of the one in %s, and another %s, "
                             "which a file can have once only; give both the same",
                             export->pseudo, name_place(l, l->export_lines[i], place), of_files[j]);
    }
}

static void on_export_end(void *context)
{
    struct loading *l = context;
    struct config_export *export = l->export;
    const unsigned id_line = line_of(l, true, "id");
    unsigned line;

    if (l->error)
        return;
    line = l->export_lines[export - l->config->exports];
    if (line_of(l, true, "path") == 0)
        tell_mistake(l, line, NULL, "export \"%.200s\" has no \"path\"; add it", export->pseudo);
    if (line_of(l, true, "clients") == 0)
        tell_mistake(l, line, NULL, "export \"%.200s\" has no \"clients\"; add it", export->pseudo);
    if (config_export_has_rdma(export) && l->rdma_line == 0)
        l->rdma_line = line_of(l, true, "layout_types");
    if (export->id == 0)
        export->id = id_from_name(export->pseudo);
    for (struct config_export *other = l->config->exports; other < export; other++)
        if (other->id == export->id && strcmp(other->pseudo, export->pseudo) != 0)
            tell_mistake(l, id_line ? id_line : line, NULL,
                         "exports \"%.200s\" and \"%.200s\" have the same id %" PRIu32
                         "; give one another \"id\"",
                         other->pseudo, export->pseudo, export->id);
    check_twins(l, export, line);
    l->export = NULL;
}

static void on_syntax_mistake(void *context, unsigned line, const char *what)
{
    add_mistake(context, here(context, line), true, NULL, what);
}

/* ---- the whole ---- */

/* RDMA layouts need an address, of a device, and a build that knows of it. */
static void check_rdma(struct loading *l)
{
    const struct config *config = l->config;
    const unsigned line = line_of(l, false, "rdma_listen");
    struct in6_addr address;

    if (l->rdma_line > 0 && line == 0)
        tell_mistake(l, l->rdma_line, "layout_types",
                     "there is \"rdma\" in it and no \"rdma_listen\"; add that at the top, such as "
                     "rdma_listen = {\"192.0.2.1\"}");
    if (config->rdma_listen_count > RDMA_LAYOUT_MAX_ADDRS)
        tell_mistake(l, line, "rdma_listen", "too many addresses; 16 is the most");
    for (size_t i = 0; i < config->rdma_listen_count; i++)
        if (config_address_parse(config->rdma_listen[i], &address) &&
            (IN6_IS_ADDR_UNSPECIFIED(&address) ||
             (IN6_IS_ADDR_V4MAPPED(&address) && address.s6_addr32[3] == 0)))
            tell_mistake(l, line, "rdma_listen",
                         "it takes no wildcard; write the addresses of the RDMA device");
#ifndef SEAL_HAS_RDMA
    if (line > 0)
        tell_mistake(l, line, "rdma_listen",
                     "this sealnfsd was built without RDMA; take it out, or build with libibverbs "
                     "and librdmacm");
#endif
}

/* Whatever the addresses: whether they meet is not known before they are bound. */
static void check_ports(struct loading *l)
{
    const struct config *config = l->config;
    const char *colon = config->metrics_listen ? strrchr(config->metrics_listen, ':') : NULL;
    const unsigned line = line_of(l, false, "metrics_listen");
    uint64_t port;

    if (colon && config_number_parse(colon + 1, false, &port) && port == config->port)
        tell_mistake(l, line, "metrics_listen",
                     "port %u is that of NFS (port); give it another, such as 9820", config->port);
}

static void read_source(struct loading *l, const struct config_source *source)
{
    const struct syntax_events events = {.on_option = on_option,
                                         .on_export = on_export,
                                         .on_export_end = on_export_end,
                                         .on_mistake = on_syntax_mistake,
                                         .context = l};

    if (source->error)
        tell_mistake(l, here(l, 0), NULL, "it cannot be read: %s; correct or remove it",
                     strerror(-source->error));
    else if (syntax_read(source->text, source->len, &events) != 0)
        l->error = -ENOMEM;
}

/* Of the first file. */
static unsigned count_lines(const struct loading *l)
{
    const struct config_source *first = &l->sources->list[0];
    unsigned lines = 0;

    for (size_t i = 0; i < first->len; i++)
        lines += first->text[i] == '\n' || i + 1 == first->len;
    return lines ? lines : 1;
}

static void read_sources(struct loading *l)
{
    store_defaults(l, false, l->config);
    for (l->source = 0; l->source < l->sources->count && !l->error; l->source++)
        read_source(l, &l->sources->list[l->source]);
    if (l->error)
        return;
    if (l->config->grace_time == 0)
        l->config->grace_time = l->config->lease_time;
    if (l->config->recall_timeout == 0) /* RFC 8881 section 12.5.5: no sooner */
        l->config->recall_timeout = l->config->lease_time;
    if (l->config->export_count == 0)
        tell_mistake(l, count_lines(l), NULL,
                     "no export; add a section such as export \"/data\" { path = \"/srv/data\" "
                     "clients = {\"192.0.2.0/24\"} }");
    check_rdma(l);
    check_ports(l);
}

static int name_node(struct config *config)
{
    char name[NODE_NAME_SIZE];

    if (config->node)
        return 0;
    node_default_name(name);
    config->node = strdup(name);
    return config->node ? 0 : -ENOMEM;
}

static void free_loading(struct loading *l)
{
    for (size_t i = 0; i < l->mistake_count; i++)
        free(l->mistakes[i].text);
    free(l->mistakes);
    free(l->export_lines);
}

/* What somebody else can find it by, whose working directory is another. NULL: out of memory. */
static char *absolute_path(const char *path)
{
    char here[PATH_MAX], *whole;

    if (path[0] == '/' || !getcwd(here, sizeof(here)))
        return strdup(path);
    return asprintf(&whole, "%s/%s", here, path) < 0 ? NULL : whole;
}

int config_load(const char *path, FILE *errors, struct config **out)
{
    struct config_sources sources;
    struct loading loading = {.sources = &sources, .config = calloc(1, sizeof(struct config))};

    loading.error = config_sources_read(path, &sources);
    if (!loading.error)
        loading.error = sources.list[0].error;
    if (!loading.error && (!loading.config || !(loading.config->file = absolute_path(path))))
        loading.error = -ENOMEM;
    if (!loading.error)
        read_sources(&loading);
    if (!loading.error)
        loading.error = name_node(loading.config);
    if (loading.error)
        fprintf(errors, "%s:0: cannot be read: %s; give the right file with --config\n", path,
                strerror(-loading.error));
    else if (loading.mistake_count > 0)
        loading.error = -EINVAL;
    print_mistakes(&loading, errors);
    free_loading(&loading);
    config_sources_free(&sources);
    if (loading.error)
        config_free(loading.config);
    else
        *out = loading.config;
    return loading.error;
}

/* What threads, sockets and files were made for, and what clients were told. */
static bool is_fixed(const char *name)
{
    static const char *const fixed[] = {
        "listen",         "port",          "loops",           "workers",     "state_dir",
        "control_socket", "control_group", "rdma_listen",     "rdma_port",   "metrics_listen",
        "lease_time",     "grace_time",    "max_connections", "max_io_size", "max_request_memory",
        "rpcbind",        "idmap_domain",  "confine",         "node",
    };

    for (size_t i = 0; i < sizeof(fixed) / sizeof(fixed[0]); i++)
        if (strcmp(fixed[i], name) == 0)
            return true;
    return false;
}

void config_name_fixed(const struct config *old, const struct config *new, char *names, size_t size)
{
    size_t count, used = 0;
    const struct option *options = option_table(false, &count);

    names[0] = '\0';
    for (size_t i = 0; i < count; i++)
        if (is_fixed(options[i].name) && !option_same(&options[i], old, new) && used < size)
            used += (size_t)snprintf(names + used, size - used, "%s%s", used ? ", " : "",
                                     options[i].name);
}

struct path_print {
    FILE *out;
    bool in_export;
};

static void print_path(void *context, const struct syntax_option *given)
{
    const struct path_print *print = context;
    const char *name = print->in_export ? "path" : "state_dir";

    if (strcmp(given->name, name) == 0 && given->count == 1 && given->values[0].text[0] == '/')
        fprintf(print->out, "%s %s\n", print->in_export ? "export" : "state",
                given->values[0].text);
}

static void enter_export(void *context, const char *name, unsigned line)
{
    (void)name;
    (void)line;
    ((struct path_print *)context)->in_export = true;
}

static void leave_export(void *context)
{
    ((struct path_print *)context)->in_export = false;
}

static void pass_mistake(void *context, unsigned line, const char *what)
{
    (void)context; /* it is told at the start */
    (void)line;
    (void)what;
}

static void take_node(void *context, const struct syntax_option *given)
{
    if (strcmp(given->name, "node") == 0 && given->count == 1 &&
        node_name_is_good(given->values[0].text))
        strcpy(context, given->values[0].text);
}

static void pass_export(void *context, const char *name, unsigned line)
{
    (void)context; /* no export has an option of that name */
    (void)name;
    (void)line;
}

static void pass_end(void *context)
{
    (void)context;
}

int config_find_node(const char *path, char *name)
{
    const struct syntax_events events = {.on_option = take_node,
                                         .on_export = pass_export,
                                         .on_export_end = pass_end,
                                         .on_mistake = pass_mistake,
                                         .context = name};
    struct config_sources sources;
    int rc = config_sources_read(path, &sources);

    node_default_name(name);
    if (rc)
        return rc;
    rc = sources.list[0].error;
    for (size_t i = 0; !rc && i < sources.count; i++) {
        if (!sources.list[i].error)
            rc = syntax_read(sources.list[i].text, sources.list[i].len, &events);
    }
    config_sources_free(&sources);
    return rc == -ENOENT ? 0 : rc;
}

int config_print_paths(const char *path, FILE *out)
{
    struct path_print print = {.out = out};
    const struct syntax_events events = {.on_option = print_path,
                                         .on_export = enter_export,
                                         .on_export_end = leave_export,
                                         .on_mistake = pass_mistake,
                                         .context = &print};
    struct config_sources sources;
    int rc = config_sources_read(path, &sources);

    if (rc)
        return rc;
    rc = sources.list[0].error;
    for (size_t i = 0; !rc && i < sources.count; i++) {
        print.in_export = false;
        if (!sources.list[i].error)
            rc = syntax_read(sources.list[i].text, sources.list[i].len, &events);
    }
    config_sources_free(&sources);
    return rc;
}

static int make_directory(const char *path, mode_t mode)
{
    if (mkdir(path, mode) == 0 || errno == EEXIST)
        return 0;
    const int error = -errno;
    log_error("directory %s cannot be made: %s; make it", path, strerror(-error));
    return error;
}

/* Who may write there can put another journal or key in our place. */
static int check_state_dir(const char *path)
{
    struct stat st;

    if (stat(path, &st) != 0) {
        const int error = -errno;
        log_error("state_dir %s: %s", path, strerror(-error));
        return error;
    }
    if (st.st_uid == geteuid() && !(st.st_mode & (S_IWGRP | S_IWOTH)))
        return 0;
    log_error("state_dir %s belongs to uid %u and has mode %04o: others may write there, and so "
              "change what is on record; chown it to the server's user and chmod 700 it",
              path, (unsigned)st.st_uid, (unsigned)st.st_mode & 07777);
    return -EPERM;
}

int config_make_places(const struct config *config)
{
    char path[PATH_MAX], *dir;
    int error = make_directory(config->state_dir, 0700);

    if (!error)
        error = check_state_dir(config->state_dir);
    snprintf(path, sizeof(path), "%s", config->control_socket);
    if (!error)
        error = make_directory(dirname(path), 0755);
    snprintf(path, sizeof(path), "%s", config->trace_file ? config->trace_file : "");
    dir = dirname(path);
    if (!error && option_dir_is_ours(dir))
        error = make_directory(dir, 0700);
    return error;
}

static void describe_addresses(const char *what, unsigned port, char *const *addresses,
                               size_t count, FILE *out)
{
    fprintf(out, "%s %u on", what, port);
    for (size_t i = 0; i < count; i++)
        fprintf(out, " %s", addresses[i]);
    fputc('\n', out);
}

void config_describe(const struct config *config, FILE *out)
{
    describe_addresses("port", config->port, config->listen, config->listen_count, out);
    if (config->rdma_listen_count > 0)
        describe_addresses("RDMA port", config->rdma_port, config->rdma_listen,
                           config->rdma_listen_count, out);
    for (size_t i = 0; i < config->export_count; i++) {
        const struct config_export *export = &config->exports[i];
        fprintf(out, "export \"%s\" of %s, %s, layouts: %s\n", export->pseudo, export->path,
                export->writable ? "rw" : "ro",
                export->layouts ? option_word(TYPE_LAYOUT_TYPES, (int)export->layout_types)
                                : "none");
    }
}

void config_free(struct config *config)
{
    if (!config)
        return;
    for (size_t i = 0; i < config->export_count; i++) {
        free(config->exports[i].pseudo);
        free(config->exports[i].path);
        free(config->exports[i].mountpoint);
        free_networks(config->exports[i].networks, config->exports[i].network_count);
        free_texts(config->exports[i].include, config->exports[i].include_count);
        free_texts(config->exports[i].exclude, config->exports[i].exclude_count);
    }
    free_texts(config->listen, config->listen_count);
    free_texts(config->rdma_listen, config->rdma_listen_count);
    free(config->exports);
    free(config->file);
    free(config->include_dir);
    free(config->state_dir);
    free(config->node);
    free(config->control_socket);
    free(config->control_group);
    free(config->trace_file);
    free(config->metrics_listen);
    free(config->fence_hook);
    free(config->idmap_domain);
    free(config->implementation_name);
    free(config->implementation_domain);
    free(config);
}

enum config_layout_types config_export_disk_types(const struct config_export *export)
{
    return (enum config_layout_types)((unsigned)export->layout_types & LAYOUT_TYPES_DISK);
}

bool config_export_has_rdma(const struct config_export *export)
{
    return (unsigned)export->layout_types & LAYOUT_TYPES_RDMA;
}

bool config_export_admits(const struct config_export *export, const struct in6_addr *peer)
{
    for (size_t i = 0; i < export->network_count; i++)
        if (config_network_contains(&export->networks[i], peer))
            return true;
    return false;
}
