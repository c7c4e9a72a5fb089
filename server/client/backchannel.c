/*
 * backchannel.c - calls to clients (RFC 8881 sections 2.10.3, 2.10.6, 20.9). Everything here runs
 * on the client's loop; only the end of a send may come on the connection's.
 *
 * A call waits in its client's queue until a session with a bound connection has a free slot. While
 * it is under way it owns the slot. A connection that closes before the answer leaves the slot
 * unsure: the same message goes out again over another connection of the session if there is one,
 * so that the client sees a retry and not a second call; else the call fails, and the next one on
 * that slot finds out whether the client had seen it. After its deadline a call is answered
 * CB_TIMEOUT, but its slot stays taken until the client answers or the connection closes. A process
 * that was stopped finds deadlines due and answers unread: what waits is read before it is judged.
 */
#include "server/client/backchannel.h"

#include <errno.h>
#include <event2/event.h>
#include <event2/event_struct.h>
#include <stdlib.h>
#include <string.h>

#include "layout/container_of.h"
#include "server/base/buffer.h"
#include "server/base/log.h"
#include "server/client/cb_message.h"
#include "server/client/session_private.h"
#include "server/net/conn.h"

enum {
    PROBE_TIMEOUT_MS = 10000,
    PROBES_MAX = 16, /* of a client: one more would tell no more */
    TURN_MS = 250,
    TURNS_MAX = 20,
    MESSAGE_MAX = 2048, /* cb_recall_fits measures the largest */
};

struct cb_flight {
    struct cb_flight *next; /* of the client's queue; a probe's: of its session's probes */
    struct client *client;  /* pinned */
    struct cb_call *call;   /* NULL: a probe, or its caller has been answered */
    bool is_probe;
    struct session *session; /* holds a reference; NULL while queued */
    unsigned slot;
    bool reused_seq;   /* the slot was unsure, and seq + 1 was refused: now seq */
    struct conn *conn; /* holds a reference while under way */
    struct conn_call answer;
    struct conn_out send;
    uint8_t *message;   /* MESSAGE_MAX bytes; NULL while queued */
    struct event timer; /* the deadline, and the turn after it */
    unsigned turns;     /* begun, of which the latest ends: */
    uint64_t turn_ends;
    struct event pause; /* a probe lets the reply go first; a call that got DELAY keeps its slot and
                           comes again */
    uint32_t op;
    atomic_uint refs; /* the module's, and the send's */
};

static void flight_unref(struct cb_flight *flight)
{
    if (atomic_fetch_sub(&flight->refs, 1) != 1)
        return;
    free(flight->message);
    if (flight->conn)
        conn_unref(flight->conn);
    free(flight);
}

/* The answer may have come before: who guesses the call's number answers what is not sent yet. */
static void on_sent(struct conn_out *out, bool ok)
{
    (void)ok; /* a connection that closed says so to the call as well */
    struct conn *conn = out->conn;
    flight_unref(container_of(out, struct cb_flight, send));
    conn_unref(conn);
}

static void tell_caller(struct cb_flight *flight, enum cb_outcome outcome, nfsstat4 status)
{
    struct cb_call *call = flight->call;
    if (!call)
        return;
    flight->call = NULL;
    call->outcome = outcome;
    call->status = status;
    loop_post(call->done_loop, &call->done);
}

static void unlist_probe(struct cb_flight *flight)
{
    struct cb_flight **at = &flight->session->probes;
    while (*at && *at != flight)
        at = &(*at)->next;
    if (*at)
        *at = flight->next;
}

/* The flight has landed: it is in no queue, on no slot, no message of it is to come. */
static void flight_end(struct cb_flight *flight, enum cb_outcome outcome, nfsstat4 status)
{
    struct client *client = flight->client;
    const bool flight_was_probe = flight->is_probe;
    event_del(&flight->timer);
    event_del(&flight->pause);
    tell_caller(flight, outcome, status);
    if (flight->is_probe && flight->session)
        unlist_probe(flight);
    if (flight->session)
        session_unref(flight->session);
    flight_unref(flight);
    client->flights--;
    client->probes -= flight_was_probe;
    client_unpin(client);
}

static void free_slot(struct cb_flight *flight, bool unsure)
{
    struct cb_slot *slot = &flight->session->cb_slots[flight->slot];
    slot->flight = NULL;
    slot->unsure = unsure;
}

static void queue_flight(struct cb_flight *flight)
{
    struct cb_flight **at = &flight->client->cb_queue;
    while (*at)
        at = &(*at)->next;
    flight->next = NULL;
    *at = flight;
}

