/*
 * exchange_policy.h - what EXCHANGE_ID does: the nine cases of RFC 8881 section 18.35.4 as a pure
 * function. Any thread.
 */
#ifndef SEALNFS_SERVER_CLIENT_EXCHANGE_POLICY_H
#define SEALNFS_SERVER_CLIENT_EXCHANGE_POLICY_H

#include <stdbool.h>

struct exchange_facts {
    bool update;    /* EXCHGID4_FLAG_UPD_CONFIRMED_REC_A */
    bool confirmed; /* the owner has a confirmed record, of which: */
    bool same_verifier;
    bool same_principal; /* the client itself */
    bool same_user;      /* it may be the client, as far as one can see */
    bool outranked;      /* it was made from a port that is worth less */
    bool in_use;         /* it has state and its lease has not run out */
};

enum exchange_verdict {
    EXCHANGE_NEW, /* cases 1 and 4: a new unconfirmed record, in place of one that may be there */
    EXCHANGE_EXISTING,   /* case 2: the confirmed record as it is */
    EXCHANGE_TAKE_OVER,  /* case 3: the confirmed record is deleted, then as NEW */
    EXCHANGE_IN_USE,     /* case 3: NFS4ERR_CLID_INUSE */
    EXCHANGE_WAIT,       /* between cases 3 and 5: the client under another address, or a namesake:
                            NFS4ERR_DELAY, until the lease has run out */
    EXCHANGE_RESTART,    /* case 5: a new unconfirmed record beside the confirmed one */
    EXCHANGE_UPDATE,     /* case 6: the confirmed record, updated */
    EXCHANGE_NO_ENTRY,   /* case 7: NFS4ERR_NOENT */
    EXCHANGE_NOT_SAME,   /* case 8: NFS4ERR_NOT_SAME */
    EXCHANGE_PERMISSION, /* case 9: NFS4ERR_PERM */
};

enum exchange_verdict exchange_decide(const struct exchange_facts *facts);

#endif
