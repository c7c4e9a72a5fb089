/*
 * test_guard.c - who is kept from opening a guarded file, and until when (server/keeper/guard.h):
 * one test a claim. Strangers are child processes. As root, or there is no fanotify.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/fanotify.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "layout/file_key.h"
#include "server/keeper/guard.h"

enum { OPENERS = 4, OPENS = 200, WAITING = 8, SECONDS_MAX = 60 };

static struct scene {
    char path[64];
    int fd;
    struct file_key key;
    struct guard *guard;
} scene;

static int make_scene(void **state)
{
    (void)state;
    snprintf(scene.path, sizeof scene.path, "/tmp/test-guard-%d", (int)getpid());
    scene.fd = open(scene.path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    scene.key = (struct file_key){.len = 1, .data = {7}};
    int err = scene.fd < 0 ? -errno : guard_create(WAITING, &scene.guard);
    if (err) {
        print_error("no guard: %s\n", strerror(-err));
        return -1;
    }
    alarm(SECONDS_MAX); /* a deadlock is what this is about */
    return 0;
}

static int end_scene(void **state)
{
    (void)state;
    guard_destroy(scene.guard);
    close(scene.fd);
    unlink(scene.path);
    alarm(0);
    return 0;
}

/* Its exit status is the errno of its open. As of a program that was started, nothing of ours is
 * open in it: the guard's group would live on. */
