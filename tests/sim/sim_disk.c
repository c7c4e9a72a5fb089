/* sim_disk.c - whose each block is, and what I/O does to it. See sim.h. */
#include <stdlib.h>

#include "tests/sim/sim.h"

enum { BLOCK_SIZE = 4096 };

static void make_map(struct sim *s, unsigned f)
{
    struct map_builder *builder;
    struct seal_map *map = NULL;
    if (map_builder_create(s->w->files[f].size, BLOCK_SIZE, &builder))
        abort();
    for (unsigned i = 0; i < s->file_size[f]; i++) {
        struct seal_extent extent = {.file_offset = (uint64_t)i * BLOCK_SIZE,
                                     .length = BLOCK_SIZE,
                                     .device_offset =
                                         (s->file_blocks[f][i] + UINT64_C(1)) * BLOCK_SIZE};
        if (map_builder_add(builder, &extent))
            abort();
    }
    if (map_builder_finish(builder, &map))
        abort();
    map_free(s->w->files[f].map);
    s->w->files[f].map = map;
}

/* The lowest free block of its file system, so that what one file gives up is soon another's. */
static void allocate(struct sim *s, unsigned f)
{
    unsigned first = s->w->files[f].fs * SIM_BLOCKS / WORLD_FILE_SYSTEMS;
    unsigned end = s->is_split && !first ? SIM_BLOCKS / WORLD_FILE_SYSTEMS : SIM_BLOCKS;
    for (unsigned b = first; b < end; b++) {
        if (s->disk[b].file >= 0)
            continue;
        if (s->disk[b].birth)
            s->figures->reused++;
        s->disk[b] = (struct sim_block){.file = (int)f, .birth = ++s->births};
        s->file_blocks[f][s->file_size[f]++] = (uint8_t)b;
        return;
    }
    abort();
}

static void shrink(struct sim *s, unsigned f, unsigned size)
{
    while (s->file_size[f] > size)
        s->disk[s->file_blocks[f][--s->file_size[f]]].file = -1;
}

static void grow(struct sim *s, unsigned f, unsigned size)
{
    while (s->file_size[f] < size)
        allocate(s, f);
}

/* From here on nothing is said of its size but that. */
static void use_blocks(struct sim *s, unsigned f)
{
    s->w->files[f].size = (uint64_t)s->file_size[f] * BLOCK_SIZE;
    s->files[f].size_low = 0;
    s->files[f].size_high = s->w->files[f].size;
    make_map(s, f);
}

/* What is cut off within a block is zeroed. */
void sim_disk_resize(struct sim *s, unsigned f, uint64_t size)
{
    unsigned blocks = (unsigned)((size + BLOCK_SIZE - 1) / BLOCK_SIZE);
    shrink(s, f, blocks);
    grow(s, f, blocks);
    s->w->files[f].size = size;
    for (unsigned i = 0; i < blocks; i++)
        s->disk[s->file_blocks[f][i]].dirt.known = s->disk[s->file_blocks[f][i]].cover.known =
            false;
    make_map(s, f);
}

void sim_disk_format(struct sim *s)
{
    for (unsigned b = 0; b < SIM_BLOCKS; b++)
        s->disk[b].file = -1;
    for (unsigned f = 0; f < WORLD_FILES; f++) {
        grow(s, f, 1 + sim_below(s, SIM_FILE_BLOCKS));
        use_blocks(s, f);
    }
}

void sim_disk_local_change(struct sim *s, unsigned f)
{
    if (s->w->files[f].flag || s->w->files[f].mark)
        return; /* EPERM: that is what the flag is for; while it is being set nobody comes */
    unsigned what = sim_below(s, 3);
    if (what == 0)
        shrink(s, f, 1);
    else if (what == 1)
        shrink(s, f,
               0); /* removed; the name is used for a new file, which then gets other blocks */
    unsigned other = sim_below(s, WORLD_FILES);
    if (what == 1 && other != f && !s->w->files[other].flag && !s->w->files[other].mark &&
        s->w->files[other].fs == s->w->files[f].fs) {
        grow(s, other, SIM_FILE_BLOCKS);
        use_blocks(s, other);
    }
    if (what > 0)
        grow(s, f, 1 + sim_below(s, SIM_FILE_BLOCKS));
    use_blocks(s, f);
    s->acted = true;
    sim_say(s, "%s is %s at the server; it has %u blocks now", s->w->files[f].path,
            what == 0   ? "truncated"
            : what == 1 ? "removed, its blocks are reused, and it is made anew"
                        : "extended",
            s->file_size[f]);
}

bool sim_disk_refuses(const struct sim *s, unsigned m, uint32_t run, unsigned f)
{
    const struct sim_machine *machine = &s->machines[m];
    if (sim_san_guards(s, f) && machine->kind == JOURNAL_HOLDER_NFS)
        return !sim_san_lets_in(s, m, run);
    return machine->runs[run].cut[s->w->files[f].fs];
}

bool sim_disk_is_intact(const struct sim *s, unsigned f, const struct sim_ref *ref)
{
    return s->disk[ref->block].file == (int)f && s->disk[ref->block].birth == ref->birth;
}

void sim_disk_io(struct sim *s, unsigned m, const struct sim_io *io)
{
    const struct sim_block *block = &s->disk[io->ref.block];
    s->figures->ios++;
    if (sim_disk_refuses(s, m, io->run, io->file)) {
        s->figures->foreign_refused += !sim_disk_is_intact(s, io->file, &io->ref);
        sim_say(s, "client %u's I/O for %s is refused by the disk", m, s->w->files[io->file].path);
        return;
    }
    sim_say(s, "client %u's I/O for %s reaches block %u", m, s->w->files[io->file].path,
            io->ref.block);
    /* What was done behind the server's back before it could look is not its fault. */
    if (sim_disk_is_intact(s, io->file, &io->ref))
        sim_growing_landed(s, m, io);
    if (sim_disk_is_intact(s, io->file, &io->ref) || io->breaches != s->files[io->file].breaches)
        return;
    if (block->file < 0)
        sim_fail(s, SIM_FOREIGN_IO, "client %u's I/O for %s lands in block %u, which is free", m,
                 s->w->files[io->file].path, io->ref.block);
    else
        sim_fail(s, SIM_FOREIGN_IO, "client %u's I/O for %s lands in block %u, which is %s's%s", m,
                 s->w->files[io->file].path, io->ref.block, s->w->files[block->file].path,
                 block->file == (int)io->file ? " once more" : "");
}
