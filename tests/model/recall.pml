/*
 * recall.pml - recall, fence, release, crash and restart: what the server does, what clients and disks may do
 * to it. ./check model runs spin over all of it, for two clients and two files on one disk.
 *
 * The rule: no seal is released while any layout over it could still be used. It is three assertions here:
 * at each write by a client, at the moment a flag is cleared, and at each grant. A fourth says that no client is
 * fenced that answered all along.
 *
 * Each guarded command below happens at once, and anything may happen between two of them; so each writes one
 * record of the journal, or has one effect, never both before a crash can come between. Time is not modelled:
 * a deadline passes when every client that answers has done all it was asked to. docs/proof.md says what else
 * is left out, and where each command is in the engine.
 *
 * -DFAULT_... breaks the server in one place; spin must find it.
 */
#define CLIENTS 2
#define FILES 2
#define AT(c, f) ((c) * FILES + (f))

mtype = { open, sealing, sealed, recalling, releasing };

/* The disk. */
bool flag[FILES];    /* the file's blocks stay where they are */
bool cut[CLIENTS];   /* the disk refuses the client */

/* The journal. */
mtype seal_record[FILES] = open;
bool holder_record[CLIENTS];
bool fenced[CLIENTS]; /* gets no layout before it has restarted */

/* The clients. A layout on its way in a reply counts as much as one that has arrived. A client that loses its state
 * throws its layouts away; what it had written by them is queued, and nobody but an unmount waits for it. */
bool layout[CLIENTS * FILES];
bool reply[CLIENTS * FILES];
byte queued; /* one write by client 0 is enough: of the file before this one; 0: none */
bool answers[CLIENTS] = true; /* reaches the server, and does what it is asked to */
bool was_silent[CLIENTS];     /* did not answer at some time since the recall began */

/* What the server has in memory. */
mtype state[FILES] = open;
bool grant[CLIENTS * FILES];
bool known[CLIENTS];   /* has a client id */
bool maybe[CLIENTS];   /* may hold something from before: a crash, or a client id that is gone */
bool fencing[CLIENTS];
bool deadline[FILES];  /* has passed */

#define USABLE(c, f)   (layout[AT(c, f)] || reply[AT(c, f)] || (c == 0 && queued == f + 1))
#define IN_THE_WAY(c, f) (grant[AT(c, f)] || maybe[c])
#define HOLDS_ANY(c)   (grant[AT(c, 0)] || grant[AT(c, 1)])
#define RECALLED(f)    (state[f] == recalling)
#define ANY_RECALLED   (RECALLED(0) || RECALLED(1))

#ifdef FAULT_GRANT_DURING_RECALL
#define MAY_GRANT(f)   (state[f] == sealed || RECALLED(f))
#else
#define MAY_GRANT(f)   (state[f] == sealed)
#endif
#ifdef FAULT_GRANT_BEFORE_RECORD
#define ON_RECORD(c)   true
#else
#define ON_RECORD(c)   holder_record[c]
#endif
#ifdef FAULT_RELEASE_BEFORE_LAST_RETURN
#define NOTHING_LEFT(f) (!IN_THE_WAY(0, f) || !IN_THE_WAY(1, f))
#elif defined(FAULT_RELEASE_BESIDE_OLD_HOLDERS)
#define NOTHING_LEFT(f) (!grant[AT(0, f)] && !grant[AT(1, f)])
#else
#define NOTHING_LEFT(f) (!IN_THE_WAY(0, f) && !IN_THE_WAY(1, f))
#endif
#ifdef FAULT_FENCE_BEFORE_DEADLINE
#define MAY_FENCE(f)   RECALLED(f)
#else
#define MAY_FENCE(f)   (RECALLED(f) && deadline[f])
#endif
#ifdef FAULT_RECORD_TOO_SHORT
#define MAY_TIDY(c)    (!maybe[c])
#else
#define MAY_TIDY(c)    (!maybe[c] && !HOLDS_ANY(c))
#endif
#ifdef FAULT_RECALL_NAMES_NO_REQUEST
#define NOTHING_HELD(c, f) (!layout[AT(c, f)])
#else
/* A recall names the LAYOUTGET that granted last; a client that still waits for its reply does not deny it. */
#define NOTHING_HELD(c, f) (!layout[AT(c, f)] && !reply[AT(c, f)])
#endif

