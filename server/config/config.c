/*
 * config.c - sealnfs.conf: one table of options drives parsing, checking, defaults and the drift
 * tests of the man page.
 *
 * libconfuse reads the syntax and knows the line; every value arrives as text and is read by the
 * option's type here, so that every mistake is told in the same way: file, line, what is wrong,
 * what to do. Loaded on one thread.
 */
#include "server/config/config.h"

#include <arpa/inet.h>
#include <confuse.h>
#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <libgen.h>
#include <limits.h>
#include <sodium.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proto/rdma_layout.h"
#include "server/base/log.h"
#include "server/config/table.h"
#include "server/config/value.h"

/* ---- libconfuse ---- */

/* libconfuse's callbacks carry no pointer of ours; config_load is single-threaded by contract. */
static FILE *error_stream;
static bool error_told;

static void tell(cfg_t *cfg, int line, const char *option, const char *text)
{
    if (error_told) /* one line, the first mistake: what follows is often its consequence */
        return;
    error_told = true;
    if (option)
        fprintf(error_stream, "%s:%d: %s: %s\n", cfg && cfg->filename ? cfg->filename : "?", line,
                option, text);
    else
        fprintf(error_stream, "%s:%d: %s\n", cfg && cfg->filename ? cfg->filename : "?", line,
                text);
}

static bool cfg_is_export(cfg_t *cfg)
{
    return cfg->name && strcmp(cfg->name, "export") == 0;
}

static void unknown_option(cfg_t *cfg, const char *name)
{
    char text[256];
    size_t count, best_distance = 4;
    bool in_export = cfg_is_export(cfg);
    const struct option *options = option_table(in_export, &count);
    const char *best = NULL;

    for (size_t i = 0; i < count; i++) {
        size_t distance = config_word_distance(name, options[i].name);
        if (distance < best_distance) {
            best_distance = distance;
            best = options[i].name;
        }
    }
    if (best)
        snprintf(text, sizeof(text), "unknown option; did you mean \"%s\"?", best);
    else if (option_find(!in_export, name))
        snprintf(text, sizeof(text), "this option belongs %s; move it there",
                 in_export ? "outside the export sections" : "inside an export section");
    else
        snprintf(text, sizeof(text), "unknown option; see sealnfs.conf(5) for the ones there are");
    tell(cfg, cfg->line, name, text);
}

__attribute__((format(printf, 2, 0))) static void confuse_error(cfg_t *cfg, const char *format,
                                                                va_list args)
{
    char text[256];

    if (strstr(format, "no such option")) {
        va_list copy;
        va_copy(copy, args);
        unknown_option(cfg, va_arg(copy, const char *));
        va_end(copy);
        return;
    }
    vsnprintf(text, sizeof(text), format, args);
    strncat(text, "; see sealnfs.conf(5) for the syntax", sizeof(text) - strlen(text) - 1);
    tell(cfg, cfg->line, NULL, text);
}

static int validate(cfg_t *cfg, cfg_opt_t *opt)
{
    const struct option *option = option_find(cfg_is_export(cfg), cfg_opt_name(opt));
    unsigned last = cfg_opt_size(opt);
    char why[512];
    const char *wrong;

    if (!option || last == 0)
        return 0;
    wrong = option_read(option, cfg_opt_getnstr(opt, last - 1), NULL, why, sizeof(why));
    if (wrong)
        tell(cfg, cfg->line, option->name, wrong);
    return wrong ? -1 : 0;
}

#define OPTIONS_MAX (OPTION_TABLE_MAX + 2) /* and the export section, and the end */

/* libconfuse's own tables, made from ours. Defaults are ours to apply. */
static void fill_cfg_options(cfg_opt_t *out, bool in_export, cfg_opt_t *section)
{
    static const cfg_opt_t end = CFG_END();
    size_t count;
    const struct option *options = option_table(in_export, &count);

    for (size_t i = 0; i < count; i++) {
        cfg_opt_t text = CFG_STR(options[i].name, NULL, CFGF_NODEFAULT);
        cfg_opt_t list = CFG_STR_LIST(options[i].name, NULL, CFGF_NODEFAULT);
        *out++ = option_is_list(&options[i]) ? list : text;
    }
    if (section) {
        cfg_opt_t exports =
            CFG_SEC("export", section, CFGF_MULTI | CFGF_TITLE | CFGF_NO_TITLE_DUPES);
        *out++ = exports;
    }
    *out = end;
}

