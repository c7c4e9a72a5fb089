/*
 * sim_outside.c - what is done behind the server's back: flags that root clears, maps that change
 * under them, volumes that grow, move and become a mirror's, file systems that are frozen. See
 * sim.h.
 */
#include <stdlib.h>
#include <string.h>

#include "tests/sim/sim.h"

enum { MOVES_MAX = 4 };

/* Once there are grants, and for as long as the flag is the server's to clear. */
static bool is_sealed(enum engine_state state)
{
    return state != ENGINE_OPEN && state != ENGINE_SEALING;
}

/* The flag is cleared, and set again before or after the file has changed; or it stays off. */
void sim_outside_breach(struct sim *s, unsigned f)
{
    struct sim_file *file = &s->files[f];
    struct world_file *on_disk = &s->w->files[f];
    unsigned what = sim_below(s, 3);
    if (!s->has_breaches || !is_sealed(file->state) || on_disk->flag != (what < 2) ||
        (what == 2 && file->state == ENGINE_RELEASING))
        return;
    s->acted = true;
    sim_say(s, "the flag of %s is %s from outside", on_disk->path,
            what == 0   ? "cleared"
            : what == 1 ? "cleared, and set again after a change"
                        : "set again");
    if (!file->touched)
        file->touched_at = s->w->now;
    file->touched = true;
    file->breaches++;
    on_disk->flag = false;
    if (what == 1)
        sim_disk_local_change(s, f);
    on_disk->flag = what > 0;
}

/* Somebody copies it by reference. */
void sim_outside_clone(struct sim *s, unsigned f)
{
    struct sim_file *file = &s->files[f];
    struct world_file *on_disk = &s->w->files[f];
    struct engine_seal_view view;
    if (!s->has_breaches || !on_disk->flag || on_disk->guarded || on_disk->shared ||
        engine_seal_view(s->w->engine, &on_disk->key, &view) || !is_sealed(view.state) ||
        view.kind != SEAL_KIND_PINNED)
        return;
    s->acted = true;
    sim_say(s, "%s, which nobody guards, is cloned", on_disk->path);
    if (!file->touched)
        file->touched_at = s->w->now;
    file->touched = on_disk->shared = true;
    file->breaches++;
}

void sim_outside_freeze(struct sim *s, unsigned fs)
{
    if (!s->is_split)
        return;
    s->fs[fs].frozen = !s->fs[fs].frozen;
    s->acted = true;
    sim_say(s, "file system %u is %s", fs, s->fs[fs].frozen ? "frozen" : "thawed");
}

/* A step that began before still has the old one. */
static void take_device(struct sim *s, unsigned fs, struct device *device)
{
    device_free(s->fs[fs].before);
    s->fs[fs].before = s->w->devices[fs];
    s->w->devices[fs] = device;
    s->fs[fs].undescribed = false;
    world_send(s->w, &(struct engine_event){.type = ENGINE_EV_DEVICE, .device = device});
}

/* As another look finds it: nothing is settled about its id yet. */
static struct device *look(const struct sim *s, unsigned fs, const struct device_volume *volume)
{
    struct device *device;
    if (device_from_description(world_fs_uuid(s->w, fs), volume, &device))
        abort();
    if (device_is_reserved(s->w->devices[fs]))
        device_set_reserved(device);
    return device;
}

static void want_all(struct sim *s, unsigned fs)
{
    for (unsigned f = 0; f < WORLD_FILES; f++) {
        if (s->w->files[f].fs == fs)
            s->files[f].wanted = true;
    }
}

static void check_seals(struct sim *s, unsigned fs, const char *what)
{
    for (unsigned f = 0; f < WORLD_FILES; f++) {
        struct engine_seal_view view;
        if (s->w->files[f].fs == fs && world_state(s->w, f) == ENGINE_SEALED &&
            engine_seal_view(s->w->engine, &s->w->files[f].key, &view) == 0 && view.map)
            sim_fail(s, SIM_MOVE_IGNORED, "%s stays sealed although its volume %s",
                     s->w->files[f].path, what);
    }
}

