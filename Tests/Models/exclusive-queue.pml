/*
 * Exclusive queue (protocol section 4.4): the line of section 4.2 says who is next and with which fence; whoever declares
 * the queue holds the lock. returned-token checks the line; here it does what it promises.
 *
 * What is modelled
 *   queue          its owner, a connection. A declaration by the owner is accepted, too.
 *   line           consumers in order, and its token: ready, or delivered to the first and kept by it. Each return makes
 *                  the fence larger.
 *   declaration    and, behind it on the claim channel, the consumer that is told of the queue's end (the watch). Both
 *                  travel to the broker, and the answers back; carried out at any time, once sent. A refusal closes that
 *                  channel.
 *   contender      WAITING: in line; delivered the token, it declares. HOLDING when both answers are there. REFUSED: it
 *                  tries again later, modelled as: as soon as it would not be refused; it stays in line. Release is a
 *                  deletion on the claim channel, and when that is answered the end of the line's channel. Giving up while
 *                  the declaration is under way waits for the answer.
 *   crash          the connection goes; the broker frees the queue and takes the consumer and its token out of the line:
 *                  each is one step, in any order and any time apart, also after what was still under way
 *   loss of place  the broker takes the token back and the contender out of the line (acknowledgement timeout). It is told.
 *                  A holder holds on.
 *   end of line    the line is deleted: nobody has a place, all are told; the next token has a larger fence
 *   cut            a loss of place of which nobody is told
 *   end of queue   an operator deletes the queue; who watches it is told, later
 *   not modelled   time: that a holder whose connection is gone, or that is cut off, gives up in time
 *
 * Checked
 *   exclusion      nobody else holds at a grant, unless it is about to be told that the queue is gone
 *   rising         fences of grants strictly increase
 *   no refusal     (off with -DREFUSALOK) a declaration is refused only after a fault: there is no poll on the way of a
 *                  release
 *   no notice      a holder is told that its queue is gone only after a fault
 *   -DCALM         from some moment on there are no faults; then nobody is left waiting
 *
 * Bounds: -DN contenders, -DLIVES connections each, -DJOINS waits each, and in all -DGIVEUPS, -DLOSSES of place, -DENDS of
 * the line, -DCUTS, -DDROPS of the queue.
 *
 * Switches
 *   -DLINEFIRST    a release closes the line's channel before the deletion is answered. Must be refuted.
 *   -DUNWATCHED    granted before the watch is answered. Must be refuted.
 *   -DNOWAIT       a session contends again while its own deletion is under way. Must be refuted.
 *   -DFORGET       giving up does not wait for the answer to the declaration. Must be refuted (-DCALM).
 *   -DHOLDON       told of the loss of its place while it declares, a contender takes the lock all the same, with the old
 *                  fence. Must be refuted.
 *   -DPIPELINE     a release is a deletion and the end of the channel, both written at once on the line's channel, while
 *                  that is open. The broker carries out one after the other; when it has closed the channel itself, neither,
 *                  and then the deletion is made again on the claim channel and its answer awaited. Must hold.
 *   -DPIPELINE -DCARELESS   then nothing is done. Must be refuted (-DCALM).
 *   -DPROVE        before the grant, and with the queue its own, it asks whether the token is still its own (by a companion,
 *                  section 4.2). Then fences rise under cuts, too; otherwise they need not.
 *   -DNORISING     fences are not checked
 */
#ifndef N
#define N 3
#endif
#ifndef LIVES
#define LIVES 2
#endif
#ifndef JOINS
#define JOINS 2
#endif
#ifndef GIVEUPS
#define GIVEUPS 1
#endif
#ifndef LOSSES
#define LOSSES 1
#endif
#ifndef ENDS
#define ENDS 0
#endif
#ifndef CUTS
#define CUTS 0
#endif
#ifndef DROPS
#define DROPS 0
#endif
#define NONE 0

mtype = { AWAY, WAITING, CLAIMING, REFUSED, HOLDING, LEAVING, DELETING };
#define IDLE 0
#define SENT 1
#define YES 2
#define NO 3

typedef Client {
    mtype state;
    byte life; byte joins;
    bool placed;                        /* it has a place in line, as far as it knows */
    byte fence;                         /* of the token that it was delivered */
    byte claim; byte watch; byte proof; byte deletion;  /* IDLE, SENT, or the answer */
    bool watching;                      /* its consumer is on the queue */
    bool notice;                        /* word of the queue's end is on its way */
    bool pipelined;                     /* the deletion is on the line's channel, and the end of that behind it */
    byte ghost;                         /* the connection before this one, while the broker has to clean up after it */
    bool ghostClaim, ghostDeletion, ghostOwns, ghostStands
};

Client client[N];
byte owner = NONE;                      /* a connection */
byte line[N * 2];
byte standing = 0;
byte token = NONE;                      /* NONE: ready; else the connection that has it */
byte next = 1;                          /* the fence of its next delivery */
byte highest = 0;                       /* the fence of the last grant */
byte faults = 0, giveups = 0, losses = 0, ends = 0, cuts = 0, drops = 0;
bool calm = false;
hidden byte i, k;

