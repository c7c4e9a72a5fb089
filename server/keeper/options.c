/*
 * options.c - what the engine is told of the configuration.
 */
#include "layout/type/local.h"
#include "layout/type/rdma.h"
#include "layout/type/scsi.h"
#include "server/config/config.h"
#include "server/keeper/private.h"

enum { ASK_PAUSE_SECONDS = 10, GROWING_LINGER_SECONDS = 2 };

static const struct layout_type *const layout_types[] = {
    &block_layout_type, &scsi_layout_type, &rdma_layout_type, &local_layout_type, NULL};

void keeper_options(struct keeper *keeper, struct engine_options *options)
{
    const struct config *config = keeper->config;
    *options = (struct engine_options){
        .types = layout_types,
        .boot = journal_boot(keeper->journal),
        .recall_timeout = SECONDS(config->recall_timeout),
        .lease_time = SECONDS(config->lease_time),
        .recall_pause = SECONDS(1),
        .fence_retry = SECONDS(config->fence_retry),
        .quiesce_time = SECONDS(config->quiesce_time),
        .settle_time = SECONDS(config->initiator_settle_time),
        .scrub_interval = SECONDS(config->scrub_interval),
        .at_rest_pause = SECONDS(config->at_rest_pause),
        .at_rest_max = config->at_rest_max,
        .growing_linger = SECONDS(GROWING_LINGER_SECONDS),
        .ask_pause = SECONDS(ASK_PAUSE_SECONDS),
        .max_grants = config->max_grants,
        .fence_hook = config->fence_hook != NULL,
        .quiesce_is_safe = config->quiesce_is_safe,
        .trace = keeper->trace.stream != NULL,
    };
}
