/*
 * reload.h - who asked for a reload of the configuration and waits for what became of it. The main
 * thread reloads, by SIGHUP; this brings it the questions and takes the answers home.
 */
#ifndef SEALNFS_SERVER_CONTROL_RELOAD_H
#define SEALNFS_SERVER_CONTROL_RELOAD_H

#include "server/base/loop.h"

struct reload_desk;

struct reload_ask {
    struct loop_msg home; /* posted to loop with the answer */
    struct loop *loop;
    int error;  /* 0, or -errno: nothing has changed */
    char *told; /* sentences for a person; freed by who asked; NULL: none, or no memory */
    struct reload_ask *next;
};

int reload_desk_create(struct reload_desk **out);
/* After reload_desk_close and the end of every loop that asks. NULL is fine. */
void reload_desk_destroy(struct reload_desk *desk);
/* Those who wait, and who ask later, are told -ESHUTDOWN. */
void reload_desk_close(struct reload_desk *desk);
/* Any thread. The answer comes home in every case. */
void reload_desk_ask(struct reload_desk *desk, struct reload_ask *ask);
/* Main thread: all who have asked by now, to be answered after a reload that begins after this. */
struct reload_ask *reload_desk_take(struct reload_desk *desk);
void reload_desk_answer(struct reload_ask *asks, int error, const char *told);

#endif
