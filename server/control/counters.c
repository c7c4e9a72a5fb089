/*
 * counters.c - the control socket's "counters": how many operations there were of each name.
 */
#include <string.h>

#include "server/control/request.h"
#include "server/nfs/compound.h"
#include "server/nfs/op_counts.h"
#include "server/server.h"

void start_counters(struct control_request *request)
{
    const struct op_counts *counts = request->server->op_counts;
    json_t *rows = json_array();

    for (uint32_t op = 0; counts && op < OP_TABLE_SIZE; op++) {
        const uint64_t ok = op_counts_get(counts, op, OP_OUTCOME_OK),
                       delay = op_counts_get(counts, op, OP_OUTCOME_DELAY),
                       error = op_counts_get(counts, op, OP_OUTCOME_ERROR);
        if (op_table[op].name && ok + delay + error > 0)
            json_array_append_new(rows, json_pack("{s:s, s:I, s:I, s:I}", "operation",
                                                  op_table[op].name + strlen("OP_"), "ok",
                                                  (json_int_t)ok, "delay", (json_int_t)delay,
                                                  "error", (json_int_t)error));
    }
    request_answer(request, json_pack("{s:b, s:I, s:o}", "ok", 1, "at_ms",
                                      (json_int_t)(loop_now_ns() / 1000000), "operations", rows));
}