static bool unqueue_flight(struct cb_flight *flight)
{
    struct cb_flight **at = &flight->client->cb_queue;
    while (*at && *at != flight)
        at = &(*at)->next;
    if (!*at)
        return false;
    *at = flight->next;
    return true;
}

static void answered_well(struct client *client)
{
    if (!client->cb_down)
        return;
    client->cb_down = false;
    log_info("%s: its backchannel answers again", client_describe(client));
}

static void tell_callable(struct client *client)
{
    const struct client_watcher *watcher = &client->table->all->watcher;
    const struct client_identity identity = client_identity(client);
    if (!client->gone)
        watcher->callable(watcher->context, &identity);
}

/* ---- sending ---- */

static struct cb_target target_of(const struct cb_flight *flight)
{
    const struct session *session = flight->session;
    return (struct cb_target){.xid = flight->answer.xid,
                              .program = session->cb_program,
                              .flavor = session->cb_flavor,
                              .sys = &session->cb_sys};
}

static bool encode_flight(struct cb_flight *flight, struct xdr_out *out)
{
    struct session *session = flight->session;
    struct cb_target target = target_of(flight);
    xdr_out_init(out, flight->message, MESSAGE_MAX);
    if (flight->is_probe)
        return cb_null_encode(out, &target);
    xdr_out_set_limit(out, session->back.ca_maxrequestsize);
    struct cb_call *call = flight->call;
    referring_call_list4 lists[CB_REFERRING_MAX];
    for (uint32_t i = 0; i < call->referring_count; i++) {
        lists[i] = (referring_call_list4){.rcl_referring_calls_count = 1,
                                          .rcl_referring_calls = &call->referring[i].call};
        memcpy(lists[i].rcl_sessionid, call->referring[i].session, sizeof lists[i].rcl_sessionid);
    }
    CB_SEQUENCE4args sequence = {
        .csa_sequenceid = session->cb_slots[flight->slot].seq,
        .csa_slotid = flight->slot,
        .csa_highest_slotid = session->cb_slot_count - 1,
        .csa_referring_call_lists_count = call->referring_count,
        .csa_referring_call_lists = lists,
    };
    memcpy(sequence.csa_sessionid, session->id, sizeof(sequence.csa_sessionid));
    return cb_compound_encode(out, &target, &sequence, call->op, &call->args);
}

/* Send it over this connection. False: the connection has closed, the message cannot be put
 * together, or is still in the hands of a connection that closes just now. */
static bool send_over(struct cb_flight *flight, struct conn *conn)
{
    struct xdr_out out;
    if (atomic_load(&flight->refs) > 1)
        return false;
    if (!flight->message && !(flight->message = malloc(MESSAGE_MAX)))
        return false;
    flight->answer.xid = conn_next_xid(conn);
    if (!encode_flight(flight, &out) || !conn_out_set(&flight->send, &out))
        return false;
    if (!conn_call_expect(conn, &flight->answer))
        return false;
    flight->conn = conn_ref(conn);
    flight->send.sent = on_sent;
    atomic_fetch_add(&flight->refs, 1);
    /* The send keeps it too: it may be on its way there when the call has failed. */
    conn_send(conn_ref(conn), &flight->send);
    return true;
}

static bool send_on_session(struct cb_flight *flight)
{
    for (struct cb_bind *bind = flight->session->binds; bind; bind = bind->next)
        if (send_over(flight, bind->conn))
            return true;
    return false;
}

static bool session_can_call(const struct session *session, uint32_t op)
{
    return session_back_is_bound(session) && !session->cb_fault && session->cb_slot_count > 0 &&
           session->back.ca_maxoperations >= 2 && (op != OP_CB_LAYOUTRECALL || session->cb_recalls);
}

static bool find_slot(struct cb_flight *flight, bool *any_channel)
{
    for (struct session *s = flight->client->sessions; s; s = s->next) {
        if (!session_can_call(s, flight->op))
            continue;
        *any_channel = true;
        for (unsigned i = 0; i < s->cb_slot_count; i++)
            if (!s->cb_slots[i].flight) {
                flight->session = session_ref(s);
                flight->slot = i;
                s->cb_slots[i].flight = flight;
                s->cb_slots[i].seq++;
                flight->reused_seq = false;
                return true;
            }
    }
    return false;
}

static void launch_flight(struct cb_flight *flight)
{
    if (send_on_session(flight))
        return;
    flight->session->cb_slots[flight->slot].seq--;
    free_slot(flight, flight->session->cb_slots[flight->slot].unsure);
    flight_end(flight, CB_NO_CHANNEL, NFS4_OK);
}