static void set_validators(cfg_t *cfg)
{
    char name[64];

    for (int in_export = 0; in_export < 2; in_export++) {
        size_t count;
        const struct option *options = option_table(in_export, &count);
        for (size_t i = 0; i < count; i++) {
            snprintf(name, sizeof(name), "%s%s", in_export ? "export|" : "", options[i].name);
            cfg_set_validate_func(cfg, name, validate);
        }
    }
}

/* ---- from libconfuse's values to ours ---- */

static int store_list(const struct option *option, unsigned count,
                      const char *(*get)(void *, unsigned), void *from, char *base)
{
    size_t *stored = (size_t *)(void *)(base + option->count_offset);
    size_t each = option->type == TYPE_NETWORKS ? sizeof(struct config_network) : sizeof(char *);
    void *list = calloc(count ? count : 1, each);

    if (!list)
        return -ENOMEM;
    *(void **)(void *)(base + option->offset) = list;
    for (unsigned i = 0; i < count; i++) {
        if (option->type == TYPE_NETWORKS)
            config_network_parse(get(from, i), &((struct config_network *)list)[i]);
        else if (!(((char **)list)[i] = strdup(get(from, i))))
            return -ENOMEM;
        *stored = i + 1;
    }
    return 0;
}

static const char *get_from_cfg(void *opt, unsigned index)
{
    return cfg_opt_getnstr(opt, index);
}

static const char *get_initial(void *text, unsigned index)
{
    (void)index;
    return text;
}

static int store_options(cfg_t *cfg, bool in_export, void *base)
{
    size_t count;
    const struct option *options = option_table(in_export, &count);
    char why[512];

    for (size_t i = 0; i < count; i++) {
        const struct option *option = &options[i];
        cfg_opt_t *opt = cfg_getopt(cfg, option->name);
        unsigned given = opt ? cfg_opt_size(opt) : 0;
        const char *text = given ? cfg_opt_getnstr(opt, given - 1) : option->initial;
        int error = 0;

        if (!text)
            continue;
        if (option_is_list(option))
            error = given ? store_list(option, given, get_from_cfg, opt, base)
                          : store_list(option, 1, get_initial, (void *)(uintptr_t)text, base);
        else if (given ? option_read(option, text, (char *)base + option->offset, why, sizeof(why))
                       : option_read_initial(option, (char *)base + option->offset, why,
                                             sizeof(why))) {
            tell(cfg, cfg->line, option->name, why);
            error = -EINVAL;
        }
        if (error)
            return error;
    }
    return 0;
}

static uint32_t id_from_name(const char *pseudo)
{
    static const unsigned char key[crypto_shorthash_KEYBYTES] = "sealnfs export";
    unsigned char hash[crypto_shorthash_BYTES];
    uint32_t id;

    crypto_shorthash(hash, (const unsigned char *)pseudo, strlen(pseudo), key);
    memcpy(&id, hash, sizeof(id));
    return id ? id : 1;
}

static int store_export(cfg_t *section, struct config *config, struct config_export *export)
{
    const char *title = cfg_title(section);
    char why[512];
    int error;

    if (!config_pseudo_is_normal(title)) {
        tell(section, section->line, "export",
             "its name is not a plain absolute path; write it as in export \"/data\" { ... }");
        return -EINVAL;
    }
    export->pseudo = strdup(title);
    if (!export->pseudo)
        return -ENOMEM;
    error = store_options(section, true, export);
    if (error)
        return error;
    if (!export->path || !export->networks) {
        snprintf(why, sizeof(why), "export \"%s\" has no \"%s\"; add it", title,
                 export->path ? "clients" : "path");
        tell(section, section->line, NULL, why);
        return -EINVAL;
    }
    if (export->id == 0)
        export->id = id_from_name(title);
    for (struct config_export *other = config->exports; other < export; other++) {
        if (other->id != export->id)
            continue;
        snprintf(why, sizeof(why),
                 "exports \"%s\" and \"%s\" have the same id %" PRIu32 "; give one another \"id\"",
                 other->pseudo, title, export->id);
        tell(section, section->line, NULL, why);
        return -EINVAL;
    }
    return 0;
}