static void grow(struct sim *s, unsigned fs)
{
    struct device_volume volume = *device_volume(s->w->devices[fs]);
    if (volume.node_count > 1 || volume.base[0].size >= UINT64_C(1) << 50)
        return;
    volume.base[0].size = volume.node[0].size *= 2;
    sim_say(s, "the volume of file system %u grows", fs);
    take_device(s, fs, look(s, fs, &volume));
}

/* Its first byte is where it was, the rest is not. */
static void move(struct sim *s, unsigned fs)
{
    struct device_volume volume = *device_volume(s->w->devices[fs]);
    uint64_t to = (UINT64_C(2) + s->fs[fs].moves) << 30;
    uint32_t pieces[2], root;
    if (s->fs[fs].moves++ == MOVES_MAX)
        return;
    volume.node_count = 1;
    volume.member_count = 0;
    if (device_volume_add_slice(&volume, 0, 0, 1 << 20, &pieces[0]) ||
        device_volume_add_slice(&volume, 0, to, UINT64_C(1) << 39, &pieces[1]) ||
        device_volume_add_concat(&volume, pieces, 2, &root))
        abort();
    sim_say(s, "the volume of file system %u moves", fs);
    want_all(s, fs);
    take_device(s, fs, look(s, fs, &volume));
    check_seals(s, fs, "has moved");
}

static void undescribe(struct sim *s, unsigned fs)
{
    struct engine_event event = {
        .type = ENGINE_EV_UNDESCRIBED,
        .undescribed = {.fs_uuid = world_fs_uuid(s->w, fs), .why = "a mirror"}};
    sim_say(s, "the volume of file system %u is a mirror now", fs);
    s->fs[fs].undescribed = true;
    want_all(s, fs);
    world_send(s->w, &event);
    check_seals(s, fs, "cannot be described");
}

static void find_as_it_was(struct sim *s, unsigned fs)
{
    take_device(s, fs, look(s, fs, device_volume(s->w->devices[fs])));
}

void sim_outside_volume(struct sim *s, unsigned fs)
{
    unsigned what = sim_below(s, 4);
    if (!s->has_moves || (fs && !s->is_split))
        return;
    s->acted = true;
    if (what == 0)
        move(s, fs);
    else if (what == 1)
        undescribe(s, fs);
    else if (what == 2 && !s->fs[fs].undescribed)
        grow(s, fs);
    else
        find_as_it_was(s, fs);
}

/* What a look found before is found again, before anybody is served. */
void sim_outside_start(struct sim *s)
{
    for (unsigned fs = 0; s->has_moves && fs < 1u + s->is_split; fs++) {
        want_all(s, fs); /* an older copy of the journal may know another volume */
        if (s->fs[fs].undescribed)
            undescribe(s, fs);
        else
            find_as_it_was(s, fs);
        device_free(s->fs[fs].before); /* no step of before has outlived the crash */
        s->fs[fs].before = NULL;
    }
}

void sim_outside_mend(struct sim *s)
{
    for (unsigned fs = 0; fs < WORLD_FILE_SYSTEMS; fs++) {
        s->fs[fs].frozen = false;
        if (s->fs[fs].undescribed)
            find_as_it_was(s, fs);
    }
}

/* Flags that nobody knows of, root takes off. */
void sim_outside_clear(struct sim *s)
{
    for (unsigned f = 0; f < WORLD_FILES; f++) {
        if (s->files[f].planted && s->files[f].state == ENGINE_OPEN &&
            !sim_doubt_is_on(s, s->w->files[f].fs))
            s->w->files[f].flag = s->files[f].planted = false;
    }
}

uint8_t sim_device_index(struct sim *s, unsigned f)
{
    struct engine_seal_view view;
    unsigned i = 0;
    if (engine_seal_view(s->w->engine, &s->w->files[f].key, &view) || !view.device)
        return 0; /* that a grant was given is a fault of its own */
    const uint8_t *id = device_id(view.device);
    while (i < s->device_count && memcmp(s->device_ids[i], id, DEVICE_ID_SIZE) != 0)
        i++;
    if (i == SIM_DEVICES)
        abort();
    if (i == s->device_count)
        memcpy(s->device_ids[s->device_count++], id, DEVICE_ID_SIZE);
    return (uint8_t)i;
}
