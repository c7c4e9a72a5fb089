/*
 * Where a run of a client has spoken from. The operator's hook cuts a machine off by what it is
 * told of it, so a client that moved is told of with every address that it was shown to have, also
 * after a restart of the server: all of them are on record with it as a holder.
 */
#include "layout/engine/private.h"

#include <stdio.h>
#include <string.h>

/* The word of a list, separated by blanks, that begins at `at`. */
static size_t word_len(const char *at)
{
    return strcspn(at, " ");
}

static bool is_in(const char *list, const char *word, size_t len)
{
    for (const char *at = list; *at; at += word_len(at), at += *at == ' ')
        if (word_len(at) == len && memcmp(at, word, len) == 0)
            return true;
    return false;
}

static void append_word(char list[JOURNAL_ADDRESSES_MAX], const char *word, size_t len)
{
    size_t n = strlen(list);
    if (len == 0 || is_in(list, word, len) || n + 1 + len >= JOURNAL_ADDRESSES_MAX)
        return;
    if (n > 0)
        list[n++] = ' ';
    memcpy(list + n, word, len);
    list[n + len] = '\0';
}

static void append_words(char list[JOURNAL_ADDRESSES_MAX], const char *words)
{
    for (const char *at = words; *at; at += word_len(at), at += *at == ' ')
        append_word(list, at, word_len(at));
}

/* These, and then those of before. */
static void put_first(struct holder *holder, const char *addresses)
{
    char before[JOURNAL_ADDRESSES_MAX];
    memcpy(before, holder->addresses, sizeof before);
    holder->addresses[0] = '\0';
    append_words(holder->addresses, addresses);
    append_words(holder->addresses, before);
    snprintf(holder->address, sizeof holder->address, "%.*s", (int)word_len(holder->addresses),
             holder->addresses);
}

/* A local program's is its process, which is one, in several words. */
static void put_only(struct holder *holder, const char *address)
{
    snprintf(holder->addresses, sizeof holder->addresses, "%s", address);
    snprintf(holder->address, sizeof holder->address, "%s", address);
}

void holder_is_at(struct engine *e, struct holder *holder, const char *address)
{
    struct reach *reach;
    if (!address || !address[0])
        return;
    if (holder_is_local(holder)) {
        put_only(holder, address);
        return;
    }
    bool fresh = !is_in(holder->addresses, address, strlen(address));
    put_first(holder, address);
    if (!fresh)
        return;
    LL_FOREACH(holder->reaches, reach)
    {
        fence_outdate(reach);
        reach_record_again(e, reach);
    }
}

void holder_was_at(struct holder *holder, const char *addresses)
{
    if (!addresses || !addresses[0])
        return;
    if (holder_is_local(holder))
        put_only(holder, addresses);
    else
        put_first(holder, addresses);
}
