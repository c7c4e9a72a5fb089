/*
 * value.c - reading single values of the configuration.
 */
#include "server/config/value.h"

#include <arpa/inet.h>
#include <event2/util.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>

#include "server/config/config.h"

bool config_number_parse(const char *text, bool units, uint64_t *out)
{
    uint64_t number = 0;
    const char *p = text;

    for (; *p >= '0' && *p <= '9'; p++)
        if (__builtin_mul_overflow(number, 10u, &number) ||
            __builtin_add_overflow(number, (unsigned)(*p - '0'), &number))
            return false;
    if (p == text)
        return false;
    if (units && *p) {
        const char *letters = "KMGT", *unit = strchr(letters, *p);
        unsigned shift = unit ? 10u * (unsigned)(unit - letters + 1) : 0;
        if (!unit || number > UINT64_MAX >> shift)
            return false;
        number <<= shift;
        p++;
    }
    if (*p)
        return false;
    *out = number;
    return true;
}

bool config_address_parse(const char *text, struct in6_addr *out)
{
    struct in_addr v4;

    if (inet_pton(AF_INET, text, &v4) == 1) {
        memset(out, 0, sizeof(*out));
        out->s6_addr[10] = out->s6_addr[11] = 0xff;
        memcpy(&out->s6_addr[12], &v4, sizeof(v4));
        return true;
    }
    return inet_pton(AF_INET6, text, out) == 1;
}

bool config_network_contains(const struct config_network *network, const struct in6_addr *address)
{
    for (unsigned bit = 0; bit < network->prefix; bit += 8) {
        unsigned left = network->prefix - bit;
        unsigned mask = left >= 8 ? 0xff : 0xffu << (8 - left) & 0xff;
        if ((network->address.s6_addr[bit / 8] ^ address->s6_addr[bit / 8]) & mask)
            return false;
    }
    return true;
}

static bool host_bits_are_zero(const struct config_network *network)
{
    for (unsigned bit = network->prefix; bit < 128; bit++)
        if (network->address.s6_addr[bit / 8] & 0x80u >> bit % 8)
            return false;
    return true;
}

bool config_network_parse(const char *text, struct config_network *out)
{
    char address[INET6_ADDRSTRLEN + 1];
    const char *slash = strchr(text, '/');
    size_t length = slash ? (size_t)(slash - text) : strlen(text);
    struct config_network network;
    uint64_t prefix;
    bool v4;

    if (length >= sizeof(address))
        return false;
    memcpy(address, text, length);
    address[length] = '\0';
    if (!config_address_parse(address, &network.address))
        return false;
    v4 = !strchr(address, ':');
    prefix = v4 ? 32 : 128;
    if (slash && (!config_number_parse(slash + 1, false, &prefix) || prefix > (v4 ? 32u : 128u)))
        return false;
    network.prefix = (unsigned)prefix + (v4 ? 96 : 0);
    if (!host_bits_are_zero(&network))
        return false;
    *out = network;
    return true;
}

bool config_endpoint_parse(const char *text)
{
    struct sockaddr_storage address;
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)&address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)&address;
    int len = sizeof(address);

    if (evutil_parse_sockaddr_port(text, (struct sockaddr *)&address, &len) != 0)
        return false;
    return (address.ss_family == AF_INET ? v4->sin_port : v6->sin6_port) != 0;
}

bool config_pseudo_is_normal(const char *path)
{
    if (!path || path[0] != '/')
        return false;
    if (path[1] == '\0')
        return true;
    for (const char *part = path; *part;) {
        size_t length = strcspn(++part, "/");
        if (length == 0 || length > 255 || (length == 1 && part[0] == '.') ||
            (length == 2 && memcmp(part, "..", 2) == 0))
            return false;
        part += length;
    }
    return true;
}

bool config_pattern_is_sane(const char *pattern)
{
    bool open = false;

    if (pattern[0] == '\0' || pattern[0] == '/' || strlen(pattern) >= PATH_MAX)
        return false;
    for (const char *p = pattern; *p; p++) {
        if (*p == '\\') {
            if (!*++p)
                return false;
        } else if (*p == '[') {
            open = true;
        } else if (*p == ']') {
            open = false;
        }
    }
    return !open;
}

size_t config_word_distance(const char *a, const char *b)
{
    size_t row[41], la = strlen(a), lb = strlen(b);

    if (la > 40 || lb > 40)
        return SIZE_MAX;
    for (size_t j = 0; j <= lb; j++)
        row[j] = j;
    for (size_t i = 1; i <= la; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= lb; j++) {
            size_t change = diagonal + (a[i - 1] != b[j - 1]);
            size_t best = row[j] < row[j - 1] ? row[j] + 1 : row[j - 1] + 1;
            diagonal = row[j];
            row[j] = change < best ? change : best;
        }
    }
    return row[lb];
}
