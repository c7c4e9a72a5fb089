/*
 * growing.pml - a file that grows under its seal: its reserve and its size, what two clients and the server write past
 * it, release, crash and restart. ./check model runs spin over all of it.
 *
 * Of recall and fence recall.pml has the detail: here a fence is one step, and works. The rule is an assertion
 * wherever blocks change hands and wherever a client writes. Beside it stands what a file is: never shorter than
 * somebody was told, and in it what was made a part of it and nothing else.
 *
 * Sizes are in blocks. Each guarded command below happens at once, and anything may happen between two of them; so
 * each writes one record of the journal, or has one effect. A client that the server hears of commits what it wrote
 * before it gives its layout back; one that is lost stays lost. docs/proof.md says what else is left out, and where
 * each command is in the engine.
 *
 * -DFAULT_... breaks the server in one place; spin must find it.
 */
#define CLIENTS 2
#define BLOCKS 3

/* What is in a block: zeros, what a client wrote (its number + 1), or these. */
#define PLAIN 3   /* written while there was no seal */
#define FOREIGN 4 /* another file's */
#define NOTHING 5 /* is to be there: it is no part of the file */

mtype = { open, sealing, sealed, recalling, releasing };

/* The disk. */
bool flag, mark;
byte length; /* so many blocks are the file's */
byte block[BLOCKS] = FOREIGN;

/* The journal. */
mtype record = open;
byte size_record, tail_record; /* the client + 1 that was let past the size last */
bool holder_record[CLIENTS];

/* The clients. What one that is lost had queued, nobody waits for. */
bool layout[CLIENTS];
bool lost[CLIENTS];
byte written[CLIENTS]; /* by its layout, up to there */
byte queued[CLIENTS];  /* a write to this block + 1 */

/* What the server has in memory. */
mtype state = open;
byte size, reserve;
bool made; /* the reserve */
bool grant[CLIENTS];
bool maybe[CLIENTS]; /* may hold something from before */
bool dirty;          /* what is past the size, by dirty_by */
byte dirty_by;       /* a client + 1, or 0: nobody who comes again */
byte writing;        /* for this client + 1, to block writing_to */
byte writing_to;
bool wrote;
byte answer; /* a size that is on record, and is to be told */

/* What somebody was told, and what is to be in the file. */
byte told;
byte wanted[BLOCKS] = NOTHING;

#define NOBODY         (!layout[0] && !layout[1] && !queued[0] && !queued[1])
#define SEEN           ((state == open || (state == releasing && !mark)) -> length : size)
#define IS_RIGHT(i)    (i >= SEEN || block[i] == wanted[i])
#define ON_RECORD      (size_record == size)
#define OWN_TAIL(c)    (grant[c] || (maybe[c] && tail_record == c + 1))
#define TAKEN(c)       OWN_TAIL(1 - c)
#define UNDER_SEAL     (state == sealed || state == recalling)

#ifdef FAULT_END_IS_EVERYBODYS
#define MAY_PASS(c)    (!dirty || dirty_by == c + 1)
#elif defined(FAULT_ZEROING_SKIPPED)
#define MAY_PASS(c)    (!TAKEN(c))
#else
#define MAY_PASS(c)    (!TAKEN(c) && (!dirty || dirty_by == c + 1))
#endif
#ifdef FAULT_TAIL_NOT_ON_RECORD
#define TAIL_ON_RECORD(c) true
#else
#define TAIL_ON_RECORD(c) (tail_record == c + 1)
#endif
#ifdef FAULT_WRITTEN_FOR_THE_LAST_RUN
#define TAIL_GIVEN_UP(c) true
#else
#define TAIL_GIVEN_UP(c) (tail_record == 0 || tail_record == c + 1)
#endif
#ifdef FAULT_TRUNCATE_BEFORE_LAST_RETURN
#define NOTHING_LEFT   (!maybe[0] && !maybe[1])
#else
#define NOTHING_LEFT   (!maybe[0] && !maybe[1] && !grant[0] && !grant[1])
#endif
#ifdef FAULT_ZEROED_BEFORE_THE_CUT
#define MAY_ZERO       true
#else
#define MAY_ZERO       ON_RECORD
#endif
#ifdef FAULT_OVERLAY_APPLIED_TWICE
#define MAY_CUT        true
#else
#define MAY_CUT        mark /* without it that is done, and the file may have gone on */
#endif

