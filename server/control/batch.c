/* batch.c - see control/batch.h. Each file is a request of its own; this collects their
 * answers. */
#include "server/control/batch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "server/base/json_text.h"

struct batch;

struct batch_part {
    struct batch *batch;
    size_t index;
};

struct batch {
    control_answer_fn answer;
    void *context;
    json_t *results;
    size_t left, refused, pending;
    struct batch_part parts[];
};

static void refuse_batch(control_answer_fn answer, void *context, const char *code,
                         const char *sentence)
{
    answer(context, json_pack("{s:b, s:s, s:s}", "ok", 0, "code", code, "error", sentence));
}

static void finish_batch(struct batch *batch)
{
    char sentence[128];
    json_t *reply = json_pack("{s:b, s:O}", "ok", !batch->refused && !batch->pending, "results",
                              batch->results);

    if (reply && (batch->refused || batch->pending)) {
        snprintf(sentence, sizeof sentence,
                 "%zu of %zu files were refused, %zu are under way; see the results",
                 batch->refused, json_array_size(batch->results), batch->pending);
        json_object_set_new(reply, "code", json_string(batch->refused ? "refused" : "pending"));
        json_object_set_new(reply, "error", json_string(sentence));
    }
    batch->answer(batch->context, reply);
    json_decref(batch->results);
    free(batch);
}

/* reply: ours; NULL when there was no memory for it. */
static void one_answered(void *context, json_t *reply)
{
    struct batch_part *part = context;
    struct batch *batch = part->batch;
    json_t *result = json_array_get(batch->results, part->index);
    const char *code = json_string_value(json_object_get(reply, "code"));

    if (!json_is_true(json_object_get(reply, "ok"))) {
        if (code && strcmp(code, "pending") == 0)
            batch->pending++;
        else
            batch->refused++;
    }
    if (reply)
        json_object_update(result, reply);
    else
        json_object_set_new(result, "ok", json_false());
    json_decref(reply);
    if (--batch->left == 0)
        finish_batch(batch);
}

static json_t *request_of(json_t *request, json_t *file)
{
    json_t *one = json_copy(request), *hex = json_object_get(file, "file_hex");

    json_object_del(one, "file");
    json_object_del(one, "file_hex");
    if (one && (json_object_del(one, "files") != 0 ||
                json_object_set(one, hex ? "file_hex" : "file", hex ? hex : file) != 0)) {
        json_decref(one);
        return NULL;
    }
    return one;
}

/* NULL: out of memory. */
static json_t *name_result(json_t *file)
{
    json_t *result;
    char *path;

    if (json_is_string(file))
        return json_pack("{s:O}", "file", file);
    result = json_object();
    path = json_take_path(file);
    if (path)
        json_put_path(result, path);
    free(path);
    return result;
}

static struct batch *make_batch(const json_t *files, control_answer_fn answer, void *context)
{
    size_t count = json_array_size(files), i;
    struct batch *batch = calloc(1, sizeof *batch + count * sizeof batch->parts[0]);
    json_t *file;

    if (!batch)
        return NULL;
    *batch = (struct batch){
        .answer = answer, .context = context, .results = json_array(), .left = count};
    json_array_foreach(files, i, file)
    {
        batch->parts[i] = (struct batch_part){.batch = batch, .index = i};
        if (json_array_append_new(batch->results, name_result(file)) != 0) {
            json_decref(batch->results);
            free(batch);
            return NULL;
        }
    }
    return batch;
}

void control_batch(struct server *server, struct loop *loop, json_t *request,
                   control_answer_fn answer, void *context)
{
    const json_t *files = json_object_get(request, "files");
    size_t count = json_array_size(files), i;
    struct batch *batch;
    json_t *file;

    json_array_foreach(files, i, file)
    {
        if (!json_is_string(file) && !json_is_string(json_object_get(file, "file_hex")))
            count = 0;
    }
    if (count == 0 || count > CONTROL_BATCH_MAX) {
        refuse_batch(answer, context, "bad-request", "\"files\" wants a list of 1 to 4096 paths");
        return;
    }
    batch = make_batch(files, answer, context);
    if (!batch) {
        answer(context, NULL);
        return;
    }
    /* The last one to be answered frees the batch, which may be before this ends: `count` and
     * `files` are not its. */
    for (i = 0; i < count; i++)
        control_submit(server, loop, NULL, request_of(request, json_array_get(files, i)),
                       one_answered, &batch->parts[i]);
}
