/*
 * metrics.h - what a monitoring system wants to know, as Prometheus text over HTTP
 * (metrics_listen).
 *
 * A thread of its own answers one scrape after the other. What belongs to the keeper or to a loop
 * it asks for by message and waits, so nothing is read behind an owner's back and nobody waits for
 * a scraper.
 */
#ifndef SEALNFS_SERVER_CONTROL_METRICS_H
#define SEALNFS_SERVER_CONTROL_METRICS_H

struct metrics;
struct server;

/* *out is NULL when the configuration names no address. After the loops and the keeper have
 * started. */
int metrics_create(struct server *server, struct metrics **out);
/* While the loops and the keeper still run. NULL is fine. */
void metrics_destroy(struct metrics *metrics);

#endif
