/*
 * turn.c - see turn.h.
 *
 * A timer of no time at all is due in the loop's next pass, behind what epoll has found: there the
 * passes are counted, and one line has its turn. It is set when somebody waits or has used half of
 * a turn: what is used in passes before that counts together.
 */
#include "server/net/turn.h"

#include <errno.h>
#include <utlist.h>

#include "server/net/private.h"

enum { TOLD_MOST = 4 }; /* passes */

static const struct timeval at_once = {.tv_sec = 0};

static struct turn_line *line_of(const struct conn *conn)
{
    return share_line(&conn->seat, loop_index(conn->home->loop));
}

/* What the line may still use in this pass. */
static uint64_t time_left(struct turn_line *line, const struct turns *turns)
{
    if (line->pass != turns->pass) {
        line->pass = turns->pass;
        line->used_ns = 0;
    }
    return line->used_ns < TURN_NS ? TURN_NS - line->used_ns : 0;
}

/* Another pass, at once. */
static bool ask_for_pass(struct turns *turns)
{
    return event_pending(turns->next, EV_TIMEOUT, NULL) || event_add(turns->next, &at_once) == 0;
}

static void read_for(struct conn *conn, struct turns *turns, struct turn_line *line, uint64_t ns)
{
    const uint64_t begin = loop_fine_ns();
    conn_ref(conn); /* and with it its share, whose the line is */
    turns->until = begin + ns;
    conn_pump(conn);
    turns->until = 0;
    line->used_ns += loop_fine_ns() - begin;
    if (line->used_ns > TURN_NS / 2)
        (void)ask_for_pass(turns); /* or who comes to its end waits, and asks again */
    conn_unref(conn);
}

/* Most get their turn in one of the next passes: to be told again that they are readable costs less
 * than to ask not to be told, and then to be told again. Who waits for longer is not asked about.
 */
static void be_patient(struct conn *conn)
{
    if (++conn->told_waiting == TOLD_MOST)
        event_del(&conn->read_event);
}

void turn_take(struct conn *conn)
{
    struct turns *turns = &conn->home->turns;
    struct turn_line *line = line_of(conn);
    if (conn->waits_turn) {
        be_patient(conn);
        return;
    }
    const uint64_t ns = turns->until == 0 ? time_left(line, turns) : 0;
    if (line->first || ns == 0)
        turn_wait(conn);
    else
        read_for(conn, turns, line, ns);
}

bool turn_is_over(const struct conn *conn)
{
    const uint64_t until = conn->home ? conn->home->turns.until : 0;
    return until != 0 && loop_fine_ns() >= until;
}

void turn_wait(struct conn *conn)
{
    struct turns *turns = &conn->home->turns;
    struct turn_line *line = line_of(conn);
    if (conn->waits_turn)
        return;
    conn->waits_turn = true;
    conn->told_waiting = 0;
    if (!line->first)
        DL_APPEND(turns->waiting, line);
    DL_APPEND2(line->first, conn, prev_turn, next_turn);
    if (!ask_for_pass(turns))
        conn_close(conn, "out of memory");
}

void turn_leave(struct conn *conn)
{
    if (!conn->waits_turn)
        return;
    struct turn_line *line = line_of(conn);
    conn->waits_turn = false;
    DL_DELETE2(line->first, conn, prev_turn, next_turn);
    if (!line->first)
        DL_DELETE(conn->home->turns.waiting, line);
}

/* Its first connection has something to be read, and reads on by itself from now on. */
static void read_first(struct turns *turns, struct turn_line *line, uint64_t ns)
{
    struct conn *conn = line->first;
    turn_leave(conn);
    if (conn->read_on && !event_pending(&conn->read_event, EV_READ, NULL) &&
        event_add(&conn->read_event, NULL) != 0)
        conn_close(conn, "out of memory");
    else
        read_for(conn, turns, line, ns);
}

static void on_turn(evutil_socket_t fd, short events, void *arg)
{
    (void)fd;
    (void)events;
    struct conn_home *home = arg;
    struct turns *turns = &home->turns;
    struct turn_line *line = turns->waiting;
    turns->pass++;
    if (!line)
        return;
    struct conn *of_line = conn_ref(line->first); /* the line is there as long as this one */
    DL_DELETE(turns->waiting, line);
    DL_APPEND(turns->waiting, line);
    for (uint64_t ns; line->first && (ns = time_left(line, turns)) > 0;)
        read_first(turns, line, ns);
    conn_unref(of_line);
    if (turns->waiting)
        (void)ask_for_pass(turns); /* does not fail: this timer's place has just become free */
}

int turns_create(struct conn_home *home)
{
    home->turns.next = evtimer_new(loop_base(home->loop), on_turn, home);
    return home->turns.next ? 0 : -ENOMEM;
}

void turns_destroy(struct conn_home *home)
{
    if (home->turns.next)
        event_free(home->turns.next);
}
