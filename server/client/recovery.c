/*
 * recovery.c - client records and grace, see recovery.h.
 *
 * A record carries the number of the boot in which the client was last confirmed. Records of
 * earlier boots are the clients that may reclaim; they are deleted when grace ends, before the end
 * is announced, so that a client that missed it can never reclaim at a later restart (RFC 8881
 * section 8.4.2.1). One mutex guards the database and one the list in memory; the database is used
 * by workers, and at start and end by the main thread. Changes of records are written one after the
 * other, in the order in which they were asked for: of one owner's two, the later one counts.
 */
#include "server/client/recovery.h"

#include <errno.h>
#include <event2/event.h>
#include <fcntl.h>
#include <pthread.h>
#include <sodium.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "layout/container_of.h"
#include "layout/database.h"
#include "server/base/log.h"

struct awaited {
    uint8_t *owner;
    uint32_t len;
    bool done;
};

struct recovery {
    struct worker_pool *workers;
    pthread_mutex_t db_lock;
    sqlite3 *db;
    sqlite3_stmt *confirm, *forget, *end_grace;
    int64_t boot;
    uint8_t server_uuid[16];
    uint8_t fh_key[16];
    atomic_bool grace;
    atomic_bool ending; /* the end of grace is being written */
    struct work end_work;
    struct event *timer;
    uint64_t grace_began, grace_length; /* ns */
    _Atomic uint64_t last_reclaim;      /* ns; 0: none yet */
    bool stretched;                     /* grace goes on past its time. The timer's loop */
    pthread_mutex_t list_lock;          /* guards awaited[].done and left */
    struct awaited *awaited;
    size_t awaited_count, left;
    pthread_mutex_t queue_lock; /* guards what follows: the changes that were asked for */
    struct recovery_call *queue, **queue_end;
    bool writing;
    struct work write_work;
};

static void write_next(struct work *work);

static int sql_error(const struct recovery *r, int rc, const char *what)
{
    if (rc == SQLITE_OK || rc == SQLITE_DONE || rc == SQLITE_ROW)
        return 0;
    log_error("client records: cannot %s: %s", what,
              r->db ? sqlite3_errmsg(r->db) : sqlite3_errstr(rc));
    return database_errno(rc);
}

static int run_sql(struct recovery *r, const char *sql, const char *what)
{
    return sql_error(r, sqlite3_exec(r->db, sql, NULL, NULL, NULL), what);
}

/* A value made at the first start and kept since. */
static int load_secret(struct recovery *r, const char *name, uint8_t value[16])
{
    sqlite3_stmt *stmt = NULL;
    uint8_t fresh[16];
    randombytes_buf(fresh, sizeof(fresh));
    int rc = sqlite3_prepare_v2(r->db, "INSERT OR IGNORE INTO identity(name, value) VALUES(?1, ?2)",
                                -1, &stmt, NULL);
    if (rc == SQLITE_OK) {
        sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
        sqlite3_bind_blob(stmt, 2, fresh, sizeof(fresh), SQLITE_STATIC);
        rc = sqlite3_step(stmt);
    }
    sqlite3_finalize(stmt);
    int err = sql_error(r, rc, "write the server's identity");
    if (err < 0)
        return err;
    rc = sqlite3_prepare_v2(r->db, "SELECT value FROM identity WHERE name = ?1", -1, &stmt, NULL);
    if (rc == SQLITE_OK) {
        sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
        rc = sqlite3_step(stmt);
    }
    err = sql_error(r, rc, "read the server's identity");
    if (err == 0 && (rc != SQLITE_ROW || sqlite3_column_bytes(stmt, 0) != 16))
        err = -EIO;
    if (err == 0)
        memcpy(value, sqlite3_column_blob(stmt, 0), 16);
    sqlite3_finalize(stmt);
    return err;
}

static int new_boot(struct recovery *r)
{
    sqlite3_stmt *stmt = NULL;
    int err = run_sql(
        r,
        "INSERT OR IGNORE INTO boot(id, number) VALUES(0, 0); UPDATE boot SET number = number + 1",
        "count the start");
    if (err < 0)
        return err;
    int rc = sqlite3_prepare_v2(r->db, "SELECT number FROM boot", -1, &stmt, NULL);
    if (rc == SQLITE_OK)
        rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        r->boot = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return sql_error(r, rc, "count the start");
}

static int add_awaited(struct recovery *r, const void *owner, int len)
{
    struct awaited *more = realloc(r->awaited, (r->awaited_count + 1) * sizeof(*more));
    if (!more)
        return -ENOMEM;
    r->awaited = more;
    struct awaited *a = &more[r->awaited_count];
    *a = (struct awaited){.owner = malloc((size_t)len + 1), .len = (uint32_t)len};
    if (!a->owner)
        return -ENOMEM;
    if (len > 0)
        memcpy(a->owner, owner, (size_t)len);
    r->awaited_count++;
    r->left++;
    return 0;
}

