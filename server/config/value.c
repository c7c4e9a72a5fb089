/*
 * value.c - reading single values of the configuration.
 */
#include "server/config/value.h"

#include <arpa/inet.h>
#include <errno.h>
#include <event2/util.h>
#include <limits.h>
#include <netinet/in.h>
#include <stdio.h>
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
    if (network->name)
        return false;
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

/* Whatever bits are beyond the prefix. */
static bool parse_loosely(const char *text, struct config_network *out)
{
    char address[INET6_ADDRSTRLEN + 1];
    const char *slash = strchr(text, '/');
    size_t length = slash ? (size_t)(slash - text) : strlen(text);
    uint64_t prefix;
    bool v4;

    *out = (struct config_network){0};
    if (length >= sizeof(address))
        return false;
    memcpy(address, text, length);
    address[length] = '\0';
    if (!config_address_parse(address, &out->address))
        return false;
    v4 = !strchr(address, ':');
    prefix = v4 ? 32 : 128;
    if (slash && (!config_number_parse(slash + 1, false, &prefix) || prefix > (v4 ? 32u : 128u)))
        return false;
    out->prefix = (unsigned)prefix + (v4 ? 96 : 0);
    return true;
}

bool config_network_parse(const char *text, struct config_network *out)
{
    struct config_network network;

    if (!parse_loosely(text, &network) || !host_bits_are_zero(&network))
        return false;
    *out = network;
    return true;
}

void config_network_print(const struct config_network *network, char *text, size_t size)
{
    char address[INET6_ADDRSTRLEN];
    const bool v4 = IN6_IS_ADDR_V4MAPPED(&network->address) && network->prefix >= 96;
    const unsigned prefix = v4 ? network->prefix - 96 : network->prefix, whole = v4 ? 32 : 128;

    if (v4)
        inet_ntop(AF_INET, &network->address.s6_addr[12], address, sizeof(address));
    else
        inet_ntop(AF_INET6, &network->address, address, sizeof(address));
    if (network->name)
        snprintf(text, size, "%s", network->name);
    else if (prefix == whole)
        snprintf(text, size, "%s", address);
    else
        snprintf(text, size, "%s/%u", address, prefix);
}

/* "192.0.2.7/24": which network was meant. */
static void explain_host_bits(const struct config_network *given, const char *text, char *why,
                              size_t room)
{
    struct config_network network = *given;
    char meant[INET6_ADDRSTRLEN + 8];

    for (unsigned bit = network.prefix; bit < 128; bit++)
        network.address.s6_addr[bit / 8] &= (uint8_t) ~(0x80u >> bit % 8);
    config_network_print(&network, meant, sizeof(meant));
    snprintf(why, room,
             "\"%.200s\" is an address in a network, and not clear; write \"%s\" for the whole "
             "network, or \"%.*s\" for that machine alone",
             text, meant, (int)strcspn(text, "/"), text);
}

static bool is_name_byte(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

/* Of a machine, in which * and ? stand for any bytes, but not in the last part, or the name would
 * be anybody's; what is all digits there is an address that is none. */
static bool is_host_name(const char *text)
{
    const char *last = strrchr(text, '.');
    size_t part = 0;

    last = last ? last + 1 : text;
    if (strpbrk(last, "*?") || strspn(last, "0123456789") == strlen(last) || text[0] == '-')
        return false;
    for (const char *p = text; *p; p++) {
        if (*p != '.' && *p != '*' && *p != '?' && !is_name_byte(*p))
            return false;
        if (*p == '.' && part == 0)
            return false;
        part = *p == '.' ? 0 : part + 1;
        if (part > 63)
            return false;
    }
    return part > 0;
}

static bool is_netgroup(const char *text)
{
    if (text[0] != '@' || !text[1])
        return false;
    for (const char *p = text + 1; *p; p++)
        if (!is_name_byte(*p) && *p != '.' && *p != '+')
            return false;
    return true;
}

static bool is_name(const char *text)
{
    return strlen(text) <= CONFIG_NAME_MAX && (is_netgroup(text) || is_host_name(text));
}

const char *config_network_check(const char *text, char *why, size_t room)
{
    struct config_network network;

    if (config_network_parse(text, &network) || is_name(text))
        return NULL;
    if (parse_loosely(text, &network))
        explain_host_bits(&network, text, why, room);
    else if (strcmp(text, "*") == 0)
        snprintf(why, room,
                 "\"*\" is not a name of machines; for everybody write \"0.0.0.0/0\", \"::/0\"");
    else
        snprintf(why, room,
                 "\"%.200s\" is not an address, a network or a name; write one such as "
                 "\"192.0.2.0/24\", \"2001:db8::1\", \"host.example.org\", \"*.example.org\" or "
                 "\"@netgroup\"",
                 text);
    return why;
}

int config_network_read(const char *text, struct config_network *out)
{
    if (config_network_parse(text, out))
        return 0;
    if (!is_name(text))
        return -EINVAL;
    *out = (struct config_network){.name = strdup(text)};
    return out->name ? 0 : -ENOMEM;
}

void config_network_free(struct config_network *network)
{
    free(network->name);
    network->name = NULL;
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
