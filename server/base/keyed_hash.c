/*
 * keyed_hash.c - see keyed_hash.h.
 */
#include "server/base/keyed_hash.h"

#include <pthread.h>
#include <sodium.h>
#include <stdint.h>
#include <string.h>

static pthread_once_t once = PTHREAD_ONCE_INIT;
static uint8_t key[crypto_shorthash_KEYBYTES];

static void make_key(void)
{
    randombytes_buf(key, sizeof(key));
}

unsigned keyed_hash(const void *bytes, size_t len)
{
    uint8_t hash[crypto_shorthash_BYTES];
    uint64_t word;

    pthread_once(&once, make_key);
    crypto_shorthash(hash, bytes, len, key);
    memcpy(&word, hash, sizeof(word));
    return (unsigned)(word ^ word >> 32);
}
