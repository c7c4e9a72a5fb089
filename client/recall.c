/*
 * Recall decisions. See recall.h.
 */
#include "client/recall.h"

#include <string.h>

static struct sealio_recall_answer make_answer(nfsstat4 status, bool obey)
{
    return (struct sealio_recall_answer){status, obey};
}

static bool iomode_matches(layoutiomode4 held, layoutiomode4 wanted)
{
    return wanted == LAYOUTIOMODE4_ANY || wanted == held;
}

/* lor_offset and lor_length against [0, length). UINT64_MAX is "to the end"; a range that wraps
 * reaches the end as well. */
static bool range_overlaps(const layoutrecall_file4 *recall, uint64_t length)
{
    return recall->lor_length > 0 && recall->lor_offset < length;
}

/* 0 is no seqid of a layout: it is left out when they wrap (RFC 8881 section 8.2.2). */
static uint32_t next_seqid(uint32_t seqid)
{
    return seqid == UINT32_MAX ? 1 : seqid + 1;
}

struct sealio_recall_answer sealio_recall_file(const struct sealio_recall_facts *facts,
                                               const CB_LAYOUTRECALL4args *args)
{
    const layoutrecall_file4 *recall = &args->clora_recall.lor_layout;
    const uint32_t seqid = recall->lor_stateid.seqid;
    /* The LAYOUTGET's reply is still to come; the layout it brings is the one that is meant. */
    if (!facts->held)
        return make_answer(facts->getting ? NFS4ERR_DELAY : NFS4ERR_NOMATCHING_LAYOUT,
                           facts->getting);
    if (args->clora_type != facts->type || !iomode_matches(facts->iomode, args->clora_iomode) ||
        !range_overlaps(recall, facts->length))
        return make_answer(NFS4ERR_NOMATCHING_LAYOUT, false);
    if (memcmp(recall->lor_stateid.other, facts->stateid.other, sizeof(facts->stateid.other)) != 0)
        return make_answer(NFS4ERR_BAD_STATEID, false);
    if (facts->recalled && seqid == facts->recall_seqid)
        return make_answer(NFS4_OK, false);
    if (seqid == next_seqid(facts->stateid.seqid))
        return make_answer(NFS4_OK, true);
    /* Serial numbers: the difference counts, so that a wrapped seqid is still newer. */
    if (seqid == 0 || (int32_t)(seqid - facts->stateid.seqid) <= 0)
        return make_answer(NFS4ERR_OLD_STATEID, false);
    return make_answer(NFS4ERR_DELAY, true);
}

struct sealio_recall_answer sealio_recall_bulk(const struct sealio_recall_facts *facts,
                                               const CB_LAYOUTRECALL4args *args)
{
    if (args->clora_type != facts->type)
        return make_answer(NFS4ERR_NOMATCHING_LAYOUT, false);
    if (facts->getting)
        return make_answer(NFS4ERR_DELAY, true);
    if (!facts->held || !iomode_matches(facts->iomode, args->clora_iomode))
        return make_answer(NFS4ERR_NOMATCHING_LAYOUT, false);
    return make_answer(NFS4_OK, true);
}