inline fill(from, to, value)
{
    i = from;
    do
    :: i < to -> block[i] = value; i++
    :: else -> break
    od;
    i = 0
}

/* Client c makes the file longer: what lies there is its own, or zeros. */
inline take_in(c, to)
{
    i = size;
    do
    :: i < to -> assert(block[i] == 0 || block[i] == c + 1); wanted[i] = block[i]; i++
    :: else -> break
    od;
    i = 0
}

inline move_size(to)
{
#ifdef FAULT_ANSWER_BEFORE_RECORD
    told = to; size = to
#else
    size = to; size_record = to; answer = to
#endif
}

inline record_size()
{
    if
    :: size_record > size -> wanted[size] = NOTHING; tail_record = 0 /* it was cut, by a block */
    :: else
    fi;
    size_record = size
}

inline soil(c)
{
    if
    :: dirty && dirty_by != c + 1 -> dirty_by = 0
    :: !dirty -> dirty = true; dirty_by = c + 1
    :: else
    fi
}

/* Sealing and releasing. */
proctype file()
{
    byte i;
end:
    do
    /* From the intent on its record says how long the file is. */
    :: atomic { state == open && length < BLOCKS ->
           size = length; state = sealing;
#ifndef FAULT_RESERVE_BEFORE_RECORD
           record = sealing; size_record = length
#endif
       }
    :: atomic { state == sealing && !mark -> mark = true }
    :: atomic { state == sealing && mark && !made ->
           assert(NOBODY);
           reserve = (size + 2 < BLOCKS -> size + 2 : BLOCKS);
           fill(size, reserve, 0);
           length = reserve; made = true }
    :: atomic { state == sealing && made && !flag -> flag = true }
    :: atomic { state == sealing && flag -> record = sealed; size_record = size; state = sealed; made = false }

    /* More than the reserve is wanted, or nobody writes any more, or whatever it is. */
#ifdef FAULT_GROWTH_UNDER_A_GRANT
    :: atomic { state == sealed && size == reserve && !writing && !maybe[0] && !maybe[1] ->
           record_size(); record = releasing; state = releasing; grant[0] = false; grant[1] = false }
#endif
    :: atomic { state == sealed -> state = recalling }
    :: atomic { state == recalling && NOTHING_LEFT && !writing ->
           record_size(); record = releasing; state = releasing; dirty = false; dirty_by = 0 }
    :: atomic { state == releasing && flag -> assert(NOBODY); flag = false }
    :: atomic { state == releasing && !flag && MAY_CUT && length > size ->
           assert(NOBODY);
           fill(size, length, FOREIGN);
           length = size }
    :: atomic { state == releasing && !flag && mark && length <= size -> mark = false }
    :: atomic { state == releasing && !flag && !mark ->
           record = open; size_record = 0; tail_record = 0; state = open; size = 0; reserve = 0 }

    /* Whoever writes to it when there is nothing left of a seal but its record. */
    :: atomic { (state == open || state == releasing) && !flag && !mark && length < BLOCKS ->
           block[length] = PLAIN; wanted[length] = PLAIN; length++; told = length }

    /* SETATTR cuts a block off, if nobody may write. */
    :: atomic { state == sealed && size > 0 && ON_RECORD && !answer && !writing &&
                !grant[0] && !grant[1] && !maybe[0] && !maybe[1] ->
           size--; dirty = true; dirty_by = 0;
           told = (told > size -> size : told) }
    :: atomic { UNDER_SEAL && !ON_RECORD -> record_size() }
    :: atomic { answer -> told = answer; answer = 0 }

    /* What was left past the size. */
    :: atomic { state == sealed && dirty && MAY_ZERO && !writing && !OWN_TAIL(0) && !OWN_TAIL(1) ->
           assert(flag);
           fill(size, reserve, 0); dirty = false; dirty_by = 0 }
    od
}

