/*
 * File handles on the wire; see fh.h. The MAC is SipHash-2-4 (libsodium): 64 bits, compared in
 * constant time.
 */
#include "server/file/fh.h"

#include <errno.h>
#include <sodium.h>
#include <string.h>

_Static_assert((int)crypto_shorthash_KEYBYTES == (int)FH_KEY_SIZE, "the key is SipHash's");
_Static_assert((int)crypto_shorthash_BYTES == (int)FH_MAC_SIZE, "the MAC is SipHash's");

uint32_t fh_encode(const struct fh *fh, const uint8_t key[FH_KEY_SIZE], uint8_t wire[NFS4_FHSIZE])
{
    uint32_t len = FH_HEAD_SIZE + (uint32_t)fh->len;

    wire[0] = FH_VERSION;
    wire[1] = fh->kind;
    wire[2] = fh->len;
    wire[3] = fh->handle_type;
    for (unsigned i = 0; i < 4; i++)
        wire[4 + i] = (uint8_t)(fh->export_id >> (24 - 8 * i));
    memcpy(wire + FH_HEAD_SIZE, fh->bytes, fh->len);
    crypto_shorthash(wire + len, wire, len, key);
    return len + FH_MAC_SIZE;
}

int fh_decode(struct xdr_bytes wire, const uint8_t key[FH_KEY_SIZE], struct fh *fh)
{
    uint8_t mac[FH_MAC_SIZE];
    uint32_t signed_len;

    if (wire.len < FH_HEAD_SIZE + FH_MAC_SIZE || wire.len > NFS4_FHSIZE)
        return -EBADMSG;
    signed_len = wire.len - FH_MAC_SIZE;
    if (wire.data[0] != FH_VERSION || wire.data[2] != signed_len - FH_HEAD_SIZE)
        return -EBADMSG;
    if (wire.data[1] != FH_FILE && wire.data[1] != FH_PSEUDO)
        return -EBADMSG;
    crypto_shorthash(mac, wire.data, signed_len, key);
    if (sodium_memcmp(mac, wire.data + signed_len, FH_MAC_SIZE) != 0)
        return -EBADMSG;
    fh->kind = wire.data[1];
    fh->len = wire.data[2];
    fh->handle_type = wire.data[3];
    fh->export_id = 0;
    for (unsigned i = 0; i < 4; i++)
        fh->export_id = fh->export_id << 8 | wire.data[4 + i];
    memcpy(fh->bytes, wire.data + FH_HEAD_SIZE, fh->len);
    return 0;
}