static int load_awaited(struct recovery *r)
{
    sqlite3_stmt *stmt = NULL;
    int err = 0;
    int rc = sqlite3_prepare_v2(r->db, "SELECT owner FROM client", -1, &stmt, NULL);
    while (rc == SQLITE_OK || rc == SQLITE_ROW) {
        rc = sqlite3_step(stmt);
        if (rc != SQLITE_ROW)
            break;
        err = add_awaited(r, sqlite3_column_blob(stmt, 0), sqlite3_column_bytes(stmt, 0));
        if (err < 0)
            break;
    }
    sqlite3_finalize(stmt);
    return err < 0 ? err : sql_error(r, rc, "read");
}

static int prepare_sql(struct recovery *r, const char *sql, sqlite3_stmt **stmt)
{
    return sql_error(r, sqlite3_prepare_v3(r->db, sql, -1, SQLITE_PREPARE_PERSISTENT, stmt, NULL),
                     "prepare");
}

/* SQLite's own look at the whole of it; what it finds is a row of text. */
static int check_db(const struct recovery *r)
{
    int err = database_check_pages(r->db);
    if (err)
        log_error("client records: not all of them can be read: %s", strerror(-err));
    return err;
}

/* The key of file handles is in it: nobody else reads it, nor what SQLite makes beside it, which
 * has the same mode. */
static int keep_private(const char *path)
{
    static const char *const parts[] = {"", "-wal", "-shm"};
    char name[DATABASE_PATH_MAX];
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return -errno;
    close(fd);
    for (unsigned i = 0; i < sizeof(parts) / sizeof(parts[0]); i++) {
        snprintf(name, sizeof(name), "%s%s", path, parts[i]);
        if (chmod(name, 0600) != 0 && errno != ENOENT)
            return -errno;
    }
    return 0;
}

/* The records of earlier versions say no id. */
static int add_ids(struct recovery *r)
{
    int rc =
        sqlite3_table_column_metadata(r->db, NULL, "client", "id", NULL, NULL, NULL, NULL, NULL);
    if (rc == SQLITE_OK)
        return 0;
    return run_sql(r, "ALTER TABLE client ADD COLUMN id INTEGER NOT NULL DEFAULT 0",
                   "give the records ids");
}

static int open_db(struct recovery *r, const char *path)
{
    static const char schema[] =
        "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;"
        "CREATE TABLE IF NOT EXISTS identity(name TEXT PRIMARY KEY, value BLOB NOT NULL);"
        "CREATE TABLE IF NOT EXISTS boot(id INTEGER PRIMARY KEY, number INTEGER NOT NULL);"
        "CREATE TABLE IF NOT EXISTS client(owner BLOB PRIMARY KEY, boot INTEGER NOT NULL, "
        "id INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID;";
    int err = keep_private(path);
    if (err < 0) {
        log_error("client records: %s: %s; it has to be a file of this server's own", path,
                  strerror(-err));
        return err;
    }
    int rc = sqlite3_open_v2(
        path, &r->db, SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX, NULL);
    if (rc != SQLITE_OK) {
        log_error("client records: cannot open %s: %s", path, sqlite3_errstr(rc));
        return -EIO;
    }
    sqlite3_busy_timeout(r->db, 5000);
    err = run_sql(r, schema, "make the tables");
    if (err == 0)
        err = check_db(r);
    if (err == 0)
        err = add_ids(r);
    if (err == 0)
        err = new_boot(r);
    if (err == 0)
        err = load_secret(r, "server", r->server_uuid);
    if (err == 0)
        err = load_secret(r, "file handle key", r->fh_key);
    if (err == 0)
        err = load_awaited(r);
    if (err == 0)
        err = prepare_sql(r,
                          "INSERT INTO client(owner, boot, id) VALUES(?1, ?2, ?3) "
                          "ON CONFLICT(owner) DO UPDATE SET boot = ?2, id = ?3",
                          &r->confirm);
    if (err == 0)
        err = prepare_sql(r, "DELETE FROM client WHERE owner = ?1 AND id = ?3", &r->forget);
    if (err == 0)
        err = prepare_sql(r, "DELETE FROM client WHERE boot < ?1", &r->end_grace);
    return err;
}

static void close_db(struct recovery *r)
{
    sqlite3_finalize(r->confirm);
    sqlite3_finalize(r->forget);
    sqlite3_finalize(r->end_grace);
    sqlite3_close(r->db);
    r->confirm = r->forget = r->end_grace = NULL;
    r->db = NULL;
    for (size_t i = 0; i < r->awaited_count; i++)
        free(r->awaited[i].owner);
    free(r->awaited);
    r->awaited = NULL;
    r->awaited_count = r->left = 0;
}

