/* Calls of SQLite that answer with an errno: see layout/database.h. */
#include "layout/database.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

int database_errno(int rc)
{
    switch (rc & 0xff) {
    case SQLITE_OK:
    case SQLITE_DONE:
        return 0;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return -EBUSY;
    case SQLITE_NOMEM:
        return -ENOMEM;
    case SQLITE_FULL:
        return -ENOSPC;
    case SQLITE_NOTADB:
    case SQLITE_CORRUPT:
        return -EUCLEAN;
    case SQLITE_CANTOPEN:
        return -ENOENT;
    case SQLITE_READONLY:
        return -EROFS;
    default:
        return -EIO;
    }
}

int database_execute(sqlite3 *db, const char *sql)
{
    return database_errno(sqlite3_exec(db, sql, NULL, NULL, NULL));
}

int database_run(sqlite3_stmt *stmt)
{
    int rc = sqlite3_step(stmt);
    sqlite3_reset(stmt);
    sqlite3_clear_bindings(stmt);
    return database_errno(rc);
}

int database_query(sqlite3 *db, const char *sql, int64_t *value)
{
    sqlite3_stmt *stmt;
    int rc = sqlite3_prepare_v2(db, sql, -1, &stmt, NULL);
    if (rc != SQLITE_OK)
        return database_errno(rc);
    rc = sqlite3_step(stmt);
    if (rc == SQLITE_ROW)
        *value = sqlite3_column_int64(stmt, 0);
    sqlite3_finalize(stmt);
    return rc == SQLITE_ROW ? 0 : rc == SQLITE_DONE ? -EUCLEAN : database_errno(rc);
}

/* SQLite finds a torn or foreign page only when it comes upon it, so all of them are looked at. */
int database_check_pages(sqlite3 *db)
{
    sqlite3_stmt *stmt;
    int rc = sqlite3_prepare_v2(db, "PRAGMA quick_check(1)", -1, &stmt, NULL);
    if (rc != SQLITE_OK)
        return database_errno(rc);
    rc = sqlite3_step(stmt);
    const char *said = rc == SQLITE_ROW ? (const char *)sqlite3_column_text(stmt, 0) : NULL;
    int err = said && strcmp(said, "ok") == 0         ? 0
              : rc == SQLITE_ROW || rc == SQLITE_DONE ? -EUCLEAN
                                                      : database_errno(rc);
    sqlite3_finalize(stmt);
    return err;
}

static int rename_log(const char *path, const char *name)
{
    char from[DATABASE_PATH_MAX], to[DATABASE_PATH_MAX];
    if ((size_t)snprintf(from, sizeof from, "%s-wal", path) >= sizeof from ||
        (size_t)snprintf(to, sizeof to, "%s-wal", name) >= sizeof to)
        return -ENAMETOOLONG;
    return rename(from, to) == 0 || errno == ENOENT ? 0 : -errno;
}

int database_set_aside(const char *path, char name[DATABASE_PATH_MAX])
{
    char when[32];
    struct tm now;
    time_t seconds = time(NULL);
    if (!gmtime_r(&seconds, &now))
        return -EOVERFLOW;
    strftime(when, sizeof when, "%Y%m%dT%H%M%SZ", &now);
    if ((size_t)snprintf(name, DATABASE_PATH_MAX, "%s.damaged-%s", path, when) >= DATABASE_PATH_MAX)
        return -ENAMETOOLONG;
    int err = rename_log(path, name);
    return err ? err : rename(path, name) == 0 ? 0 : -errno;
}
