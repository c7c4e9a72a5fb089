/*
 * device.c - what is known of the device under an export: one pointer, swapped atomically. Who
 * still looks at an older state is not known, so states are kept; one that was seen before is taken
 * again, so that a path that comes and goes costs nothing.
 */
#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "layout/device/device.h"
#include "proto/layout/rdma.h"
#include "server/base/log.h"
#include "server/export/export.h"
#include "server/export/private.h"

struct device_state {
    struct device_state *older;
    struct device *device;   /* the last that was found; NULL: none was */
    struct seal_refusal why; /* no text: layouts can be given */
};

static bool state_is(const struct device_state *state, const struct device *device, const char *why)
{
    return state->device == device && strcmp(state->why.text, why) == 0;
}

static int take_state(struct export *export, struct device *device, const struct seal_refusal *why)
{
    struct device_state *state = export->states;

    while (state && !state_is(state, device, why->text))
        state = state->older;
    if (!state) {
        state = calloc(1, sizeof(*state));
        if (!state)
            return -ENOMEM;
        state->device = device ? device_ref(device) : NULL;
        state->why = *why;
        state->older = export->states;
        export->states = state;
    }
    atomic_store_explicit(&export->state, state, memory_order_release);
    return 0;
}

static const struct device_state *state_of(const struct export *export)
{
    return atomic_load_explicit(&export->state, memory_order_acquire);
}

/* The device of an earlier look that is the same in everything: it keeps its place among the
 * states. */
static struct device *same_as_before(const struct export *export, struct device *device)
{
    for (const struct device_state *s = export->states; s; s = s->older)
        if (s->device && device_same(s->device, device))
            return s->device;
    return device;
}

int export_set_device(struct export *export, struct device *device)
{
    static const struct seal_refusal none = {.text = ""};

    return take_state(export, same_as_before(export, device), &none);
}

int export_set_no_device(struct export *export, const struct seal_refusal *why)
{
    const struct device_state *now = state_of(export);

    return take_state(export, now ? now->device : NULL, why);
}

static const struct device *last_device(const struct export *export)
{
    const struct device_state *now = state_of(export);

    return now ? now->device : NULL;
}

int export_find_device(const struct export *export, struct device **out, struct seal_refusal *why)
{
    enum config_layout_types types = config_export_disk_types(export_config(export));
    struct device *device;
    int rc = device_find(export_root_fd(export), &device, why);

    if (rc)
        return rc;
    if (types == LAYOUT_TYPES_NO_DISK) {
        *out = device;
        return 0;
    }
    if (device_volume_root(device_volume(device))->kind == DEVICE_STRIPE &&
        !export_config(export)->stripes) {
        rc = seal_refuse(
            why, SEAL_REFUSED_DEVICE, EOPNOTSUPP,
            "%s is striped, and older Linux clients would read and write wrong places of it; when "
            "every client of the export has a kernel that maps stripes right, say stripes = true "
            "(see sealnfs.conf)",
            device_volume_path(device));
        why->definite = true;
        device_free(device);
        return rc;
    }
    if (types != LAYOUT_TYPES_BLOCK && !device_keep_names(device, last_device(export))) {
        rc = seal_refuse(
            why, SEAL_REFUSED_DEVICE, EIO,
            "a disk of %s does not answer to INQUIRY or PERSISTENT RESERVE IN, so it "
            "is not known whether it can be reserved; it is asked again soon (if it never "
            "answers, say layout_types = \"block\")",
            device_volume_path(device));
        device_free(device);
        return rc;
    }
    if (types != LAYOUT_TYPES_BLOCK && device_can_reserve(device))
        device_set_reserved(device);
    if (export_config(export)->scsi_volatile)
        device_set_may_forget(device);
    if (types == LAYOUT_TYPES_SCSI && !device_is_reserved(device)) {
        rc = seal_refuse(
            why, SEAL_REFUSED_DEVICE, EOPNOTSUPP,
            "layout_types is \"scsi\", but not every disk of %s can be reserved (persistent "
            "reservations, and a NAA or EUI-64 name in VPD page 0x83)",
            device_volume_path(device));
        device_free(device);
        return rc;
    }
    *out = device;
    return 0;
}

bool export_offers_disk(const struct export *export)
{
    return config_export_disk_types(export_config(export)) != LAYOUT_TYPES_NO_DISK;
}

unsigned export_layout_types(const struct export *export,
                             layouttype4 types[EXPORT_LAYOUT_TYPES_MAX])
{
    const struct device *device = export_device(export);
    unsigned count = 0;

    if (export_offers_disk(export))
        types[count++] = device && device_is_reserved(device) ? LAYOUT4_SCSI : LAYOUT4_BLOCK_VOLUME;
    if (config_export_has_rdma(export_config(export)))
        types[count++] = LAYOUT4_SEALNFS_RDMA;
    return count;
}

bool export_offers(const struct export *export, layouttype4 type)
{
    layouttype4 types[EXPORT_LAYOUT_TYPES_MAX];
    unsigned count = export_layout_types(export, types);

    for (unsigned i = 0; i < count; i++)
        if (types[i] == type)
            return true;
    return false;
}

bool export_knows_type(layouttype4 type)
{
    return type == LAYOUT4_BLOCK_VOLUME || type == LAYOUT4_SCSI || type == LAYOUT4_SEALNFS_RDMA;
}

int export_begin_device(struct export *export)
{
    struct seal_refusal why = {.text = ""};
    struct device *device;
    int rc;

    if (export_find_device(export, &device, &why)) {
        log_warning("export %s: no layouts, clients read and write through the server: %s",
                    export_config(export)->pseudo, why.text);
        return export_set_no_device(export, &why);
    }
    rc = export_set_device(export, device);
    device_free(device);
    return rc;
}

bool export_has_layouts(const struct export *export, const char **why_not)
{
    const char *why = NULL;

    if (!export)
        why = "directories of the pseudo root have no layouts";
    else if (export_is_withdrawn(export))
        why = "it is exported no more";
    else if (!export_config(export)->layouts)
        why = "the export's configuration does not turn layouts on (layouts = true)";
    else if (export_is_away(export))
        why = "its file system is not there just now (sealctl status says why)";
    else if (!state_of(export))
        why = "layouts were turned on after the start; restart sealnfsd";
    else if (state_of(export)->why.text[0])
        why = state_of(export)->why.text;
    if (why && why_not)
        *why_not = why;
    return !why;
}

const struct device *export_device(const struct export *export)
{
    const struct device_state *state = state_of(export);

    return state ? state->device : NULL;
}

bool export_device_is_lost(const struct export *export, const char **why)
{
    const struct device_state *state = state_of(export);

    if (!state || !state->why.text[0] || !state->why.definite)
        return false;
    *why = state->why.text;
    return true;
}

void export_forget_devices(struct export *export)
{
    while (export->states) {
        struct device_state *state = export->states;

        export->states = state->older;
        device_free(state->device);
        free(state);
    }
}