/* As the journal in that state (keeper/journal.c). */
static int set_aside(const char *path)
{
    char name[DATABASE_PATH_MAX];
    int err = database_set_aside(path, name);
    if (err == 0)
        log_error("client records: %s is damaged: it is kept as %s, and a new one is begun. The "
                  "server has another identity now and its file handles another key: clients have "
                  "to mount anew and reclaim nothing. To have the old ones back stop the server "
                  "and put a copy of before in its place",
                  path, name);
    return err;
}

static int open_or_begin(struct recovery *r, const char *dir)
{
    char path[DATABASE_PATH_MAX];
    if ((size_t)snprintf(path, sizeof(path), "%s/clients.db", dir) >= sizeof(path) - sizeof("-wal"))
        return -ENAMETOOLONG;
    int err = open_db(r, path);
    if (err != -EUCLEAN)
        return err;
    close_db(r);
    err = set_aside(path);
    return err < 0 ? err : open_db(r, path);
}

int recovery_open(const char *dir, struct worker_pool *workers, struct recovery **out)
{
    if (sodium_init() < 0)
        return -EIO;
    struct recovery *r = calloc(1, sizeof(*r));
    if (!r)
        return -ENOMEM;
    r->workers = workers;
    pthread_mutex_init(&r->db_lock, NULL);
    pthread_mutex_init(&r->list_lock, NULL);
    pthread_mutex_init(&r->queue_lock, NULL);
    r->queue_end = &r->queue;
    r->write_work.run = write_next;
    int err = open_or_begin(r, dir);
    if (err < 0) {
        recovery_close(r);
        return err;
    }
    *out = r;
    return 0;
}

void recovery_close(struct recovery *r)
{
    if (!r)
        return;
    if (r->timer)
        event_free(r->timer);
    close_db(r);
    pthread_mutex_destroy(&r->queue_lock);
    pthread_mutex_destroy(&r->list_lock);
    pthread_mutex_destroy(&r->db_lock);
    free(r);
}

void recovery_identity(const struct recovery *r, uint8_t server_uuid[16], uint8_t fh_key[16])
{
    memcpy(server_uuid, r->server_uuid, 16);
    memcpy(fh_key, r->fh_key, 16);
}

/* ---- grace ---- */

bool recovery_in_grace(const struct recovery *r)
{
    return atomic_load_explicit(&r->grace, memory_order_acquire);
}

static int step_once(struct recovery *r, sqlite3_stmt *stmt, const char *what)
{
    int err = sql_error(r, sqlite3_step(stmt), what);
    sqlite3_reset(stmt);
    sqlite3_clear_bindings(stmt);
    return err;
}

static void end_grace(struct work *work)
{
    struct recovery *r = container_of(work, struct recovery, end_work);
    pthread_mutex_lock(&r->db_lock);
    sqlite3_bind_int64(r->end_grace, 1, r->boot);
    int err = step_once(r, r->end_grace, "end grace");
    pthread_mutex_unlock(&r->db_lock);
    atomic_store(&r->ending, false);
    if (err < 0)
        return; /* grace goes on; the timer tries again */
    atomic_store_explicit(&r->grace, false, memory_order_release);
    pthread_mutex_lock(&r->list_lock);
    size_t left = r->left;
    pthread_mutex_unlock(&r->list_lock);
    if (left > 0)
        log_warning("grace is over: %zu of %zu clients did not come back", left, r->awaited_count);
    else
        log_info("grace is over: all clients have come back");
}

static void want_end(struct recovery *r)
{
    if (recovery_in_grace(r) && !atomic_exchange(&r->ending, true))
        worker_submit(r->workers, &r->end_work);
}

uint64_t recovery_grace_end(uint64_t began, uint64_t length, uint64_t last_reclaim)
{
    enum { STRETCH = 3 };
    uint64_t end = began + length, quiet = last_reclaim + length / 2;
    uint64_t latest = began + STRETCH * length;
    if (quiet > end)
        end = quiet;
    return end < latest ? end : latest;
}

void recovery_reclaim_seen(struct recovery *r)
{
    if (recovery_in_grace(r))
        atomic_store(&r->last_reclaim, loop_now_ns());
}

static struct timeval timeval_of(uint64_t ns)
{
    return (struct timeval){.tv_sec = (time_t)(ns / 1000000000),
                            .tv_usec = (suseconds_t)(ns % 1000000000 / 1000) + 1};
}

