/*
 * value.h - reading single values of the configuration. Pure functions.
 */
#ifndef SEALNFS_SERVER_CONFIG_VALUE_H
#define SEALNFS_SERVER_CONFIG_VALUE_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct config_network;

/* Decimal digits, with units also K, M, G, T (powers of 1024). */
bool config_number_parse(const char *text, bool units, uint64_t *out);
/* A numeric address; IPv4 becomes IPv4-mapped. */
bool config_address_parse(const char *text, struct in6_addr *out);
/* "192.0.2.1:80" or "[2001:db8::1]:80". */
bool config_endpoint_parse(const char *text);
/* ADDRESS or ADDRESS/PREFIX; bits beyond the prefix must be zero. */
bool config_network_parse(const char *text, struct config_network *out);
/* NULL, or why it is neither an address, a network nor a name, with what to write. */
const char *config_network_check(const char *text, char *why, size_t room);
/* -EINVAL, -ENOMEM; after config_network_free it is nobody. */
int config_network_read(const char *text, struct config_network *out);
void config_network_free(struct config_network *network);
bool config_network_contains(const struct config_network *network, const struct in6_addr *address);
/* "/" or "/a/b": absolute, no empty, "." or ".." part, no slash at the end, parts of at most 255
 * bytes. */
bool config_pseudo_is_normal(const char *path);
/* A pattern of fnmatch(3) for a path such as "media/film.mkv": not empty, relative, every [ closed.
 */
bool config_pattern_is_sane(const char *pattern);
/* How many letters have to change to get from one word to the other; words of 40 letters and more
 * are far from all. */
size_t config_word_distance(const char *a, const char *b);

#endif
