/*
 * nfs:// URLs (RFC 2224 form). Pure.
 */
#include "client/sealio.h"

#include <errno.h>
#include <string.h>

static const char scheme[] = "nfs://";

bool sealio_url_is(const char *text)
{
    return strncmp(text, scheme, sizeof(scheme) - 1) == 0;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

static int decode_path(const char *text, char *path, size_t size)
{
    size_t n = 0;
    for (const char *p = text; *p; p++) {
        int c = (unsigned char)*p;
        if (c == '%') {
            int high = hex_digit(p[1]);
            int low = high < 0 ? -1 : hex_digit(p[2]);
            if (low < 0 || (high == 0 && low == 0))
                return -EINVAL;
            c = high * 16 + low;
            p += 2;
        }
        if (n + 1 >= size)
            return -ENAMETOOLONG;
        path[n++] = (char)c;
    }
    path[n] = '\0';
    return 0;
}

/* digits up to end; 1 to 65535 */
static int decode_port(const char *text, const char *end, uint16_t *port)
{
    uint32_t value = 0;
    if (text == end)
        return -EINVAL;
    for (; text < end; text++) {
        if (*text < '0' || *text > '9')
            return -EINVAL;
        value = value * 10 + (uint32_t)(*text - '0');
        if (value > UINT16_MAX)
            return -EINVAL;
    }
    if (value == 0)
        return -EINVAL;
    *port = (uint16_t)value;
    return 0;
}

int sealio_url_parse(const char *text, struct sealio_url *out)
{
    if (!sealio_url_is(text))
        return -EINVAL;
    const char *host = text + sizeof(scheme) - 1;
    const char *slash = strchr(host, '/');
    if (!slash)
        return -EINVAL;
    const char *host_end, *after;
    if (*host == '[') {
        host++;
        host_end = memchr(host, ']', (size_t)(slash - host));
        if (!host_end)
            return -EINVAL;
        after = host_end + 1;
    } else {
        host_end = memchr(host, ':', (size_t)(slash - host));
        if (!host_end)
            host_end = slash;
        after = host_end;
    }
    struct sealio_url url = {.port = SEALIO_PORT};
    if (host_end == host)
        return -EINVAL;
    if ((size_t)(host_end - host) >= sizeof(url.host))
        return -ENAMETOOLONG;
    memcpy(url.host, host, (size_t)(host_end - host));
    int rc = 0;
    if (after < slash)
        rc = *after == ':' ? decode_port(after + 1, slash, &url.port) : -EINVAL;
    if (rc == 0)
        rc = decode_path(slash, url.path, sizeof(url.path));
    if (rc == 0)
        *out = url;
    return rc;
}