static void on_grace_timer(evutil_socket_t fd, short events, void *arg)
{
    (void)fd;
    (void)events;
    struct recovery *r = arg;
    struct timeval again = {.tv_sec = 5};
    uint64_t now = loop_now_ns();
    uint64_t end =
        recovery_grace_end(r->grace_began, r->grace_length, atomic_load(&r->last_reclaim));
    if (!recovery_in_grace(r))
        return;
    if (now < end) {
        if (!r->stretched)
            log_info("grace goes on: clients are still reclaiming what they had");
        r->stretched = true;
        again = timeval_of(end - now);
    } else {
        want_end(r);
    }
    evtimer_add(r->timer, &again);
}

int recovery_start_grace(struct recovery *r, struct loop *loop, unsigned seconds)
{
    struct timeval when = {.tv_sec = seconds};
    if (r->awaited_count == 0)
        return 0;
    r->grace_began = loop_now_ns();
    r->grace_length = (uint64_t)seconds * 1000000000;
    r->end_work.run = end_grace;
    r->timer = evtimer_new(loop_base(loop), on_grace_timer, r);
    if (!r->timer || evtimer_add(r->timer, &when) != 0)
        return -ENOMEM;
    atomic_store(&r->grace, true);
    log_info("grace for %u s: %zu clients may reclaim what they had", seconds, r->awaited_count);
    return 0;
}

static struct awaited *find_awaited(const struct recovery *r, const uint8_t *owner, uint32_t len)
{
    for (size_t i = 0; i < r->awaited_count; i++)
        if (r->awaited[i].len == len && memcmp(r->awaited[i].owner, owner, len) == 0)
            return &r->awaited[i];
    return NULL;
}

bool recovery_may_reclaim(struct recovery *r, const uint8_t *owner, uint32_t owner_len)
{
    if (!recovery_in_grace(r))
        return false;
    pthread_mutex_lock(&r->list_lock);
    const struct awaited *a = find_awaited(r, owner, owner_len);
    bool may = a && !a->done;
    pthread_mutex_unlock(&r->list_lock);
    return may;
}

void recovery_reclaim_done(struct recovery *r, const uint8_t *owner, uint32_t owner_len)
{
    if (!recovery_in_grace(r))
        return;
    bool all = false;
    pthread_mutex_lock(&r->list_lock);
    struct awaited *a = find_awaited(r, owner, owner_len);
    if (a && !a->done) {
        recovery_reclaim_seen(r); /* others are likely to be on their way too */
        a->done = true;
        all = --r->left == 0;
    }
    pthread_mutex_unlock(&r->list_lock);
    if (all)
        want_end(r);
}

/* ---- records ---- */

static void write_record(struct recovery *r, struct recovery_call *call)
{
    sqlite3_stmt *stmt = call->remove ? r->forget : r->confirm;
    if (!call->remove && recovery_may_reclaim(r, call->owner, call->owner_len))
        recovery_reclaim_seen(r); /* it came back, and is about to */
    pthread_mutex_lock(&r->db_lock);
    sqlite3_bind_blob(stmt, 1, call->owner, (int)call->owner_len, SQLITE_STATIC);
    if (!call->remove)
        sqlite3_bind_int64(stmt, 2, r->boot);
    sqlite3_bind_int64(stmt, 3, (int64_t)call->client_id);
    call->err = step_once(r, stmt, call->remove ? "remove a record" : "write a record");
    pthread_mutex_unlock(&r->db_lock);
}

/* The first of the queue has been written. True: there are more. */
static bool leave_queue(struct recovery *r)
{
    pthread_mutex_lock(&r->queue_lock);
    r->queue = r->queue->next;
    if (!r->queue)
        r->queue_end = &r->queue;
    bool more = r->writing = r->queue != NULL;
    pthread_mutex_unlock(&r->queue_lock);
    return more;
}

static void write_next(struct work *work)
{
    struct recovery *r = container_of(work, struct recovery, write_work);
    pthread_mutex_lock(&r->queue_lock);
    struct recovery_call *call = r->queue;
    pthread_mutex_unlock(&r->queue_lock);
    write_record(r, call);
    bool more = leave_queue(r);
    loop_post(call->done_loop, &call->done);
    if (more)
        worker_follow(r->workers, work);
}

static void submit_change(struct recovery *r, struct recovery_call *call, bool remove)
{
    call->remove = remove;
    call->next = NULL;
    pthread_mutex_lock(&r->queue_lock);
    *r->queue_end = call;
    r->queue_end = &call->next;
    bool begin = !r->writing;
    r->writing = true;
    pthread_mutex_unlock(&r->queue_lock);
    if (begin)
        worker_submit(r->workers, &r->write_work);
}

void recovery_confirm(struct recovery *r, struct recovery_call *call)
{
    submit_change(r, call, false);
}

void recovery_forget(struct recovery *r, struct recovery_call *call)
{
    submit_change(r, call, true);
}
