/*
 * quote.c - see quote.h. UTF-8 as RFC 3629 has it: the shortest form, no surrogates, up to
 * U+10FFFF.
 */
#include "proto/quote.h"

#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* The character that begins here and its length; 0: none does. */
static size_t take_character(const uint8_t *at, size_t left, uint32_t *character)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len = at[0] < 0x80             ? 1
                 : (at[0] & 0xe0) == 0xc0 ? 2
                 : (at[0] & 0xf0) == 0xe0 ? 3
                 : (at[0] & 0xf8) == 0xf0 ? 4
                                          : 0;
    if (len == 0 || len > left)
        return 0;
    uint32_t c = len == 1 ? at[0] : at[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((at[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (at[i] & 0x3fu);
    }
    if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    *character = c;
    return len;
}

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
        size_t taken = take_character(at, len, &c);
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
