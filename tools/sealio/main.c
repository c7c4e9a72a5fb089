/*
 * The tool sealio: reads its command line, calls one command. Commands are in tool_*.c.
 */
#include "tools/sealio/tool.h"

#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char usage[] =
    "usage: sealio COMMAND [OPTION...] ...\n"
    "\n"
    "  sealio cat URL           write the file to standard output\n"
    "  sealio cp SOURCE TARGET  copy; each is a URL, a local path, or - for standard\n"
    "                           input or output\n"
    "  sealio map URL           show where the file's blocks are: its layout, extent\n"
    "                           by extent\n"
    "  sealio ls URL            list a directory, or show one file\n"
    "  sealio bench URL         measure an NFSv4.1 server (below)\n"
    "\n"
    "URL is nfs://HOST[:PORT]/PATH. Data moves straight between this machine and the\n"
    "shared disk where the server gives a layout and the disk is found here, else\n"
    "through the server.\n"
    "\n"
    "  --device PATH       look for the disk among these only (may be repeated); else\n"
    "                      among all block devices\n"
    "  --no-layout         move everything through the server\n"
    "  --require-layout    fail (exit 3) rather than move data through the server\n"
    "  --in-place          cp: write over TARGET without creating or truncating it (a\n"
    "                      pinned sealed file)\n"
    "  --hold SECONDS      keep the layout so long after the work is done, even if it\n"
    "                      is recalled\n"
    "  --hold-until-recall keep the layout until the server recalls it, then return\n"
    "                      it (also --hold until-recalled)\n"
    "  --timeout SECONDS   give up on a call after so long (120)\n"
    "  --json              map: as JSON\n"
    "  --stats             print counters on standard error at the end\n"
    "  --quiet             no progress, no messages but errors\n"
    "  --help, --version\n"
    "\n"
    "Exit status: 0 done; 1 the server, network, disk or a file failed; 2 bad command\n"
    "line; 3 no direct access.\n";

enum option_key {
    KEY_DEVICE = 256,
    KEY_NO_LAYOUT,
    KEY_REQUIRE,
    KEY_IN_PLACE,
    KEY_HOLD,
    KEY_HOLD_UNTIL,
    KEY_TIMEOUT,
    KEY_JSON,
    KEY_STATS,
    KEY_QUIET,
};

static const struct option long_options[] = {
    {"device", required_argument, NULL, KEY_DEVICE},
    {"no-layout", no_argument, NULL, KEY_NO_LAYOUT},
    {"require-layout", no_argument, NULL, KEY_REQUIRE},
    {"in-place", no_argument, NULL, KEY_IN_PLACE},
    {"hold", required_argument, NULL, KEY_HOLD},
    {"hold-until-recall", no_argument, NULL, KEY_HOLD_UNTIL},
    {"timeout", required_argument, NULL, KEY_TIMEOUT},
    {"json", no_argument, NULL, KEY_JSON},
    {"stats", no_argument, NULL, KEY_STATS},
    {"quiet", no_argument, NULL, KEY_QUIET},
    {"help", no_argument, NULL, 'h'},
    {NULL, 0, NULL, 0},
};

/* Seconds from 0 to about 45 days. */
static bool parse_seconds(const char *text, unsigned *out)
{
    char *end;
    const unsigned long value = strtoul(text, &end, 10);
    if (*text < '0' || *text > '9' || *end || value > 4000000)
        return false;
    *out = (unsigned)value;
    return true;
}

static bool set_hold(struct tool_options *options, const char *text)
{
    if (strcmp(text, "until-recalled") == 0) {
        options->hold_until_recalled = true;
        return true;
    }
    options->hold = true;
    return parse_seconds(text, &options->hold_seconds);
}

/* False: bad value. */
static bool set_option(struct tool_options *options, int key)
{
    unsigned seconds = 0;
    switch (key) {
    case KEY_DEVICE:
        if (options->session.device_count == TOOL_MAX_DEVICES)
            return false;
        options->devices[options->session.device_count++] = optarg;
        return true;
    case KEY_NO_LAYOUT:
        options->session.layouts = SEALIO_LAYOUTS_NEVER;
        return true;
    case KEY_REQUIRE:
        options->session.layouts = SEALIO_LAYOUTS_REQUIRE;
        return true;
    case KEY_IN_PLACE:
        return options->in_place = true;
    case KEY_HOLD:
        return set_hold(options, optarg);
    case KEY_HOLD_UNTIL:
        return options->hold_until_recalled = true;
    case KEY_TIMEOUT:
        if (!parse_seconds(optarg, &seconds) || seconds == 0)
            return false;
        options->session.timeout_ms = seconds * 1000;
        return true;
    case KEY_JSON:
        return options->json = true;
    case KEY_STATS:
        return options->stats = true;
    case KEY_QUIET:
        return options->quiet = true;
    default:
        return false;
    }
}

static int complain(const char *what)
{
    fprintf(stderr, "sealio: %s; see sealio --help\n", what);
    return TOOL_USAGE;
}

static int help(void)
{
    fputs(usage, stdout);
    putchar('\n');
    tool_bench_usage();
    putchar('\n');
    tool_bench_rdma_usage();
    return TOOL_OK;
}

static int run(const char *command, const struct tool_options *options, int count, char **args)
{
    if (strcmp(command, "cp") == 0)
        return count == 2 ? tool_cp(options, args[0], args[1])
                          : complain("cp takes a source and a target");
    if (count != 1)
        return complain("this command takes one URL");
    if (strcmp(command, "cat") == 0)
        return tool_cat(options, args[0]);
    if (strcmp(command, "map") == 0)
        return tool_map(options, args[0]);
    if (strcmp(command, "ls") == 0)
        return tool_ls(options, args[0]);
    return complain("unknown command");
}

int main(int argc, char **argv)
{
    struct tool_options options = {.session = {.layouts = SEALIO_LAYOUTS_TRY}};
    if (argc >= 2 && (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "help") == 0)) {
        return help();
    }
    if (argc >= 2 && strcmp(argv[1], "--version") == 0) {
        puts("sealio " SEALNFS_VERSION);
        return TOOL_OK;
    }
    if (argc < 2 || argv[1][0] == '-')
        return complain("which command?");
    if (strcmp(argv[1], "bench") == 0)
        return tool_bench(argc - 1, argv + 1);
    for (int key; (key = getopt_long(argc - 1, argv + 1, "h", long_options, NULL)) != -1;) {
        if (key == 'h') {
            return help();
        }
        if (key == '?' || !set_option(&options, key))
            return complain("bad option");
    }
    options.session.devices = options.devices;
    return run(argv[1], &options, argc - 1 - optind, argv + 1 + optind);
}
