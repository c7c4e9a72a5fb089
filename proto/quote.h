/*
 * quote.h - the bytes of a peer (owners, names, messages) where they meet a person: a terminal, a
 * log, a line of JSON. Pure.
 */
#ifndef SEALNFS_PROTO_QUOTE_H
#define SEALNFS_PROTO_QUOTE_H

#include <stddef.h>

/*
 * Writes them as UTF-8 text of less than `room` bytes and a NUL; returns its length. What could
 * move a cursor, begin another line or turn the text around becomes '?': control characters (C0,
 * DEL, C1), bidirectional and line controls, and each byte that is no UTF-8. So do the ASCII
 * characters of `also` (NULL: none). What does not fit is cut between characters. The text is never
 * longer than the bytes, so it may be written over them.
 */
size_t quote_text(char *text, size_t room, const void *bytes, size_t len, const char *also);

#endif
