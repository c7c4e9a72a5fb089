/*
 * database.h - what the journal, the store of reservation keys and the client records do alike with
 * SQLite. All return 0 or a negative error.
 */
#ifndef SEALNFS_LAYOUT_DATABASE_H
#define SEALNFS_LAYOUT_DATABASE_H

#include <sqlite3.h>
#include <stdint.h>

/* For a result code of SQLite. */
int database_errno(int rc);
int database_execute(sqlite3 *db, const char *sql);
/* Once, a statement that gives no rows; then it is as it was before anything was bound to it. */
int database_run(sqlite3_stmt *stmt);
/* The first column of the first row; -EUCLEAN when there is none. */
int database_query(sqlite3 *db, const char *sql, int64_t *value);
/* -EUCLEAN when a page is torn or foreign. */
int database_check_pages(sqlite3 *db);

enum { DATABASE_PATH_MAX = 4096 };
/* Keeps a damaged one, which is closed, under another name; its shared memory is made anew. */
int database_set_aside(const char *path, char name[DATABASE_PATH_MAX]);

#endif