#define ME client[c]
#define CONNECTION (c * LIVES + ME.life + 1)
#ifdef REFUSALOK
#define CALMLY skip
#else
#define CALMLY assert(faults > 0)
#endif
#define HAS_GHOST (ME.ghostClaim || ME.ghostDeletion || ME.ghostOwns || ME.ghostStands)

inline leave_line(connection) {
    i = 0; k = 0;
    do :: i < standing -> if :: line[i] != connection -> line[k] = line[i]; k++ :: else fi; i++ :: else -> break od;
    standing = k;
    do :: k < N * 2 -> line[k] = NONE; k++ :: else -> break od;
    if :: token == connection -> token = NONE; next++ :: else fi
}

inline join() { line[standing] = CONNECTION; standing++; ME.placed = true; ME.state = WAITING }

inline leave() {
    leave_line(CONNECTION); ME.placed = false; ME.fence = 0; ME.claim = IDLE; ME.watch = IDLE; ME.proof = IDLE;
    ME.notice = false; ME.pipelined = false; ME.state = AWAY
}

inline delete() {
    ME.deletion = SENT; ME.state = DELETING;
#ifdef LINEFIRST
    leave_line(CONNECTION)
#elif defined(PIPELINE)
    ME.pipelined = ME.placed
#endif
}

inline grant() {
    i = 0;
    do :: i < N -> assert(i == c || client[i].state != HOLDING || client[i].notice); i++ :: else -> break od;
#ifndef NORISING
    assert(ME.fence > highest);
#endif
    highest = ME.fence;
    ME.claim = IDLE; ME.proof = IDLE; ME.state = HOLDING
}

/* The queue ends: its owner is told, if it watches. */
inline end_queue() {
    i = 0;
    do
    :: i < N ->
        if :: owner == i * LIVES + client[i].life + 1 && client[i].watching -> client[i].watching = false; client[i].notice = true
        :: else fi;
        i++
    :: else -> break
    od;
    owner = NONE
}

/* The contender a is told that it has no place in line any more. */
inline expel(a) {
    client[a].placed = false;
    if
#ifndef HOLDON
    :: client[a].state == CLAIMING -> client[a].state = LEAVING
#endif
    :: client[a].state == WAITING || client[a].state == REFUSED -> client[a].state = AWAY; client[a].fence = 0
    /* The broker has closed the channel and does not look at what comes on it. */
    :: client[a].state == DELETING && client[a].deletion == SENT && client[a].pipelined -> client[a].deletion = NO
    :: else
    fi
}

proctype Contender(byte c) {
end: do
    :: d_step { ME.state == AWAY && ME.joins < JOINS && ME.life < LIVES && ME.deletion == IDLE -> ME.joins++; join() }
#ifdef NOWAIT
    :: d_step { ME.state == DELETING && ME.deletion == SENT && ME.joins < JOINS ->
        ME.joins++; leave(); join() }
    :: d_step { ME.state != DELETING && ME.deletion == YES -> ME.deletion = IDLE }
#endif
    :: d_step { ME.state == WAITING && token == CONNECTION ->
        ME.fence = next; ME.state = CLAIMING; ME.claim = SENT; ME.watch = SENT }
#ifdef UNWATCHED
    :: d_step { ME.state == CLAIMING && ME.claim == YES && !ME.notice -> grant() }
#elif defined(PROVE)
    :: d_step { ME.state == CLAIMING && ME.claim == YES && ME.watch == YES && ME.proof == IDLE -> ME.proof = SENT }
    :: d_step { ME.state == CLAIMING && ME.proof == YES && !ME.notice -> grant() }
    :: d_step { ME.state == CLAIMING && ME.proof == NO && !ME.notice -> ME.proof = IDLE; ME.claim = IDLE; delete() }
#else
    :: d_step { ME.state == CLAIMING && ME.claim == YES && ME.watch == YES && !ME.notice -> grant() }
#endif
    :: d_step { ME.state == CLAIMING && ME.claim == NO -> ME.claim = IDLE; CALMLY; ME.state = REFUSED }
    /* The queue ended before the watch, or before the grant. */
    :: d_step { ME.state == CLAIMING && ME.claim == YES && (ME.watch == NO || ME.notice) ->
        ME.claim = IDLE; ME.watch = IDLE; ME.proof = IDLE; ME.notice = false; CALMLY; ME.state = REFUSED }
    :: d_step { ME.state == REFUSED && ME.watch == IDLE && (owner == NONE || owner == CONNECTION) ->
        ME.state = CLAIMING; ME.claim = SENT; ME.watch = SENT }
    :: d_step { ME.state == HOLDING && (ME.notice || ME.watch == NO) -> assert(faults > 0); leave() }
    :: d_step { ME.state == HOLDING -> delete() }
    :: d_step { ME.state == DELETING && ME.deletion == YES && !ME.pipelined -> ME.deletion = IDLE; leave() }
#ifdef CARELESS
    :: d_step { ME.state == DELETING && ME.deletion == NO -> ME.deletion = IDLE; leave() }
#else
    :: d_step { ME.state == DELETING && ME.deletion == NO -> ME.pipelined = false; ME.deletion = SENT }
#endif
    /* Giving up. */
    :: d_step { !calm && giveups < GIVEUPS && (ME.state == WAITING || ME.state == REFUSED) -> giveups++; leave() }
#ifdef FORGET
    :: d_step { !calm && giveups < GIVEUPS && ME.state == CLAIMING -> giveups++; leave_line(CONNECTION); ME.state = AWAY }
#else
    :: d_step { !calm && giveups < GIVEUPS && ME.state == CLAIMING -> giveups++; ME.state = LEAVING }
#endif
    :: d_step { ME.state == LEAVING && ME.claim == YES -> ME.claim = IDLE; ME.proof = IDLE; delete() }
    :: d_step { ME.state == LEAVING && ME.claim == NO -> ME.claim = IDLE; leave() }
    /* The broker takes the place in line away. */
    :: d_step { !calm && losses < LOSSES && token == CONNECTION ->
        losses++; faults++; leave_line(CONNECTION); expel(c) }
    :: d_step { !calm && cuts < CUTS && token == CONNECTION -> cuts++; faults++; leave_line(CONNECTION) }
    /* The connection goes. */
    :: d_step { !calm && ME.state != AWAY && ME.life + 1 < LIVES && !HAS_GHOST ->
        faults++; ME.ghost = CONNECTION; ME.ghostOwns = true; ME.ghostStands = true;
        ME.ghostClaim = (ME.claim == SENT); ME.ghostDeletion = (ME.deletion == SENT);
        ME.life++; ME.claim = IDLE; ME.watch = IDLE; ME.proof = IDLE; ME.watching = false; ME.notice = false; ME.deletion = IDLE;
        ME.pipelined = false; ME.placed = false; ME.fence = 0; ME.state = AWAY }
    od
}

