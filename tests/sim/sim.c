/*
 * sim - runs the layout engine through random schedules (sim.h says what it looks for).
 *
 *   sim [--first SEED] [--steps N | --schedules N] [--jobs N] [--brief]
 *                                          run schedules from SEED on (1)
 *   sim --seed SEED [--whole]              repeat one schedule and print it
 *
 * A schedule that fails is shrunk and printed (--whole: not shrunk; --brief: only named). Exit
 * status: 0 nothing found, 1 a violation, 2 the command line or the machine. Each job takes every
 * Nth seed, so what is run does not depend on how quick the machine is.
 */
#include <errno.h>
#include <getopt.h>
#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "tests/sim/sim.h"

enum { JOBS_MAX = 64, EXIT_VIOLATION = 1, EXIT_TROUBLE = 2, NO_END_SECONDS = 15 };

struct range {
    uint64_t first, stride;
    uint64_t steps, schedules; /* until so many are done; 0: no bound */
    bool brief;
};

static volatile uint64_t running_seed;

/* The engine, or the world around it, gave up. */
static void died(int signal_number)
{
    char text[96];
    int len = snprintf(text, sizeof text, "sim: the schedule of seed %llu ended by signal %d\n",
                       (unsigned long long)running_seed, signal_number);
    if (write(STDERR_FILENO, text, (size_t)len) < 0)
        _exit(EXIT_TROUBLE);
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

/* A schedule takes milliseconds: an engine that is at it for so long does not come to an end. */
static void hangs(int signal_number)
{
    char text[96];
    int len = snprintf(text, sizeof text, "seed %llu: no end, after at most %d steps\n",
                       (unsigned long long)running_seed, SIM_STEPS);
    (void)signal_number;
    _exit(write(STDOUT_FILENO, text, (size_t)len) == len ? EXIT_VIOLATION : EXIT_TROUBLE);
}

static void print_failure(struct sim_schedule *schedule, enum sim_fault fault, unsigned at,
                          bool whole)
{
    struct sim_figures figures = {0};
    unsigned was = schedule->count;
    if (!whole)
        sim_schedule_shrink(schedule, fault, at);
    printf("seed %llu: %s; %u of %u steps are enough:\n", (unsigned long long)schedule->seed,
           sim_fault_name(fault), schedule->count, was);
    sim_schedule_run(schedule, &figures, true, &at);
    printf("repeat: sim --seed %llu\n", (unsigned long long)schedule->seed);
    fflush(stdout);
}

static int run_range(const struct range *range, struct sim_figures *figures)
{
    static struct sim_schedule schedule;
    for (uint64_t seed = range->first;; seed += range->stride) {
        if ((range->steps && figures->steps >= range->steps) ||
            (range->schedules && figures->schedules >= range->schedules))
            return 0;
        unsigned at;
        running_seed = seed;
        sim_schedule_make(seed, &schedule);
        alarm(NO_END_SECONDS);
        enum sim_fault fault = sim_schedule_run(&schedule, figures, false, &at);
        alarm(0);
        if (fault != SIM_FINE && range->brief)
            printf("seed %llu: %s, after %u of %u steps\n", (unsigned long long)seed,
                   sim_fault_name(fault), at, schedule.count);
        else if (fault != SIM_FINE)
            print_failure(&schedule, fault, at, false);
        fflush(stdout);
        if (fault != SIM_FINE)
            return EXIT_VIOLATION;
    }
}

static int repeat(uint64_t seed, bool whole)
{
    static struct sim_schedule schedule;
    struct sim_figures figures = {0};
    unsigned at;
    running_seed = seed;
    sim_schedule_make(seed, &schedule);
    enum sim_fault fault = sim_schedule_run(&schedule, &figures, false, &at);
    if (fault != SIM_FINE) {
        print_failure(&schedule, fault, at, whole);
        return EXIT_VIOLATION;
    }
    sim_schedule_run(&schedule, &figures, true, &at);
    printf("seed %llu: nothing found\n", (unsigned long long)seed);
    return 0;
}

static void add_figures(struct sim_figures *sum, const struct sim_figures *more)
{
    sum->schedules += more->schedules;
    sum->steps += more->steps;
    sum->grants += more->grants;
    sum->ios += more->ios;
    sum->foreign_refused += more->foreign_refused;
    sum->returns += more->returns;
    sum->recalls += more->recalls;
    sum->fences += more->fences;
    sum->lies += more->lies;
    sum->restarts += more->restarts;
    sum->crashes += more->crashes;
    sum->releases += more->releases;
    sum->reused += more->reused;
}

/* One process a job; its figures come by a pipe. */
static int start_job(const struct range *range, int *figures_fd)
{
    int ends[2];
    if (pipe(ends))
        return -errno;
    fflush(stdout);
    pid_t pid = fork();
    if (pid < 0)
        return -errno;
    if (pid > 0) {
        close(ends[1]);
        *figures_fd = ends[0];
        return 0;
    }
    struct sim_figures figures = {0};
    int status = run_range(range, &figures);
    if (write(ends[1], &figures, sizeof figures) != sizeof figures)
        status = EXIT_TROUBLE;
    _exit(status);
}

static int run_jobs(const struct range *all, unsigned jobs, struct sim_figures *sum)
{
    int fds[JOBS_MAX], worst = 0;
    for (unsigned i = 0; i < jobs; i++) {
        struct range mine = {.first = all->first + i,
                             .stride = jobs,
                             .steps = (all->steps + jobs - 1) / jobs,
                             .schedules = (all->schedules + jobs - 1) / jobs,
                             .brief = all->brief};
        if (start_job(&mine, &fds[i]))
            return EXIT_TROUBLE;
    }
    for (unsigned i = 0; i < jobs; i++) {
        struct sim_figures figures;
        if (read(fds[i], &figures, sizeof figures) == sizeof figures)
            add_figures(sum, &figures);
        close(fds[i]);
    }
    for (unsigned i = 0; i < jobs; i++) {
        int status;
        if (wait(&status) < 0 || !WIFEXITED(status))
            worst = EXIT_TROUBLE;
        else if (WEXITSTATUS(status) > worst)
            worst = WEXITSTATUS(status);
    }
    return worst;
}

static void print_figures(const struct range *range, unsigned jobs, const struct sim_figures *f,
                          double seconds)
{
    printf("seeds from %llu, %u jobs: %llu schedules, %llu steps in %.1f s: %llu grants, %llu "
           "I/Os, %llu "
           "recalls, %llu returns, %llu fences (%llu that lied), %llu client restarts, %llu server "
           "crashes, "
           "%llu releases, %llu blocks reused, %llu late I/Os refused by the disk\n",
           (unsigned long long)range->first, jobs, (unsigned long long)f->schedules,
           (unsigned long long)f->steps, seconds, (unsigned long long)f->grants,
           (unsigned long long)f->ios, (unsigned long long)f->recalls,
           (unsigned long long)f->returns, (unsigned long long)f->fences,
           (unsigned long long)f->lies, (unsigned long long)f->restarts,
           (unsigned long long)f->crashes, (unsigned long long)f->releases,
           (unsigned long long)f->reused, (unsigned long long)f->foreign_refused);
}

static double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

static int usage(void)
{
    fprintf(stderr, "usage: sim [--first SEED] [--steps N | --schedules N] [--jobs N] "
                    "[--brief]\n"
                    "       sim --seed SEED [--whole]\n");
    return EXIT_TROUBLE;
}

int main(int argc, char **argv)
{
    static const struct option options[] = {{"first", 1, NULL, 'f'},     {"steps", 1, NULL, 'n'},
                                            {"schedules", 1, NULL, 'c'}, {"jobs", 1, NULL, 'j'},
                                            {"seed", 1, NULL, 's'},      {"whole", 0, NULL, 'w'},
                                            {"brief", 0, NULL, 'b'},     {0}};
    struct range range = {.first = 1};
    struct sim_figures figures = {0};
    unsigned jobs = 1;
    uint64_t seed = 0;
    bool one = false, whole = false;
    for (int c; (c = getopt_long(argc, argv, "", options, NULL)) != -1;) {
        uint64_t value = optarg ? strtoull(optarg, NULL, 10) : 0;
        if (c == 'f')
            range.first = value;
        else if (c == 'n')
            range.steps = value;
        else if (c == 'c')
            range.schedules = value;
        else if (c == 'j')
            jobs = (unsigned)value;
        else if (c == 's')
            one = true, seed = value;
        else if (c == 'w')
            whole = true;
        else if (c == 'b')
            range.brief = true;
        else
            return usage();
    }
    if (optind < argc || jobs < 1 || jobs > JOBS_MAX)
        return usage();
    mallopt(M_MMAP_THRESHOLD, 1 << 20); /* a world is zeroed page by page, where it is touched */
    signal(SIGABRT, died);
    signal(SIGSEGV, died);
    signal(SIGALRM, hangs);
    if (one)
        return repeat(seed, whole);
    if (!range.steps && !range.schedules)
        range.schedules = 1000;
    double begin = now();
    int status = run_jobs(&range, jobs, &figures);
    print_figures(&range, jobs, &figures, now() - begin);
    return status;
}