/* RDMA layouts need an address, of a device, and a build that knows of it. */
static int check_rdma(cfg_t *cfg, const struct config *config)
{
    struct in6_addr address;
    const char *wrong = NULL;
    bool wanted = false;

    for (size_t i = 0; i < config->export_count; i++)
        wanted = wanted || config_export_has_rdma(&config->exports[i]);
    if (wanted && config->rdma_listen_count == 0)
        wrong = "layout_types of an export has \"rdma\", and there is no \"rdma_listen\"; add it, "
                "such as "
                "rdma_listen = "
                "{\"192.0.2.1\"}";
    if (config->rdma_listen_count > RDMA_LAYOUT_MAX_ADDRS)
        wrong = "too many addresses in \"rdma_listen\"; 16 is the most";
    for (size_t i = 0; i < config->rdma_listen_count; i++)
        if (config_address_parse(config->rdma_listen[i], &address) &&
            (IN6_IS_ADDR_UNSPECIFIED(&address) ||
             (IN6_IS_ADDR_V4MAPPED(&address) && address.s6_addr32[3] == 0)))
            wrong = "\"rdma_listen\" takes no wildcard; write the addresses of the RDMA device";
#ifndef SEAL_HAS_RDMA
    if (config->rdma_listen_count > 0)
        wrong = "this sealnfsd was built without RDMA; take \"rdma_listen\" out, or build it with "
                "libibverbs and "
                "librdmacm";
#endif
    if (wrong)
        tell(cfg, cfg->line, NULL, wrong);
    return wrong ? -EINVAL : 0;
}

static int store_config(cfg_t *cfg, struct config *config)
{
    unsigned exports = cfg_size(cfg, "export");
    int error = store_options(cfg, false, config);

    if (error)
        return error;
    if (config->grace_time == 0)
        config->grace_time = config->lease_time;
    if (exports == 0) {
        tell(cfg, cfg->line, NULL,
             "no export; add a section such as export \"/data\" { path = \"/srv/data\" clients = "
             "{\"192.0.2.0/24\"} }");
        return -EINVAL;
    }
    config->exports = calloc(exports, sizeof(*config->exports));
    if (!config->exports)
        return -ENOMEM;
    for (unsigned i = 0; i < exports && !error; i++) {
        config->export_count = i + 1;
        error = store_export(cfg_getnsec(cfg, "export", i), config, &config->exports[i]);
    }
    return error ? error : check_rdma(cfg, config);
}

static int parse(cfg_t *cfg, const char *path)
{
    int result = cfg_parse(cfg, path);

    if (result == CFG_FILE_ERROR) {
        int error = errno ? errno : EIO;
        if (!error_told)
            fprintf(error_stream, "%s:0: cannot be read: %s; give the right file with --config\n",
                    path, strerror(error));
        return -error;
    }
    return result == CFG_SUCCESS && !error_told ? 0 : -EINVAL;
}

int config_load(const char *path, FILE *errors, struct config **out)
{
    cfg_opt_t section[OPTIONS_MAX], top[OPTIONS_MAX];
    struct config *config = calloc(1, sizeof(*config));
    cfg_t *cfg;
    int error = -ENOMEM;

    error_stream = errors;
    error_told = false;
    fill_cfg_options(section, true, NULL);
    fill_cfg_options(top, false, section);
    cfg = config ? cfg_init(top, CFGF_NONE) : NULL;
    if (!cfg)
        goto done;
    cfg_set_error_function(cfg, confuse_error);
    set_validators(cfg);
    error = parse(cfg, path);
    if (!error)
        error = (config->file = strdup(path)) ? store_config(cfg, config) : -ENOMEM;
done:
    if (cfg)
        cfg_free(cfg);
    if (error == -ENOMEM && !error_told)
        fprintf(errors, "%s:0: out of memory\n", path);
    if (error)
        config_free(config);
    else
        *out = config;
    return error;
}

static int make_directory(const char *path, mode_t mode)
{
    if (mkdir(path, mode) == 0 || errno == EEXIST)
        return 0;
    const int error = -errno;
    log_error("directory %s cannot be made: %s; make it", path, strerror(-error));
    return error;
}

int config_make_places(const struct config *config)
{
    char socket_dir[PATH_MAX];
    int error = make_directory(config->state_dir, 0700);

    snprintf(socket_dir, sizeof(socket_dir), "%s", config->control_socket);
    return error ? error : make_directory(dirname(socket_dir), 0755);
}

static void free_texts(char **texts, size_t count)
{
    for (size_t i = 0; i < count; i++)
        free(texts[i]);
    free(texts);
}

void config_free(struct config *config)
{
    if (!config)
        return;
    for (size_t i = 0; i < config->export_count; i++) {
        free(config->exports[i].pseudo);
        free(config->exports[i].path);
        free(config->exports[i].networks);
        free_texts(config->exports[i].include, config->exports[i].include_count);
        free_texts(config->exports[i].exclude, config->exports[i].exclude_count);
    }
    free_texts(config->listen, config->listen_count);
    free_texts(config->rdma_listen, config->rdma_listen_count);
    free(config->exports);
    free(config->file);
    free(config->state_dir);
    free(config->control_socket);
    free(config->control_group);
    free(config->trace_file);
    free(config->metrics_listen);
    free(config->fence_hook);
    free(config->idmap_domain);
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
