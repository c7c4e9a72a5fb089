/*
 * quote.c - see quote.h.
 */
#include "proto/quote.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

#include "proto/utf8.h"

static bool is_harmless(uint32_t c, const char *also)
{
    if (c < 0x20 || (c >= 0x7f && c <= 0x9f))
        return false;
    if (c < 0x80)
        return !also || !strchr(also, (int)c);
    return !(c == 0x61c || c == 0x200e || c == 0x200f ||    /* marks of direction */
             (c >= 0x2028 && c <= 0x202e) ||                /* lines, paragraphs, embeddings */
             (c >= 0x2066 && c <= 0x2069) || c == 0xfeff || /* isolates; no space at all */
             (c >= 0xe0000 && c <= 0xe007f));               /* tags, which nobody sees */
}

size_t quote_text(char *text, size_t room, const void *bytes, size_t len, const char *also)
{
    const uint8_t *at = bytes;
    size_t n = 0;
    if (room == 0)
        return 0;
    while (len > 0) {
        uint32_t c = 0;
        size_t taken = utf8_character(at, len, &c);
        bool shown = taken > 0 && is_harmless(c, also);
        size_t more = shown ? taken : 1;
        if (n + more >= room)
            break;
        if (shown)
            memmove(text + n, at, taken);
        else
            text[n] = '?';
        n += more;
        at += taken > 0 ? taken : 1;
        len -= taken > 0 ? taken : 1;
    }
    text[n] = '\0';
    return n;
}