/* What the server does for one client. */
proctype holder(byte c)
{
    byte i;
end:
    do
    /* On record as a holder, and as who is let past the size; the layout then. */
    :: atomic { state == sealed && !lost[c] && !holder_record[c] -> holder_record[c] = true }
    :: atomic { state == sealed && !lost[c] && holder_record[c] && tail_record != c + 1 && MAY_PASS(c) &&
                ON_RECORD && !writing ->
           tail_record = c + 1 }
    :: atomic { state == sealed && !lost[c] && holder_record[c] && TAIL_ON_RECORD(c) && MAY_PASS(c) &&
                ON_RECORD && !writing && !layout[c] ->
           assert(flag && record == sealed);
           grant[c] = true; layout[c] = true; written[c] = size }

    /* LAYOUTCOMMIT, also of a client whose layout is of before a restart. */
    :: atomic { UNDER_SEAL && layout[c] && !lost[c] && OWN_TAIL(c) && written[c] > size && ON_RECORD && !answer ->
           take_in(c, written[c]); move_size(written[c]) }

    /* A WRITE through the server, at the end or a block after it. */
    :: atomic { state == sealed && !lost[c] && !OWN_TAIL(c) && MAY_PASS(c) && !TAIL_GIVEN_UP(c) && !writing ->
           tail_record = 0 }
    :: atomic { state == sealed && !lost[c] && !OWN_TAIL(c) && MAY_PASS(c) && TAIL_GIVEN_UP(c) && !writing &&
                size < reserve && ON_RECORD && !answer ->
           writing = c + 1; writing_to = size;
           if
           :: writing_to + 1 < reserve -> writing_to++
           :: true
           fi;
#ifdef FAULT_SIZE_BEFORE_DATA
           take_in(c, writing_to); wanted[writing_to] = writing; move_size(writing_to + 1)
#endif
       }
    :: atomic { writing == c + 1 && !wrote -> assert(flag); block[writing_to] = writing; wrote = true }
    :: atomic { wrote && writing == c + 1 ->
#ifndef FAULT_SIZE_BEFORE_DATA
           take_in(c, writing_to + 1); move_size(writing_to + 1);
#endif
           writing = 0; wrote = false; writing_to = 0 }

    /* It is given up, its lease being over; and fenced, for whatever reason. */
    :: atomic { lost[c] && grant[c] -> grant[c] = false; maybe[c] = true; soil(c) }
    :: atomic { UNDER_SEAL && lost[c] && maybe[c] ->
           layout[c] = false; queued[c] = 0; written[c] = 0; maybe[c] = false; holder_record[c] = false }
    od
}

/* What one client does. */
proctype client(byte c)
{
    byte at;
end:
    do
    /* It looks: nothing that somebody was told is gone, and nothing is there that is no part of the file. */
    :: atomic { !lost[c] -> assert(told <= SEEN && IS_RIGHT(0) && IS_RIGHT(1) && IS_RIGHT(2)) }
    /* It writes by itself, at the end or a block after it. */
    :: atomic { layout[c] && written[c] < reserve ->
           at = written[c];
           if
           :: at + 1 < reserve -> at++
           :: true
           fi;
           assert(flag);
           block[at] = c + 1; written[c] = at + 1; at = 0 }
    :: atomic { layout[c] && !lost[c] && grant[c] && written[c] <= size ->
           layout[c] = false; grant[c] = false; written[c] = 0 }
    /* It unmounts. */
    :: atomic { !lost[c] && holder_record[c] && written[c] <= size && writing != c + 1 ->
           layout[c] = false; grant[c] = false; written[c] = 0; maybe[c] = false; holder_record[c] = false }

    /* It reaches the server no more; it loses its state as well; what it had queued comes late. */
    :: atomic { layout[c] && !lost[c] -> lost[c] = true }
    :: atomic { layout[c] && lost[c] ->
           if
           :: written[c] < reserve -> queued[c] = written[c] + 1
           :: true
           fi;
           layout[c] = false; written[c] = 0 }
    :: atomic { queued[c] -> assert(flag); block[queued[c] - 1] = c + 1; queued[c] = 0 }
    od
}

/* The server is gone and starts from its journal; if there is something in it. */
proctype crash()
{
end:
    do
    :: atomic { state != open || holder_record[0] || holder_record[1] ->
           grant[0] = false; grant[1] = false; maybe[0] = holder_record[0]; maybe[1] = holder_record[1];
           writing = 0; writing_to = 0; wrote = false; answer = 0; made = false;
           state = (record == sealing -> releasing : record);
           size = size_record; reserve = (record == open -> 0 : length);
           dirty = (record == sealed); dirty_by = (record == sealed -> tail_record : 0);
#ifdef FAULT_RESERVE_FORGOTTEN
           size = (record == sealed -> length : size_record); size_record = size
#endif
       }
    od
}

init
{
    atomic {
        run file(); run holder(0); run holder(1); run client(0); run client(1); run crash()
    }
}