inline drop_layouts(c)
{
    layout[AT(c, 0)] = false; layout[AT(c, 1)] = false
}

/* It loses its state, and waits for nothing. */
inline throw_away(c)
{
    if
    :: c == 0 && layout[AT(c, 0)] -> queued = 1
    :: c == 0 && layout[AT(c, 1)] -> queued = 2
    :: else
    fi;
    drop_layouts(c)
}

inline drop_queue(c)
{
    if
    :: c == 0 -> queued = 0
    :: else
    fi
}

inline drop_replies(c)
{
    reply[AT(c, 0)] = false; reply[AT(c, 1)] = false
}

/* A client that the disk refuses has no use for a layout any more. */
inline cut_off(c)
{
    cut[c] = true; drop_layouts(c); drop_replies(c); drop_queue(c)
}

inline end_grants(c)
{
    grant[AT(c, 0)] = false; grant[AT(c, 1)] = false
}

inline end_of_recall(f)
{
    deadline[f] = false;
    if
    :: !ANY_RECALLED -> was_silent[0] = false; was_silent[1] = false
    :: else
    fi
}

/* Sealing and releasing one file. */
proctype file(byte f)
{
    do
    :: atomic { state[f] == open -> seal_record[f] = sealing; state[f] = sealing }
    :: atomic { state[f] == sealing && !flag[f] -> flag[f] = true }
    :: atomic { state[f] == sealing && flag[f] -> seal_record[f] = sealed; state[f] = sealed }

    /* To release it is asked of every holder at once. */
    :: atomic { state[f] == sealed ->
           state[f] = recalling;
           was_silent[0] = was_silent[0] || !answers[0]; was_silent[1] = was_silent[1] || !answers[1] }
    :: atomic { RECALLED(f) && !deadline[f] && !(answers[0] && grant[AT(0, f)]) && !(answers[1] && grant[AT(1, f)]) ->
           deadline[f] = true }
#ifdef FAULT_UNFLAG_BEFORE_RECORD
    :: atomic { RECALLED(f) && NOTHING_LEFT(f) && flag[f] ->
           assert(!USABLE(0, f) && !USABLE(1, f)); flag[f] = false }
    :: atomic { RECALLED(f) && !flag[f] ->
           seal_record[f] = releasing; state[f] = releasing; end_of_recall(f) }
#else
    :: atomic { RECALLED(f) && NOTHING_LEFT(f) ->
           seal_record[f] = releasing; state[f] = releasing; end_of_recall(f) }
#endif
    :: atomic { state[f] == releasing && flag[f] ->
           assert(!USABLE(0, f) && !USABLE(1, f)); flag[f] = false }
    :: atomic { state[f] == releasing && !flag[f] -> seal_record[f] = open; state[f] = open }
    od
}

