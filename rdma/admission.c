/*
 * Tags of connection requests: see rdma/admission.h.
 */
#include "rdma/admission.h"

#include <sodium.h>
#include <string.h>

_Static_assert(RDMA_TAG_SIZE == crypto_auth_hmacsha256_BYTES, "the tag is HMAC-SHA256's");
_Static_assert(RDMA_SECRET_SIZE == crypto_auth_hmacsha256_KEYBYTES, "the secret is its key");

void rdma_hello_make(const uint8_t secret[RDMA_SECRET_SIZE], uint64_t peer, uint64_t counter,
                     uint8_t data[RDMA_HELLO_SIZE])
{
    const rdma_hello4 hello = {
        .rhe_version = RDMA_LAYOUT_VERSION, .rhe_peer = peer, .rhe_counter = counter};
    struct xdr_out out;

    xdr_out_init(&out, data, RDMA_HELLO_SIZE);
    (void)rdma_hello_encode(&out, &hello); /* it has the buffer's size */
    (void)crypto_auth_hmacsha256(data + RDMA_HELLO_TAGGED, data, RDMA_HELLO_TAGGED, secret);
}

bool rdma_hello_is_by(const uint8_t secret[RDMA_SECRET_SIZE], const uint8_t data[RDMA_HELLO_SIZE])
{
    return crypto_auth_hmacsha256_verify(data + RDMA_HELLO_TAGGED, data, RDMA_HELLO_TAGGED,
                                         secret) == 0;
}

rdma_refusal4 rdma_admission_refusal(enum rdma_admission admission)
{
    switch (admission) {
    case RDMA_OTHER_VERSION:
        return RDMA_REFUSED_VERSION;
    case RDMA_TOO_MANY:
        return RDMA_REFUSED_BUSY;
    default:
        return RDMA_REFUSED_NOT_ADMITTED;
    }
}

const char *rdma_admission_name(enum rdma_admission admission)
{
    static const char *const names[RDMA_ADMISSIONS] = {
        [RDMA_ADMITTED] = "admitted",      [RDMA_NOT_A_HELLO] = "malformed",
        [RDMA_OTHER_VERSION] = "version",  [RDMA_UNKNOWN_PEER] = "unknown client",
        [RDMA_WRONG_TAG] = "wrong secret", [RDMA_REPLAYED] = "replayed",
        [RDMA_NO_LEASE] = "lease is over", [RDMA_TOO_MANY] = "too many connections",
    };

    return admission < RDMA_ADMISSIONS ? names[admission] : "?";
}
