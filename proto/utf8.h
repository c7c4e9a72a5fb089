/*
 * utf8.h - UTF-8 as RFC 3629 has it: the shortest form, no surrogates, up to U+10FFFF. Pure.
 */
#ifndef SEALNFS_PROTO_UTF8_H
#define SEALNFS_PROTO_UTF8_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The character that begins at bytes, of which there are `left`, at least one. Its length, or 0:
 * none does. */
size_t utf8_character(const uint8_t *bytes, size_t left, uint32_t *character);
bool utf8_is_valid(const uint8_t *bytes, size_t len);

#endif