/* What the server does about one client and one file. */
proctype holder(byte c; byte f)
{
    do
    /* On record first; the grant then. */
    :: atomic { known[c] && MAY_GRANT(f) && !holder_record[c] && !fenced[c] -> holder_record[c] = true }
    :: atomic { known[c] && answers[c] && MAY_GRANT(f) && ON_RECORD(c) && !fenced[c] && !fencing[c] &&
                !reply[AT(c, f)] ->
           assert(flag[f] && seal_record[f] == sealed);
           grant[AT(c, f)] = true; reply[AT(c, f)] = !cut[c] }

    /* A fence is an act, which may work or not, whatever it says, and a look. It counts when it is on record. */
    :: atomic { MAY_FENCE(f) && IN_THE_WAY(c, f) && !fencing[c] ->
           assert(was_silent[c] || maybe[c]); fencing[c] = true }
    :: atomic { fencing[c] && !cut[c] -> cut_off(c) }
#ifdef FAULT_TRUST_THE_ACT
    :: atomic { fencing[c] ->
#else
    :: atomic { fencing[c] && cut[c] ->
#endif
           fencing[c] = false; fenced[c] = true; holder_record[c] = false; maybe[c] = false; end_grants(c) }
    :: atomic { fencing[c] && !cut[c] -> fencing[c] = false }

    /* A client id that is given up, its lease being over, ends no grant. */
    :: atomic { known[c] && !answers[c] ->
           known[c] = false;
#ifndef FAULT_TRUST_THE_LEASE
           maybe[c] = maybe[c] || HOLDS_ANY(c);
#endif
           end_grants(c) }
    :: atomic { holder_record[c] && known[c] && MAY_TIDY(c) -> holder_record[c] = false }
    od
}

/* What one client does with its layout of one file. */
proctype client(byte c; byte f)
{
    do
    /* It writes by itself, whether it reaches the server or not. */
    :: atomic { layout[AT(c, f)] -> assert(flag[f]) }
    :: atomic { c == 0 && queued == f + 1 -> assert(flag[f]); queued = 0 }
    :: atomic { reply[AT(c, f)] -> reply[AT(c, f)] = false; layout[AT(c, f)] = true }
    :: atomic { reply[AT(c, f)] && !answers[c] -> reply[AT(c, f)] = false }

    /* LAYOUTRETURN, which may be lost. */
    :: atomic { layout[AT(c, f)] && known[c] && answers[c] ->
           layout[AT(c, f)] = false;
           if
           :: !reply[AT(c, f)] -> grant[AT(c, f)] = false
           :: true
           fi }

    /* The answers to a recall that mean something: NOMATCHING_LAYOUT. All others leave the grant alone. */
    :: atomic { RECALLED(f) && grant[AT(c, f)] && answers[c] && known[c] && NOTHING_HELD(c, f) ->
           grant[AT(c, f)] = false }
#ifdef FAULT_ERROR_IS_RETURN
    :: atomic { RECALLED(f) && grant[AT(c, f)] && answers[c] && known[c] -> grant[AT(c, f)] = false }
#endif
    od
}

/* What happens to one client as a whole. */
proctype machine(byte c)
{
    do
    :: atomic { answers[c] -> answers[c] = false; was_silent[c] = ANY_RECALLED }
    :: atomic { !answers[c] -> answers[c] = true }

    /* It comes under a new client id: what it had it throws away, and waits for nothing. */
    :: atomic { answers[c] && !known[c] && !reply[AT(c, 0)] && !reply[AT(c, 1)] ->
           known[c] = true; throw_away(c) }
#ifdef FAULT_WHO_COMES_BACK_HOLDS_NOTHING
    :: atomic { answers[c] && known[c] && maybe[c] -> maybe[c] = false }
#endif

    /* It unmounts: it waits for its I/O, gives back all, and ends its id. Its next id begins anew, also at the disk. */
    :: atomic { answers[c] && known[c] && !reply[AT(c, 0)] && !reply[AT(c, 1)] && !(c == 0 && queued) && !fencing[c] ->
           drop_layouts(c); known[c] = false; maybe[c] = false; cut[c] = false; fenced[c] = false; end_grants(c) }

    /* Another verifier: its machine started anew, or there was no restart. The server cannot tell, and what the old
     * run was granted stays. */
    :: atomic { true ->
           throw_away(c); drop_replies(c);
           answers[c] = true; known[c] = true;
#ifdef FAULT_VERIFIER_IS_A_RESTART
           maybe[c] = false;
#else
           maybe[c] = maybe[c] || HOLDS_ANY(c);
#endif
           end_grants(c) }
    od
}

/* The server is gone and starts from its journal. A fence that was under way may work on, or not. */
inline forget_client(c)
{
    if
    :: fencing[c] -> cut_off(c)
    :: true
    fi;
    known[c] = false; fencing[c] = false; end_grants(c);
#ifdef FAULT_FORGET_HOLDERS
    maybe[c] = false
#else
    maybe[c] = holder_record[c]
#endif
}

/* The wish to release may be on record with the seal, or be forgotten: both are safe. */
inline read_seal(f)
{
    end_of_recall(f);
    if
    :: seal_record[f] == sealing -> state[f] = releasing /* undone; no grant was given */
    :: seal_record[f] == sealed && RECALLED(f)
    :: seal_record[f] != sealing -> state[f] = seal_record[f]
    fi
}

proctype crash()
{
    do
    :: atomic { true -> forget_client(0); forget_client(1); read_seal(0); read_seal(1) }
    od
}

init
{
    atomic {
        run file(0); run file(1);
        run holder(0, 0); run holder(0, 1); run holder(1, 0); run holder(1, 1);
        run client(0, 0); run client(0, 1); run client(1, 0); run client(1, 1);
        run machine(0); run machine(1); run crash()
    }
}
