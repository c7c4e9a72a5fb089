/* json_text.c - see json_text.h. */
#include "server/base/json_text.h"

#include <stdlib.h>
#include <string.h>

#include "proto/quote.h"

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
