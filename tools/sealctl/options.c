/* options.c - see options.h. One table says what each option takes, where that goes, and which
 * commands know it. */
#include "tools/sealctl/options.h"

#include <errno.h>
#include <getopt.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/sealctl/ask.h"

#define AT(member) offsetof(struct options, member)

enum { WATCH_SECONDS = 2, SECONDS_MAX = 4000000, LONG_ONLY = 256, OPTIONS_MAX = 32 };

enum taken { NOTHING, TEXT, SIZE, SECONDS, COUNT, HELP, VERSION };

static const struct known_option {
    const char *name;
    char letter; /* 0: it has none */
    enum taken takes;
    size_t at;
    const char *commands; /* NULL: every one */
} known[] = {
    {"socket", 's', TEXT, AT(socket), NULL},
    {"json", 'j', NOTHING, AT(json), NULL},
    {"help", 'h', HELP, 0, NULL},
    {"version", 'V', VERSION, 0, NULL},
    {"dry-run", 0, NOTHING, AT(dry_run), "seal"},
    {"pinned", 'p', NOTHING, AT(pinned), "seal"},
    {"fill", 'f', NOTHING, AT(fill), "seal"},
    {"sparse", 0, NOTHING, AT(sparse), "seal"},
    {"reserve", 0, SIZE, AT(reserve), "seal"},
    {"wait", 'w', NOTHING, AT(wait), "unseal"},
    {"all", 0, NOTHING, AT(all), "unseal"},
    {"timeout", 't', SECONDS, AT(timeout_s), "unseal, doctor"},
    {"write", 0, NOTHING, AT(write), "hold"},
    {"fence", 0, TEXT, AT(fence), "hold"},
    {"yes", 'y', NOTHING, AT(yes), "forget-holders, fenced, node-fenced"},
    {"config", 0, TEXT, AT(config), "doctor, node-fenced"},
    {"watch", 0, NOTHING, AT(again), "status, grants, clients, exports"},
    {"interval", 0, COUNT, AT(watch.interval_s), "top, status, grants, clients, exports"},
    {"count", 0, COUNT, AT(watch.count), "top, status, grants, clients, exports"},
};
#define KNOWN ((int)(sizeof(known) / sizeof(known[0])))
_Static_assert(KNOWN < OPTIONS_MAX, "each has a bit, and getopt's table an end");

int wrong_usage(const char *what, const char *which)
{
    fprintf(stderr, "sealctl: %s%s%s; see sealctl --help\n", what, which ? " " : "",
            which ? which : "");
    return EXIT_USAGE;
}

void print_help(void)
{
    puts("usage: sealctl [-s SOCKET] COMMAND [OPTIONS] [FILE]\n");
    for (size_t i = 0; i < command_count; i++)
        fputs(commands[i].help, stdout);
    fputs("\n"
          "  -s, --socket SOCKET   default /run/sealnfs/control.sock or $SEALNFS_SOCKET\n"
          "  -j, --json            print the server's answer as JSON\n"
          "  -h, --help            print this\n"
          "  -V, --version         print the version\n"
          "\n"
          "Exit status: 0 done, 1 refused or failed, 2 wrong usage, 3 server not reached,\n"
          "4 release still under way.\n",
          stdout);
}

const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < command_count; i++)
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    return NULL;
}

/* ---- what an option takes ---- */

static bool read_number(const char *text, long least, long *out)
{
    char *end;

    errno = 0;
    *out = strtol(text, &end, 10);
    return end != text && *end == '\0' && errno == 0 && *out >= least && *out <= SECONDS_MAX;
}

/* A number above 0, perhaps with K, M, G or T. */
static bool read_size(const char *text, long long *size)
{
    static const char units[] = "KMGT";
    char *end;
    errno = 0;
    long long number = strtoll(text, &end, 10);
    const char *unit = *end ? strchr(units, *end) : NULL;
    unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;

    if (end == text || errno || number <= 0 || (*end && (!unit || end[1])) ||
        number > INT64_MAX >> shift)
        return false;
    *size = number << shift;
    return true;
}

static int refuse_value(const struct known_option *option, const char *value)
{
    static const char *const wants[] = {[SIZE] = "a size, such as 64M or 10G",
                                        [SECONDS] = "seconds",
                                        [COUNT] = "a number, 1 or more"};

    fprintf(stderr, "sealctl: --%s wants %s, not \"%s\"; see sealctl --help\n", option->name,
            wants[option->takes], value);
    return EXIT_USAGE;
}

/* -1: it was taken. */
static int take_option(const struct known_option *option, const char *value,
                       struct options *options)
{
    void *at = (char *)options + option->at;

