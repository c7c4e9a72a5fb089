/* Refusals: a code, a sentence, and an errno together. Pure. */
#include "layout/refusal.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const words[] = {
    [SEAL_REFUSED_NOT] = "none",
    [SEAL_REFUSED_NOT_REGULAR] = "not-regular",
    [SEAL_REFUSED_EMPTY] = "empty",
    [SEAL_REFUSED_ALREADY_IMMUTABLE] = "already-immutable",
    [SEAL_REFUSED_FILESYSTEM] = "filesystem",
    [SEAL_REFUSED_READ_ONLY] = "read-only",
    [SEAL_REFUSED_DATA_JOURNAL] = "data-journal",
    [SEAL_REFUSED_REALTIME] = "realtime",
    [SEAL_REFUSED_REFLINK] = "reflink",
    [SEAL_REFUSED_PRIVILEGED] = "privileged",
    [SEAL_REFUSED_NO_SPACE] = "no-space",
    [SEAL_REFUSED_WRITER] = "writer",
    [SEAL_REFUSED_READER] = "reader",
    [SEAL_REFUSED_NO_LEASES] = "no-leases",
    [SEAL_REFUSED_UNWRITTEN] = "unwritten",
    [SEAL_REFUSED_HOLE] = "hole",
    [SEAL_REFUSED_SHARED] = "shared",
    [SEAL_REFUSED_DELALLOC] = "delalloc",
    [SEAL_REFUSED_INLINE] = "inline",
    [SEAL_REFUSED_ENCODED] = "encoded",
    [SEAL_REFUSED_UNKNOWN] = "unknown",
    [SEAL_REFUSED_MAP_BROKEN] = "map-broken",
    [SEAL_REFUSED_TOO_MANY_EXTENTS] = "too-many-extents",
    [SEAL_REFUSED_DEVICE] = "device",
    [SEAL_REFUSED_SIGNATURE] = "signature",
    [SEAL_REFUSED_STALE_PAGES] = "stale-pages",
    [SEAL_REFUSED_CHANGED] = "changed",
    [SEAL_REFUSED_PERMISSION] = "permission",
    [SEAL_REFUSED_SYSTEM] = "system",
};

int seal_refuse(struct seal_refusal *refusal, enum seal_refusal_code code, int err,
                const char *format, ...)
{
    if (refusal) {
        va_list args;
        va_start(args, format);
        refusal->code = code;
        refusal->definite = false;
        refusal->lost = false;
        (void)vsnprintf(refusal->text, sizeof(refusal->text), format, args);
        va_end(args);
    }
    return -err;
}

int seal_refuse_errno(struct seal_refusal *refusal, int err, const char *what)
{
    char reason[64];
    const char *text = strerror_r(err, reason, sizeof(reason));

    switch (err) {
    case EROFS:
        return seal_refuse(refusal, SEAL_REFUSED_READ_ONLY, err,
                           "%s: the file system is mounted read-only; remount it read-write", what);
    case ENOSPC:
    case EDQUOT:
        return seal_refuse(refusal, SEAL_REFUSED_NO_SPACE, err,
                           "%s: %s; free some space and try again", what, text);
    case EPERM:
    case EACCES:
        return seal_refuse(refusal, SEAL_REFUSED_PERMISSION, err,
                           "%s: %s; the server needs the capabilities of its systemd unit", what,
                           text);
    default:
        return seal_refuse(refusal, SEAL_REFUSED_SYSTEM, err, "%s: %s", what, text);
    }
}

int seal_refuse_flush(struct seal_refusal *refusal, int err, const char *what)
{
    (void)seal_refuse_errno(refusal, err, what);
    if (refusal)
        refusal->lost = true;
    return -err;
}

const char *seal_refusal_word(enum seal_refusal_code code)
{
    size_t i = (size_t)code;

    return i < sizeof(words) / sizeof(words[0]) && words[i] ? words[i] : "unknown";
}
