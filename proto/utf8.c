/*
 * utf8.c - see utf8.h.
 */
#include "proto/utf8.h"

size_t utf8_character(const uint8_t *bytes, size_t left, uint32_t *character)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    size_t len = bytes[0] < 0x80             ? 1
                 : (bytes[0] & 0xe0) == 0xc0 ? 2
                 : (bytes[0] & 0xf0) == 0xe0 ? 3
                 : (bytes[0] & 0xf8) == 0xf0 ? 4
                                             : 0;
    if (len == 0 || len > left)
        return 0;
    uint32_t c = len == 1 ? bytes[0] : bytes[0] & (0x7fu >> len);
    for (size_t i = 1; i < len; i++) {
        if ((bytes[i] & 0xc0) != 0x80)
            return 0;
        c = c << 6 | (bytes[i] & 0x3fu);
    }
    if (c < least[len] || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        return 0;
    *character = c;
    return len;
}

bool utf8_is_valid(const uint8_t *bytes, size_t len)
{
    uint32_t character;
    for (size_t at = 0, taken; at < len; at += taken) {
        taken = utf8_character(bytes + at, len - at, &character);
        if (taken == 0)
            return false;
    }
    return true;
}