void backchannel_drive(struct client *client)
{
    client_pin(client);
    while (client->cb_queue) {
        struct cb_flight *flight = client->cb_queue;
        bool any_channel = false;
        if (client->gone) {
            unqueue_flight(flight);
            flight_end(flight, CB_NO_CLIENT, NFS4_OK);
        } else if (find_slot(flight, &any_channel)) {
            unqueue_flight(flight);
            launch_flight(flight);
        } else if (!any_channel) {
            unqueue_flight(flight);
            flight_end(flight, CB_NO_CHANNEL, NFS4_OK);
        } else {
            break; /* slots will come free */
        }
    }
    client_unpin(client);
}

/* ---- the answer ---- */

static const struct timeval pause_time = {.tv_usec = 200000};

/* CB_SEQUENCE was refused; the operation has not run. True: the flight goes on. */
static bool sequence_refused(struct cb_flight *flight, nfsstat4 status)
{
    struct session *session = flight->session;
    struct cb_slot *slot = &session->cb_slots[flight->slot];
    switch (status) {
    case NFS4ERR_SEQ_MISORDERED:
        if (!slot->unsure || flight->reused_seq)
            break;
        /* The client had not seen the call before: its sequence id is still to be used. */
        flight->reused_seq = true;
        slot->seq--;
        return flight->call && send_on_session(flight);
    case NFS4ERR_DELAY:
        slot->seq--;
        evtimer_add(&flight->pause, &pause_time);
        return true;
    case NFS4ERR_BADSLOT:
    case NFS4ERR_BAD_HIGH_SLOT:
        slot->seq--;
        if (session->cb_slot_count > 1)
            session->cb_slot_count--;
        return false;
    default:
        break;
    }
    session->cb_fault = true;
    log_warning("%s: its backchannel refuses calls: %s", client_describe(flight->client),
                nfs4_status_name(status));
    return false;
}

static bool sequence_matches(const struct cb_flight *flight, const CB_SEQUENCE4resok *got)
{
    const struct session *session = flight->session;
    return memcmp(got->csr_sessionid, session->id, sizeof(got->csr_sessionid)) == 0 &&
           got->csr_sequenceid == session->cb_slots[flight->slot].seq &&
           got->csr_slotid == flight->slot;
}

static void heed_target(struct session *session, const CB_SEQUENCE4resok *got)
{
    uint32_t most = got->csr_target_highest_slotid < CB_SLOTS_MAX
                        ? got->csr_target_highest_slotid + 1
                        : CB_SLOTS_MAX;
    if (most > session->back.ca_maxrequests)
        most = session->back.ca_maxrequests;
    if (most > 0)
        session->cb_slot_count = most;
}

static void land_flight(struct cb_flight *flight, bool unsure, enum cb_outcome outcome,
                        nfsstat4 status)
{
    struct client *client = flight->client;
    client_pin(client);
    free_slot(flight, unsure);
    flight_end(flight, outcome, status);
    backchannel_drive(client);
    client_unpin(client);
}

static void call_answered(struct cb_flight *flight)
{
    struct cb_answer answer;
    const void *data = flight->answer.reply_buffer->data;
    if (!cb_compound_decode(data, flight->answer.reply_len, flight->op, &answer)) {
        log_warning("%s: an answer to a callback makes no sense", client_describe(flight->client));
        land_flight(flight, true, CB_BROKEN, NFS4_OK);
        return;
    }
    answered_well(flight->client);
    if (answer.sequence_status == NFS4_OK) {
        if (!sequence_matches(flight, &answer.sequence)) {
            flight->session->cb_fault = true;
            land_flight(flight, true, CB_BROKEN, NFS4_OK);
            return;
        }
        heed_target(flight->session, &answer.sequence);
        land_flight(flight, false, CB_ANSWERED, answer.status);
    } else if (answer.sequence_status == NFS4ERR_RETRY_UNCACHED_REP) {
        /* A retry: it has run, what it said is lost. As if it said that it is at it. */
        land_flight(flight, false, CB_ANSWERED, NFS4ERR_DELAY);
    } else if (!sequence_refused(flight, answer.sequence_status)) {
        land_flight(flight, flight->session->cb_slots[flight->slot].unsure, CB_NO_CHANNEL, NFS4_OK);
    }
}

static void probe_answered(struct cb_flight *flight, bool alive)
{
    struct client *client = flight->client;
    client_pin(client);
    if (alive) {
        answered_well(client);
        tell_callable(client);
    }
    flight_end(flight, CB_ANSWERED, NFS4_OK);
    client_unpin(client);
}

