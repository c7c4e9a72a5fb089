/*
 * The structures of RFC 5662 in C, with the RFC's names for types and fields. How XDR maps to C
 * here:
 *
 *  - opaque<>, string<>, utf8string and all that is made of them, nfs_fh4: views (struct xdr_bytes)
 * into the input;
 *  - opaque[n]: uint8_t arrays; array<>: `uint32_t <field>_count; T *<field>`, from the arena of
 * the decode call;
 *  - unions: the discriminant, then a C union of the RFC's arms, each with its label in a comment.
 * A result's discriminant is always called `status` (the RFC has status, eir_status, sr_status,
 * ...), so that res.status works for every operation;
 *  - arms without content have no member.
 *
 * How each one is encoded is described in nfs4_wire_*.c, family by family as here;
 * tests/unit/proto/test_oracle.c checks it against rpcgen's code,
 * tests/unit/proto/test_oracle_order.c against the RFC's text.
 */
#ifndef PROTO_NFS4_TYPES_H
#define PROTO_NFS4_TYPES_H

#include "proto/nfs4/types_base.h"
#include "proto/nfs4/types_file.h"
#include "proto/nfs4/types_layout.h"
#include "proto/nfs4/types_session.h"
#include "proto/nfs4/types_state.h"

#endif