static pid_t start_stranger(void)
{
    int ready[2];
    char byte = 0;
    assert_int_equal(pipe(ready), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (write(ready[1], &byte, 1) != 1)
            _exit(255);
        close_range(3, ~0u, 0);
        int fd = open(scene.path, O_RDONLY);
        _exit(fd < 0 ? errno : 0);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return child;
}

static int end_of(pid_t child)
{
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static int stranger_opens(void)
{
    return end_of(start_stranger());
}

/* It sleeps, and all that it sleeps in is open(). */
static void await_sleep(pid_t child)
{
    const struct timespec pause = {.tv_nsec = 2000000};
    char path[32], text[256];
    for (char is = 'R'; is != 'S' && is != 'D'; nanosleep(&pause, NULL)) {
        snprintf(path, sizeof path, "/proc/%d/stat", (int)child);
        FILE *file = fopen(path, "re");
        assert_non_null(file);
        assert_non_null(fgets(text, sizeof text, file));
        fclose(file);
        is = strrchr(text, ')')[2];
        assert_int_not_equal(is, 'Z');
    }
}

static void guard_it(bool waits)
{
    assert_int_equal(guard_add(scene.guard, &scene.key, scene.fd, waits), 0);
}

static void unguard_it(void)
{
    guard_remove(scene.guard, &scene.key, guard_serial(scene.guard, &scene.key), scene.fd);
}

static void open_it_ourselves(void)
{
    int fd = open(scene.path, O_RDONLY | O_CLOEXEC);
    assert_return_code(fd, errno);
    close(fd);
}

static void only_this_process_opens_a_guarded_file(void **state)
{
    (void)state;
    assert_int_equal(stranger_opens(), 0);
    guard_it(false);
    assert_int_equal(stranger_opens(), EPERM);
    open_it_ourselves();
    assert_int_equal(stranger_opens(), EPERM);
    unguard_it();
    assert_int_equal(guard_serial(scene.guard, &scene.key), 0);
    assert_int_equal(stranger_opens(), 0);
}

static void who_waits_is_let_in_at_the_end(void **state)
{
    (void)state;
    guard_it(true);
    pid_t waiting = start_stranger();
    await_sleep(waiting);
    open_it_ourselves(); /* not held up by that */
    assert_int_equal(waitpid(waiting, NULL, WNOHANG), 0);
    unguard_it();
    assert_int_equal(end_of(waiting), 0);
}

static void who_was_killed_while_waiting_is_no_matter(void **state)
{
    (void)state;
    guard_it(true);
    pid_t killed = start_stranger(), waiting = start_stranger();
    await_sleep(killed);
    await_sleep(waiting);
    kill(killed, SIGKILL);
    assert_int_equal(end_of(killed), -SIGKILL);
    unguard_it();
    assert_int_equal(end_of(waiting), 0);
}

/* Wrong: who was told that the seal is gone is refused, as its mark is not off yet. */
static void who_comes_after_the_end_is_let_in_before_the_mark_is_off(void **state)
{
    (void)state;
    guard_it(false);
    assert_int_equal(stranger_opens(), EPERM);
    assert_int_not_equal(guard_let_in(scene.guard, &scene.key), 0);
    assert_int_equal(stranger_opens(), 0);
    guard_it(false);
    assert_int_equal(stranger_opens(), EPERM);
}

static void what_was_added_again_stays_guarded(void **state)
{
    (void)state;
    guard_it(false);
    uint64_t before = guard_serial(scene.guard, &scene.key);
    guard_set_alone(scene.guard, &scene.key, before);
    guard_it(false);
    assert_true(guard_is_alone(scene.guard, &scene.key));
    guard_remove(scene.guard, &scene.key, before, scene.fd);
    assert_int_equal(stranger_opens(), EPERM);
    unguard_it();
    guard_it(false);
    assert_false(guard_is_alone(scene.guard, &scene.key)); /* somebody may have come meanwhile */
}

static void a_guard_that_ends_lets_everybody_in(void **state)
{
    (void)state;
    guard_it(true);
    pid_t waiting = start_stranger();
    await_sleep(waiting);
    guard_destroy(scene.guard);
    scene.guard = NULL;
    assert_int_equal(end_of(waiting), 0);
    assert_int_equal(stranger_opens(), 0);
}

/* Each that waits has a descriptor of ours. */
static void no_more_wait_than_were_said(void **state)
{
    pid_t waiting[WAITING];
    (void)state;
    guard_it(true);
    for (unsigned i = 0; i < WAITING; i++) {
        waiting[i] = start_stranger();
        await_sleep(waiting[i]);
    }
    assert_int_equal(stranger_opens(), EPERM);
    unguard_it();
    for (unsigned i = 0; i < WAITING; i++)
        assert_int_equal(end_of(waiting[i]), 0);
}

/* Whatever takes it off: here it is who finds the descriptor of the group. */
static void take_marks_off(void)
{
    char link[64], target[64];
    for (int fd = 3; fd < 256; fd++) {
        snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
        ssize_t len = readlink(link, target, sizeof target - 1);
        target[len < 0 ? 0 : len] = '\0';
        if (strcmp(target, "anon_inode:[fanotify]") == 0)
            assert_int_equal(fanotify_mark(fd, FAN_MARK_FLUSH, 0, AT_FDCWD, NULL), 0);
    }
}

static void a_mark_that_was_lost_is_set_again_and_nobody_is_alone_then(void **state)
{
    (void)state;
    guard_it(false);
    guard_set_alone(scene.guard, &scene.key, guard_serial(scene.guard, &scene.key));
    guard_it(false);
    assert_true(guard_is_alone(scene.guard, &scene.key));
    assert_int_equal(stranger_opens(), EPERM);
    take_marks_off();
    assert_int_equal(stranger_opens(), 0);
    guard_it(false);
    assert_false(guard_is_alone(scene.guard, &scene.key));
    assert_int_equal(stranger_opens(), EPERM);
}

/* The look began before the file was open to others in between. */
static void what_was_seen_under_an_earlier_guard_does_not_count(void **state)
{
    (void)state;
    guard_it(false);
    uint64_t before = guard_serial(scene.guard, &scene.key);
    unguard_it();
    guard_it(false);
    guard_set_alone(scene.guard, &scene.key, before);
    assert_false(guard_is_alone(scene.guard, &scene.key));
    guard_set_alone(scene.guard, &scene.key, guard_serial(scene.guard, &scene.key));
    assert_true(guard_is_alone(scene.guard, &scene.key));
}

/* Its mark was not off yet, and still everybody was let in. */
static void who_came_between_two_seals_is_not_overlooked(void **state)
{
    (void)state;
    guard_it(false);
    uint64_t serial = guard_serial(scene.guard, &scene.key);
    guard_set_alone(scene.guard, &scene.key, serial);
    assert_int_equal(guard_let_in(scene.guard, &scene.key), serial);
    guard_set_alone(scene.guard, &scene.key, serial);
    assert_int_equal(stranger_opens(), 0);
    guard_it(false);
    assert_false(guard_is_alone(scene.guard, &scene.key));
    assert_int_equal(stranger_opens(), EPERM);
}

/* The guard is another process's here. */
static void a_process_that_dies_lets_everybody_in(void **state)
{
    int ready[2];
    char byte = 0;
    (void)state;
    assert_int_equal(pipe(ready), 0);
    pid_t server = fork();
    assert_true(server >= 0);
    if (server == 0) {
        struct guard *guard;
        if (guard_create(WAITING, &guard) != 0 ||
            guard_add(guard, &scene.key, scene.fd, true) != 0 || write(ready[1], &byte, 1) != 1)
            _exit(1);
        for (;;)
            pause();
    }
    assert_int_equal(read(ready[0], &byte, 1), 1);
    pid_t waiting = start_stranger();
    await_sleep(waiting);
    kill(server, SIGKILL);
    assert_int_equal(end_of(server), -SIGKILL);
    assert_int_equal(end_of(waiting), 0);
    close(ready[0]);
    close(ready[1]);
}

static void *open_often(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < OPENS; i++) {
        int fd = open(scene.path, O_RDONLY | O_CLOEXEC);
        if (fd < 0)
            return scene.path;
        close(fd);
    }
    return NULL;
}

/* Each asks the guard; it is added, told of and taken away meanwhile. */
static void opens_of_our_own_go_on_whatever_is_guarded_meanwhile(void **state)
{
    pthread_t thread[OPENERS];
    void *failed;
    (void)state;
    guard_it(true);
    pid_t waiting = start_stranger();
    await_sleep(waiting);
    for (unsigned i = 0; i < OPENERS; i++)
        assert_int_equal(pthread_create(&thread[i], NULL, open_often, NULL), 0);
    for (unsigned i = 0; i < OPENS; i++) {
        guard_it(i % 2);
        unguard_it();
    }
    for (unsigned i = 0; i < OPENERS; i++) {
        assert_int_equal(pthread_join(thread[i], &failed), 0);
        assert_null(failed);
    }
    assert_int_equal(end_of(waiting), 0);
}

/* An event's descriptor is one of the file, and would spoil the proof that there is no other. */
static void no_descriptor_is_left_after_an_open(void **state)
{
    (void)state;
    int reader = open(scene.path, O_RDONLY | O_CLOEXEC);
    assert_return_code(reader, errno);
    close(scene.fd);
    scene.fd = reader;
    assert_int_equal(fcntl(reader, F_SETSIG, SIGURG), 0);
    guard_it(false);
    for (unsigned i = 0; i < OPENS; i++) {
        open_it_ourselves();
        assert_int_equal(stranger_opens() == EPERM ? fcntl(reader, F_SETLEASE, F_WRLCK) : -2, 0);
        assert_int_equal(fcntl(reader, F_SETLEASE, F_UNLCK), 0);
    }
}

#define T(name) cmocka_unit_test_setup_teardown(name, make_scene, end_scene)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(only_this_process_opens_a_guarded_file),
        T(who_waits_is_let_in_at_the_end),
        T(who_was_killed_while_waiting_is_no_matter),
        T(who_comes_after_the_end_is_let_in_before_the_mark_is_off),
        T(what_was_added_again_stays_guarded),
        T(a_guard_that_ends_lets_everybody_in),
        T(no_more_wait_than_were_said),
        T(a_mark_that_was_lost_is_set_again_and_nobody_is_alone_then),
        T(what_was_seen_under_an_earlier_guard_does_not_count),
        T(who_came_between_two_seals_is_not_overlooked),
        T(a_process_that_dies_lets_everybody_in),
        T(opens_of_our_own_go_on_whatever_is_guarded_meanwhile),
        T(no_descriptor_is_left_after_an_open),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