static void on_answer(struct loop_msg *msg)
{
    struct conn_call *answer = container_of(msg, struct conn_call, done);
    struct cb_flight *flight = container_of(answer, struct cb_flight, answer);
    struct buffer *reply = answer->reply_buffer;
    conn_unref(flight->conn);
    flight->conn = NULL;
    if (reply)
        client_answered(flight->client);
    if (flight->is_probe)
        probe_answered(flight, reply && cb_null_decode(reply->data, answer->reply_len));
    else if (reply)
        call_answered(flight);
    else if (!flight->session->client || !flight->call || !send_on_session(flight))
        land_flight(flight, true, CB_NO_CHANNEL, NFS4_OK);
    buffer_unref(reply);
}

static const uint64_t turn_ns = TURN_MS * UINT64_C(1000000);

bool backchannel_turn_counts(unsigned turns, uint64_t ends, uint64_t now)
{
    return turns >= TURNS_MAX || (turns > 0 && now < ends + turn_ns);
}

static bool has_had_a_turn(struct cb_flight *flight)
{
    const struct timeval turn = {.tv_usec = TURN_MS * 1000};
    const uint64_t now = loop_now_ns();
    if (backchannel_turn_counts(flight->turns, flight->turn_ends, now))
        return true;
    flight->turns++;
    flight->turn_ends = now + turn_ns;
    /* The base's own time is of before the stop, where that came between two events. */
    (void)event_base_update_cache_time(loop_base(flight->client->table->loop));
    return evtimer_add(&flight->timer, &turn) != 0;
}

static void on_timeout(evutil_socket_t fd, short events, void *arg)
{
    (void)fd;
    (void)events;
    struct cb_flight *flight = arg;
    struct client *client = flight->client;
    if (!has_had_a_turn(flight))
        return;
    if (!client->cb_down)
        log_warning("%s: its backchannel does not answer", client_describe(client));
    client->cb_down = true;
    if (flight->is_probe) {
        if (conn_call_cancel(flight->conn, &flight->answer))
            flight_end(flight, CB_TIMEOUT, NFS4_OK);
    } else if (unqueue_flight(flight)) {
        flight_end(flight, CB_TIMEOUT, NFS4_OK);
    } else {
        /* The slot stays taken: the answer may come yet. */
        tell_caller(flight, CB_TIMEOUT, NFS4_OK);
    }
}

static void send_probe(struct cb_flight *flight)
{
    struct conn *conn = flight->conn;
    flight->conn = NULL;
    if (!send_over(flight, conn))
        flight_end(flight, CB_NO_CHANNEL, NFS4_OK);
    conn_unref(conn);
}

static void on_pause(evutil_socket_t fd, short events, void *arg)
{
    (void)fd;
    (void)events;
    struct cb_flight *flight = arg;
    struct session *session = flight->session;
    if (flight->is_probe) {
        send_probe(flight);
        return;
    }
    bool wanted = flight->call && session->client;
    if (wanted)
        session->cb_slots[flight->slot].seq++;
    if (wanted && send_on_session(flight))
        return;
    if (wanted)
        session->cb_slots[flight->slot].seq--;
    land_flight(flight, session->cb_slots[flight->slot].unsure, CB_NO_CHANNEL, NFS4_OK);
}

/* ---- calls and probes ---- */

static struct cb_flight *flight_create(struct client *client, struct cb_call *call,
                                       uint32_t timeout_ms)
{
    struct event_base *base = loop_base(client->table->loop);
    struct cb_flight *flight = calloc(1, sizeof(*flight));
    if (!flight)
        return NULL;
    flight->client = client;
    flight->call = call;
    flight->op = call ? call->op : 0;
    flight->is_probe = !call;
    flight->answer.done.run = on_answer;
    flight->answer.loop = client->table->loop;
    atomic_init(&flight->refs, 1);
    evtimer_assign(&flight->timer, base, on_timeout, flight);
    evtimer_assign(&flight->pause, base, on_pause, flight);
    struct timeval deadline = {.tv_sec = timeout_ms / 1000, .tv_usec = timeout_ms % 1000 * 1000};
    if (evtimer_add(&flight->timer, &deadline) != 0) {
        flight_unref(flight);
        return NULL;
    }
    client_pin(client);
    client->flights++;
    client->probes += flight->is_probe;
    return flight;
}

static void on_call(struct loop_msg *msg)
{
    struct cb_call *call = container_of(msg, struct cb_call, send);
    struct client_table *table = clients_table(call->clients, client_id_loop(call->client_id));
    struct client *client = client_find(table, call->client_id);
    struct cb_flight *flight = client ? flight_create(client, call, call->timeout_ms) : NULL;
    if (!flight) {
        call->outcome = !client ? CB_NO_CLIENT : CB_NO_CHANNEL;
        loop_post(call->done_loop, &call->done);
        return;
    }
    queue_flight(flight);
    backchannel_drive(client);
}

