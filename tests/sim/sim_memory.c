/*
 * sim_memory.c - layouts over memory: what is usable is what a process of the server has
 * registered, until it takes it back or is gone. A client cannot use it any longer, whatever it
 * keeps. See sim.h.
 */
#include <string.h>

#include "tests/sim/sim.h"

bool sim_memory_is_registered(const struct sim *s, unsigned m, unsigned f)
{
    return s->machines[m].registered[f] || s->machines[m].old_registered[f];
}

void sim_memory_granted(struct sim *s, unsigned m, unsigned f)
{
    s->machines[m].registered[f] = true;
    s->machines[m].memory_device[f] = sim_device_index(s, f);
    s->figures->grants++;
    sim_say(s, "  memory of %s is registered for client %u", s->w->files[f].path, m);
}

void sim_memory_let_go(struct world *w, const struct engine_effect *effect)
{
    struct sim *s = w->owner;
    unsigned m = effect->let_go.verifier[1], f = world_file_of(w, &effect->key);
    if (!effect->let_go.writing_only)
        s->machines[m].registered[f] = false;
}

/* The process is killed, and lingers: the kernel has yet to take back what it had registered. */
void sim_memory_crash(struct sim *s)
{
    for (unsigned m = 0; m < WORLD_CLIENTS; m++) {
        for (unsigned f = 0; f < WORLD_FILES; f++) {
            struct sim_machine *machine = &s->machines[m];
            machine->old_registered[f] = machine->old_registered[f] || machine->registered[f];
            machine->registered[f] = false;
        }
    }
}

void sim_memory_end(struct sim *s, unsigned m)
{
    memset(s->machines[m].registered, 0, sizeof s->machines[m].registered);
    memset(s->machines[m].old_registered, 0, sizeof s->machines[m].old_registered);
}
