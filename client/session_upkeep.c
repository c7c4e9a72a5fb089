/*
 * The session's own thread: renews the lease when nobody else does (RFC 8881 section 8.3), tells
 * the program of recalls, and returns recalled layouts once no I/O is under way on them.
 */
#include "client/file_impl.h"
#include "client/net/transport.h"
#include "client/session_impl.h"

#include <errno.h>
#include <signal.h>
#include <time.h>

/* The lease is renewed when a third of it has gone by, and after a failure every so often; a lost
 * connection is made anew at once. */
enum { RENEW_RETRY_MS = 2000 };

static void renew_lease(struct sealio_session *session)
{
    uint8_t buf[512];
    struct sealio_call call;
    struct sealio_reply reply;
    sealio_session_begin(session, &call, buf, sizeof(buf), SEALIO_CALL_SEQUENCE);
    call.no_retry = true;
    if (sealio_session_run(session, &call, &reply) == 0)
        sealio_reply_free(&reply);
}

static struct sealio_file *file_of(struct sealio_session *session,
                                   const struct sealio_layout *layout)
{
    struct sealio_file *file = session->files;
    while (file && file->layout != layout)
        file = file->next;
    return file;
}

/* Under the lock, dropped around the callback. False: nothing to tell. */
static bool announce_locked(struct sealio_session *session)
{
    for (struct sealio_layout *layout = session->layouts; layout; layout = layout->next) {
        if (!layout->held || !layout->recalled || layout->announced)
            continue;
        layout->announced = true;
        pthread_cond_broadcast(&session->changed);
        struct sealio_file *file = file_of(session, layout);
        if (!file || !session->on_recall)
            continue;
        const struct sealio_recall recall = {file, layout->recall_offset, layout->recall_length};
        file->busy++;
        pthread_mutex_unlock(&session->lock);
        session->on_recall(session->on_recall_arg, &recall);
        pthread_mutex_lock(&session->lock);
        file->busy--;
        pthread_cond_broadcast(&session->changed);
        return true;
    }
    return false;
}

static bool is_to_go(const struct sealio_layout *layout)
{
    return layout->held && !layout->returning && !layout->getting && layout->inflight == 0 &&
           ((layout->recalled && layout->announced && !layout->hold) ||
            (layout->trim && !layout->hold));
}

/* Under the lock, dropped meanwhile. False: nothing to return. */
static bool return_locked(struct sealio_session *session)
{
    for (struct sealio_layout *layout = session->layouts; layout; layout = layout->next) {
        if (!is_to_go(layout))
            continue;
        layout->returning = true;
        layout->files++; /* keeps it while the lock is dropped */
        sealio_layout_give_back_locked(session, layout);
        sealio_layout_release_locked(session, layout);
        return true;
    }
    return false;
}

/* A recall of a whole file system or of everything is acknowledged when nothing of it is left (RFC
 * 8881 section 12.5.5.1). */
static bool bulk_locked(struct sealio_session *session)
{
    if (!session->bulk_due)
        return false;
    for (const struct sealio_layout *layout = session->layouts; layout; layout = layout->next) {
        if (layout->recalled || layout->returning)
            return false;
    }
    const CB_LAYOUTRECALL4args args = session->bulk_recall;
    session->bulk_due = false;
    pthread_mutex_unlock(&session->lock);
    sealio_layouts_bulk_done(session, &args);
    pthread_mutex_lock(&session->lock);
    return true;
}

static void sleep_locked(struct sealio_session *session, uint64_t until_ms)
{
    const struct timespec until = {.tv_sec = (time_t)(until_ms / 1000),
                                   .tv_nsec = (long)(until_ms % 1000) * 1000000};
    pthread_cond_clockwait(&session->changed, &session->lock, CLOCK_MONOTONIC, &until);
}

static void *upkeep_main(void *arg)
{
    struct sealio_session *session = arg;
    uint64_t not_before = 0;
    pthread_mutex_lock(&session->lock);
    while (!session->stopping) {
        if (announce_locked(session) || return_locked(session) || bulk_locked(session))
            continue;
        const uint64_t now = sealio_now_ms();
        uint64_t due = session->lease_until - session->lease_ms * 2 / 3;
        if (session->state == SESSION_BROKEN || session->lease_until < session->lease_ms ||
            due < not_before)
            due = not_before;
        if (due > now) {
            sleep_locked(session, due);
            continue;
        }
        not_before = now + RENEW_RETRY_MS;
        pthread_mutex_unlock(&session->lock);
        renew_lease(session);
        pthread_mutex_lock(&session->lock);
    }
    pthread_mutex_unlock(&session->lock);
    return NULL;
}

int sealio_upkeep_start(struct sealio_session *session)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&session->upkeep, NULL, upkeep_main, session);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    session->upkeep_runs = rc == 0;
    return -rc;
}

void sealio_upkeep_stop(struct sealio_session *session)
{
    if (!session->upkeep_runs)
        return;
    pthread_mutex_lock(&session->lock);
    session->stopping = true;
    pthread_cond_broadcast(&session->changed);
    pthread_mutex_unlock(&session->lock);
    pthread_join(session->upkeep, NULL);
    session->upkeep_runs = false;
}