void backchannel_call(struct clients *clients, struct cb_call *call)
{
    const struct client_table *table = clients_table(clients, client_id_loop(call->client_id));
    call->clients = clients;
    call->status = NFS4_OK;
    if (!table) {
        call->outcome = CB_NO_CLIENT;
        loop_post(call->done_loop, &call->done);
        return;
    }
    call->send.run = on_call;
    loop_post(table->loop, &call->send);
}

/* CB_NULL over a connection that has just been bound, after the reply that tells the client so.
 * Pending recalls go out once it has answered. */
static void start_probe(struct session *session, struct conn *conn)
{
    static const struct timeval after_the_reply = {.tv_usec = 5000};
    if (session->client->probes >= PROBES_MAX)
        return;
    struct cb_flight *flight = flight_create(session->client, NULL, PROBE_TIMEOUT_MS);
    if (!flight)
        return;
    flight->session = session_ref(session);
    flight->next = session->probes;
    session->probes = flight;
    flight->conn = conn_ref(conn);
    evtimer_add(&flight->pause, &after_the_reply);
}

/* ---- bound connections ---- */

static void bind_free(struct cb_bind *bind)
{
    struct cb_bind **at = &bind->session->binds;
    while (*at && *at != bind)
        at = &(*at)->next;
    if (*at)
        *at = bind->next;
    conn_unref(bind->conn);
    session_unref(bind->session);
    free(bind);
}

static void on_conn_gone(struct loop_msg *msg)
{
    struct conn_watch *watch = container_of(msg, struct conn_watch, msg);
    struct cb_bind *bind = container_of(watch, struct cb_bind, watch);
    struct client *client = bind->session->client;
    bind_free(bind);
    if (client)
        backchannel_drive(client); /* what waits for a slot may wait in vain now */
}

/* The connection that was bound first is let go, where there are too many. */
static void make_room(struct session *session)
{
    struct cb_bind *last = session->binds;
    unsigned count = last ? 1 : 0;
    for (; last && last->next; last = last->next)
        count++;
    if (count >= SESSION_CONNS_MAX && conn_watch_remove(last->conn, &last->watch))
        bind_free(last); /* else its message does that */
}

int backchannel_bind(struct session *session, struct conn *conn)
{
    if (!session->cb_usable)
        return -EPROTONOSUPPORT;
    make_room(session);
    struct cb_bind *bind = calloc(1, sizeof(*bind));
    if (!bind)
        return -ENOMEM;
    bind->watch.msg.run = on_conn_gone;
    bind->watch.loop = session->client->table->loop;
    if (!conn_watch_add(conn, &bind->watch)) {
        free(bind);
        return -ENOTCONN;
    }
    bind->session = session_ref(session);
    bind->conn = conn_ref(conn);
    bind->next = session->binds;
    session->binds = bind;
    session->client->cb_asked = true;
    session->client->cb_down = false;
    start_probe(session, conn);
    return 0;
}

static void drop_binds(struct session *session)
{
    for (struct cb_bind *bind = session->binds, *next; bind; bind = next) {
        next = bind->next;
        if (conn_watch_remove(bind->conn, &bind->watch))
            bind_free(bind);
    }
    session->binds = NULL; /* the others are freed by their messages */
}

/* Nobody waits for what they would say: sessions that come and go leave nothing behind. */
static void drop_probes(struct session *session)
{
    for (struct cb_flight *flight = session->probes, *next; flight; flight = next) {
        next = flight->next;
        bool unsent = evtimer_pending(&flight->pause, NULL);
        if (unsent || conn_call_cancel(flight->conn, &flight->answer))
            flight_end(flight, CB_NO_CHANNEL, NFS4_OK);
        /* else its message ends it */
    }
}

void backchannel_session_gone(struct session *session, struct client *client)
{
    session_ref(session);
    client_pin(client);
    drop_binds(session);
    drop_probes(session);
    for (unsigned i = 0; i < CB_SLOTS_MAX; i++) {
        struct cb_flight *flight = session->cb_slots[i].flight;
        if (!flight || !flight->conn || !conn_call_cancel(flight->conn, &flight->answer))
            continue; /* its message or its pause ends it */
        free_slot(flight, true);
        flight_end(flight, client->gone ? CB_NO_CLIENT : CB_NO_CHANNEL, NFS4_OK);
    }
    backchannel_drive(client);
    client_unpin(client);
    session_unref(session);
}
