/*
 * sim_program.c - local programs: holders by the control socket, that get the map itself and
 * declare what makes them harmless. They have no lease, and what they had before a new connection
 * they give up on it. See sim.h.
 */
#include <stdio.h>
#include <string.h>

#include "tests/sim/sim.h"

static void tell(struct sim *s, unsigned m, enum engine_client_event what)
{
    const struct world_client *client = &s->w->clients[m];
    struct engine_event event = {.type = ENGINE_EV_CLIENT,
                                 .client = {.what = what,
                                            .client_id = client->id,
                                            .kind = s->machines[m].kind,
                                            .owner = (const uint8_t *)client->owner,
                                            .owner_len = (uint32_t)strlen(client->owner),
                                            .address = client->address}};
    memcpy(event.client.verifier, client->verifier, sizeof client->verifier);
    world_send(s->w, &event);
}

/* A program of kind CLOSE ends with its process, and its I/O with it; the others only lose their
 * connection.
 */
void sim_program_close(struct sim *s, unsigned m)
{
    struct sim_machine *machine = &s->machines[m];
    if (!s->w->clients[m].id)
        return;
    s->acted = true;
    sim_machine_server_lost(s, m);
    machine->gone = machine->kind == JOURNAL_HOLDER_CLOSE;
    if (machine->gone)
        sim_machine_drop(s, m);
    sim_say(s, "program %u %s", m, machine->gone ? "ends" : "closes its socket, and goes on");
    tell(s, m, ENGINE_CLIENT_CLOSED);
    s->w->clients[m].id = 0;
}

void sim_program_come_back(struct sim *s, unsigned m)
{
    struct sim_machine *machine = &s->machines[m];
    struct world_client *client = &s->w->clients[m];
    if (client->id || machine->paused)
        return;
    if (machine->gone) {
        machine->gone = false;
        machine->run++;
        client->verifier[0]++;
        snprintf(client->address, sizeof client->address, "pid %u", ++s->addresses);
    } else if (!sim_machine_give_up(s, m)) {
        return;
    }
    s->acted = true;
    sim_say(s, "program %u connects", m);
    client->id = ++s->w->next_id;
    tell(s, m, ENGINE_CLIENT_CONFIRMED);
    tell(s, m, ENGINE_CLIENT_CALLABLE);
    tell(s, m, ENGINE_CLIENT_RESUMED);
}