    switch (option->takes) {
    case NOTHING:
        *(bool *)at = true;
        return -1;
    case TEXT:
        *(const char **)at = value;
        return -1;
    case SIZE:
        return read_size(value, at) ? -1 : refuse_value(option, value);
    case SECONDS:
        return read_number(value, 0, at) ? -1 : refuse_value(option, value);
    case COUNT:
        return read_number(value, 1, at) ? -1 : refuse_value(option, value);
    case HELP:
        print_help();
        return EXIT_DONE;
    case VERSION:
        puts("sealctl " SEALNFS_VERSION);
        return EXIT_DONE;
    }
    return EXIT_USAGE;
}

/* ---- what belongs together ---- */

static bool is_among(const char *name, const char *names)
{
    for (size_t len; *names; names += len + strspn(names + len, ", ")) {
        len = strcspn(names, ",");
        if (strncmp(names, name, len) == 0 && name[len] == '\0')
            return true;
    }
    return false;
}

/* given: a bit for each option. -1: the command knows them all. */
static int check_given(const struct command *command, unsigned given)
{
    char what[64];

    for (int i = 0; i < KNOWN; i++) {
        if (!(given >> i & 1) || !known[i].commands || is_among(command->name, known[i].commands))
            continue;
        snprintf(what, sizeof(what), "--%s belongs to", known[i].name);
        return wrong_usage(what, known[i].commands);
    }
    return -1;
}

static int check_together(const struct options *options)
{
    const bool is_top = strcmp(options->command->name, "top") == 0;
    const bool is_of_node = strcmp(options->command->name, "node-fenced") == 0;

    if (options->sparse && (options->pinned || options->fill || options->reserve))
        return wrong_usage("--sparse goes with none of --pinned, --fill and --reserve", NULL);
    if ((options->watch.count || options->watch.interval_s) && !options->again && !is_top)
        return wrong_usage("--interval and --count belong to", "top and --watch");
    if (is_of_node && !options->yes)
        return wrong_usage("say --yes when that machine is switched off; usage: sealctl",
                           options->command->usage);
    if (is_of_node && options->json)
        return wrong_usage("there is no --json of", "node-fenced, which asks no server");
    return -1;
}

static int check_words(struct options *options, int left)
{
    const struct command *command = options->command;

    if (left > 0 && strcmp(command->name, "hold") == 0)
        options->argv = options->files + options->file_count - left;
    else if (left > 0 && !command->many)
        return wrong_usage("too many arguments; usage: sealctl", command->usage);
    if (command->file == NEEDS_NAME && !options->file)
        return wrong_usage("a name is needed; usage: sealctl", command->usage);
    if (options->all && options->file)
        return wrong_usage("--all is instead of a FILE; usage: sealctl", command->usage);
    if (command->file == NEEDS_FILE && !options->file && !options->all)
        return wrong_usage("a file is needed; usage: sealctl", command->usage);
    return -1;
}

static int parse_words(int argc, char **argv, struct options *options, unsigned given)
{
    int left = argc - optind - 1, status;

    if (left < 0)
        return wrong_usage("no command given", NULL);
    options->command = find_command(argv[optind]);
    if (!options->command)
        return wrong_usage("unknown command", argv[optind]);
    options->files = argv + optind + 1;
    options->file_count = left;
    if (left > 0 && options->command->file != NO_FILE) {
        options->file = options->files[0];
        left--;
    }
    status = check_given(options->command, given);
    if (status < 0)
        status = check_words(options, left);
    if (status < 0)
        status = check_together(options);
    if (!options->watch.interval_s)
        options->watch.interval_s = WATCH_SECONDS;
    return status;
}

static bool takes_value(const struct known_option *option)
{
    return option->takes == TEXT || option->takes == SIZE || option->takes == SECONDS ||
           option->takes == COUNT;
}

/* getopt's own tables. A long option is told by its number, a letter by itself. */
static void make_tables(struct option longs[OPTIONS_MAX], char letters[2 * OPTIONS_MAX])
{
    for (int i = 0; i < KNOWN; i++) {
        const bool value = takes_value(&known[i]);
        longs[i] = (struct option){.name = known[i].name, .has_arg = value, .val = LONG_ONLY + i};
        if (known[i].letter)
            *letters++ = known[i].letter;
        if (known[i].letter && value)
            *letters++ = ':';
    }
    longs[KNOWN] = (struct option){.name = NULL};
    *letters = '\0';
}

/* -1: there is none. */
static int find_option(int told)
{
    if (told >= LONG_ONLY)
        return told - LONG_ONLY;
    for (int i = 0; i < KNOWN; i++)
        if (known[i].letter && known[i].letter == told)
            return i;
    return -1;
}

int parse_options(int argc, char **argv, struct options *options)
{
    struct option longs[OPTIONS_MAX];
    char letters[2 * OPTIONS_MAX];
    unsigned given = 0;
    int told;

    make_tables(longs, letters);
    while ((told = getopt_long(argc, argv, letters, longs, NULL)) != -1) {
        const int i = find_option(told);
        const int status = i < 0 ? EXIT_USAGE : take_option(&known[i], optarg, options);

        if (status >= 0)
            return status;
        given |= 1u << i;
    }
    return parse_words(argc, argv, options, given);
}
