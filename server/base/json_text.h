/*
 * json_text.h - sentences for people in JSON answers.
 */
#ifndef SEALNFS_SERVER_BASE_JSON_TEXT_H
#define SEALNFS_SERVER_BASE_JSON_TEXT_H

#include <jansson.h>
#include <stddef.h>

/* A sentence of ours may name a file, and be cut where its room ended: bytes that are no text,
 * which JSON must be, are quoted (proto/quote.h). NULL: out of memory. */
json_t *json_text(const char *sentence);
json_t *json_textn(const char *sentence, size_t len);
/* A path is bytes. In an object it is "file", for people too, and where it is no text "file_hex"
 * has its bytes. */
void json_put_path(json_t *object, const char *path);
/* NULL, with errno: EINVAL, there is none; ENOMEM. To be freed. */
char *json_take_path(const json_t *object);

#endif
