/*
 * exchange_policy.c - see exchange_policy.h.
 */
#include "server/client/exchange_policy.h"

enum exchange_verdict exchange_decide(const struct exchange_facts *f)
{
    if (f->update) {
        if (!f->confirmed)
            return EXCHANGE_NO_ENTRY;
        if (!f->same_verifier)
            return EXCHANGE_NOT_SAME;
        return f->same_principal ? EXCHANGE_UPDATE : EXCHANGE_PERMISSION;
    }
    if (!f->confirmed)
        return EXCHANGE_NEW;
    if (!f->same_principal) {
        if (f->outranked)
            return EXCHANGE_RESTART;
        if (f->in_use)
            return f->same_user ? EXCHANGE_WAIT : EXCHANGE_IN_USE;
        return EXCHANGE_TAKE_OVER;
    }
    return f->same_verifier ? EXCHANGE_EXISTING : EXCHANGE_RESTART;
}
