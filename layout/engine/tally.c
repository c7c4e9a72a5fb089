/*
 * How many seals there are of each kind and on each volume, kept while they change: nobody who asks
 * waits for a look at all of them.
 */
#include "layout/engine/private.h"

static void count_kinds(struct engine_figures *tally, const struct seal_tally *of, size_t by)
{
    tally->by_state[of->state] += by;
    tally->at_rest += of->at_rest ? by : 0;
    tally->growing += of->growing ? by : 0;
    tally->broken += of->broken ? by : 0;
}

static void count_volume(const struct seal_tally *of, size_t by)
{
    if (!of->volume)
        return;
    of->volume->seal_count += by;
    of->volume->maybe_files += of->may_be_held ? by : 0;
}

static void count_in(struct engine *e, const struct seal_tally *of, size_t by)
{
    count_kinds(&e->tally, of, by);
    count_volume(of, by);
}

void seal_untally(struct engine *e, struct seal *seal)
{
    if (seal->tally.counted)
        count_in(e, &seal->tally, SIZE_MAX); /* -1 */
    seal->tally.counted = false;
}

void seal_tally(struct engine *e, struct seal *seal)
{
    seal_untally(e, seal);
    seal->tally = (struct seal_tally){
        .counted = true,
        .state = seal->state,
        .at_rest = seal->at_rest && !seal->reserve,
        .growing = seal->reserve > 0,
        .broken = seal->broken,
        .may_be_held = seal->of_before && !seal_is_between(seal),
        .volume = seal->volume,
    };
    count_in(e, &seal->tally, 1);
}
