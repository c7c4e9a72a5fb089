/* json_text.c - see json_text.h. */
#include "server/base/json_text.h"

#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proto/quote.h"
#include "proto/utf8.h"

json_t *json_textn(const char *sentence, size_t len)
{
    char *text = malloc(len + 1);
    if (!text)
        return NULL;
    len = quote_text(text, len + 1, sentence, len, NULL);
    json_t *json = json_stringn(text, len);
    free(text);
    return json;
}

json_t *json_text(const char *sentence)
{
    return json_textn(sentence, strlen(sentence));
}

void json_put_path(json_t *object, const char *path)
{
    const size_t len = strlen(path);
    char *hex;
    if (utf8_is_valid((const uint8_t *)path, len)) {
        json_object_set_new(object, "file", json_stringn(path, len));
        return;
    }
    json_object_set_new(object, "file", json_text(path));
    hex = malloc(2 * len + 1);
    for (size_t i = 0; hex && i < len; i++)
        sprintf(hex + 2 * i, "%02x", (unsigned char)path[i]);
    if (hex)
        json_object_set_new(object, "file_hex", json_stringn(hex, 2 * len));
    free(hex);
}

static int digit_of(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* False: these are no bytes of a path. */
static bool read_hex(const char *hex, size_t len, char *path)
{
    for (size_t i = 0; i < len; i++) {
        const int high = digit_of(hex[2 * i]), low = high < 0 ? -1 : digit_of(hex[2 * i + 1]);
        if (low < 0 || (high == 0 && low == 0))
            return false;
        path[i] = (char)(high << 4 | low);
    }
    path[len] = '\0';
    return hex[2 * len] == '\0';
}

char *json_take_path(const json_t *object)
{
    const char *file = json_string_value(json_object_get(object, "file"));
    const char *hex = json_string_value(json_object_get(object, "file_hex"));
    const size_t len = hex ? strlen(hex) / 2 : 0;
    char *path;
    errno = EINVAL;
    if (!file && !hex)
        return NULL;
    path = hex ? malloc(len + 1) : strdup(file);
    if (!path || !hex || read_hex(hex, len, path))
        return path;
    free(path);
    errno = EINVAL;
    return NULL;
}