proctype Broker(byte c) {
end: do
    :: d_step { token == NONE && standing > 0 && line[0] == CONNECTION -> token = line[0] }
    :: d_step { token == NONE && standing > 0 && line[0] == ME.ghost && ME.ghostStands -> token = line[0] }
    :: d_step { ME.claim == SENT ->
        if
        :: owner == NONE || owner == CONNECTION -> owner = CONNECTION; ME.claim = YES
        :: else -> ME.claim = NO; ME.watch = IDLE
        fi }
    :: d_step { ME.watch == SENT && ME.claim != SENT ->
        if :: owner == CONNECTION -> ME.watch = YES; ME.watching = true :: else -> ME.watch = NO fi }
#ifdef PROVE
    :: d_step { ME.proof == SENT -> ME.proof = (token == CONNECTION -> YES : NO) }
#endif
    :: d_step { ME.deletion == SENT ->
        if :: owner == CONNECTION -> end_queue() :: else fi;
        ME.deletion = YES }
    :: d_step { ME.deletion == YES && ME.pipelined -> leave_line(CONNECTION); ME.pipelined = false }
    /* What a connection that is gone had sent is carried out or not, before its end is. */
    :: d_step { ME.ghostClaim -> ME.ghostClaim = false; if :: owner == NONE -> owner = ME.ghost :: else fi }
    :: d_step { ME.ghostClaim -> ME.ghostClaim = false }
    :: d_step { ME.ghostDeletion -> ME.ghostDeletion = false; if :: owner == ME.ghost -> owner = NONE :: else fi }
    :: d_step { ME.ghostDeletion -> ME.ghostDeletion = false }
    :: d_step { ME.ghostOwns && !ME.ghostClaim && !ME.ghostDeletion ->
        ME.ghostOwns = false; if :: owner == ME.ghost -> owner = NONE :: else fi }
    :: d_step { ME.ghostStands -> ME.ghostStands = false; leave_line(ME.ghost) }
    od
}

#if ENDS + DROPS > 0
proctype Operator() {
end: do
    :: d_step { !calm && ends < ENDS && standing > 0 ->
        ends++; faults++; next++; token = NONE; k = 0;
        do :: k < N * 2 -> line[k] = NONE; k++ :: else -> break od;
        standing = 0; i = 0;
        do :: i < N -> client[i].ghostStands = false; expel(i); i++ :: else -> break od }
    :: d_step { !calm && drops < DROPS && owner != NONE -> drops++; faults++; end_queue() }
    od
}
#endif

#ifdef CALM
#define WAITS(c) (client[c].state != AWAY)
/* Nothing left to do, and somebody waits: stuck. */
proctype Calm() {
    calm = true;
    timeout ->
        i = 0;
        do :: i < N -> assert(!WAITS(i)); i++ :: else -> break od
}
#endif

init {
    atomic {
        byte c = 0;
        do
        :: c < N -> client[c].state = AWAY; run Contender(c); run Broker(c); c++
        :: else -> break
        od;
#if ENDS + DROPS > 0
        run Operator();
#endif
#ifdef CALM
        run Calm()
#endif
    }
}
