/*
 * Exclusive queue (protocol section 4.4): whoever declares the queue holds the lock; the first in line tries, and is woken
 * by the end of the one before it.
 *
 * What is modelled
 *   queue          its owner, a connection. A declaration by the owner is accepted, too.
 *   line           consumers in order, and one message, the turn: ready, or delivered to the first and kept by it
 *   declaration,   each travels to the broker and its answer back; carried out at any time, once sent
 *   deletion
 *   contender      WAITING: in line; delivered the turn, it declares. HOLDING when that is accepted. REFUSED: it tries again
 *                  a little later, modelled as: as soon as it would not be refused. Release is a deletion, and when that is
 *                  answered the end of the place in line. Giving up while the declaration is under way waits for the answer.
 *   crash          the connection goes; the broker frees the queue and takes the consumer and its turn out of the line:
 *                  each is one step, in any order and any time apart, also after what was still under way
 *   loss of place  the broker takes a contender out of the line: a holder is told, and releases; or it is not told, as when
 *                  a cluster is cut apart
 *   not modelled   numbers (see fencing-register), seeds, time: that a holder whose connection is gone gives up in time.
 *
 * Checked
 *   exclusion      nobody else holds at a grant
 *   no refusal     (off with -DREFUSALOK) a declaration is refused only after a crash or a loss of place: there is no poll
 *                  on the way of a release
 *   -DCALM         from some moment on there are no faults; then nobody is left waiting
 *
 * Bounds: -DN contenders, -DLIVES connections each, -DJOINS waits each, -DGIVEUPS, -DLOSSES of place, in all.
 *
 * Switches, each must be refuted
 *   -DLINEFIRST    a release gives the place in line up before the queue is deleted
 *   -DNOWAIT       a session contends again while its own deletion is under way
 *   -DFORGET       giving up does not wait for the answer to the declaration (-DCALM)
 *   -DEATTURN      a holder acks the turn (-DCALM)
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
#define NONE 0
#define GONE 255

mtype = { AWAY, WAITING, CLAIMING, REFUSED, HOLDING, LEAVING, DELETING };
#define IDLE 0
#define SENT 1
#define YES 2
#define NO 3

typedef Client {
    mtype state;
    byte life; byte joins;
    byte claim; byte deletion;          /* IDLE, SENT, or the answer */
    byte ghost;                         /* the connection before this one, while the broker has to clean up after it */
    bool ghostClaim, ghostDeletion, ghostOwns, ghostStands
};

Client client[N];
byte owner = NONE;                      /* a connection */
byte line[N * 2];
byte standing = 0;
byte turn = NONE;                       /* NONE: ready; GONE: there is none; else the connection that has it */
byte faults = 0, giveups = 0, losses = 0;
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
    if :: turn == connection -> turn = NONE :: else fi
}

inline join() { line[standing] = CONNECTION; standing++; ME.state = WAITING }

inline leave() { leave_line(CONNECTION); ME.state = AWAY }

inline delete() {
    ME.deletion = SENT; ME.state = DELETING;
#ifdef LINEFIRST
    leave_line(CONNECTION)
#endif
}

inline grant() {
    i = 0;
    do :: i < N -> assert(i == c || client[i].state != HOLDING); i++ :: else -> break od;
    ME.state = HOLDING;
#ifdef EATTURN
    if :: turn == CONNECTION -> turn = GONE :: else fi
#endif
}

proctype Contender(byte c) {
end: do
    :: d_step { ME.state == AWAY && ME.joins < JOINS && ME.life < LIVES && ME.deletion == IDLE -> ME.joins++; join() }
#ifdef NOWAIT
    :: d_step { ME.state == DELETING && ME.deletion == SENT && ME.joins < JOINS ->
        ME.joins++; leave_line(CONNECTION); join() }
    :: d_step { ME.state != DELETING && ME.deletion == YES -> ME.deletion = IDLE }
#endif
    :: d_step { ME.state == WAITING && turn == CONNECTION -> ME.state = CLAIMING; ME.claim = SENT }
    :: d_step { ME.state == CLAIMING && ME.claim == YES -> ME.claim = IDLE; grant() }
    :: d_step { ME.state == CLAIMING && ME.claim == NO -> ME.claim = IDLE; CALMLY; ME.state = REFUSED }
    :: d_step { ME.state == REFUSED && (owner == NONE || owner == CONNECTION) -> ME.state = CLAIMING; ME.claim = SENT }
    :: d_step { ME.state == HOLDING -> delete() }
    :: d_step { ME.state == DELETING && ME.deletion == YES -> ME.deletion = IDLE; leave() }
    /* Giving up. */
    :: d_step { !calm && giveups < GIVEUPS && (ME.state == WAITING || ME.state == REFUSED) -> giveups++; leave() }
#ifdef FORGET
    :: d_step { !calm && giveups < GIVEUPS && ME.state == CLAIMING -> giveups++; leave() }
#else
    :: d_step { !calm && giveups < GIVEUPS && ME.state == CLAIMING -> giveups++; ME.state = LEAVING }
#endif
    :: d_step { ME.state == LEAVING && ME.claim == YES -> ME.claim = IDLE; delete() }
    :: d_step { ME.state == LEAVING && ME.claim == NO -> ME.claim = IDLE; leave() }
    /* The broker takes the place in line away. */
    :: d_step { !calm && losses < LOSSES && ME.state != AWAY -> losses++; faults++; leave_line(CONNECTION);
        if
        :: ME.state == HOLDING -> delete()
        :: ME.state == CLAIMING -> ME.state = LEAVING
        :: ME.state == WAITING || ME.state == REFUSED -> ME.state = AWAY
        :: else
        fi }
    :: d_step { !calm && losses < LOSSES && ME.state == HOLDING -> losses++; faults++; leave_line(CONNECTION) }
    /* The connection goes. */
    :: d_step { !calm && ME.state != AWAY && ME.life + 1 < LIVES && !HAS_GHOST ->
        faults++; ME.ghost = CONNECTION; ME.ghostOwns = true; ME.ghostStands = true;
        ME.ghostClaim = (ME.claim == SENT); ME.ghostDeletion = (ME.deletion == SENT);
        ME.life++; ME.claim = IDLE; ME.deletion = IDLE; ME.state = AWAY }
    od
}

proctype Broker(byte c) {
end: do
    :: d_step { turn == NONE && standing > 0 && line[0] == CONNECTION -> turn = line[0] }
    :: d_step { turn == NONE && standing > 0 && line[0] == ME.ghost && ME.ghostStands -> turn = line[0] }
    :: d_step { ME.claim == SENT ->
        if :: owner == NONE || owner == CONNECTION -> owner = CONNECTION; ME.claim = YES :: else -> ME.claim = NO fi }
    :: d_step { ME.deletion == SENT ->
        if :: owner == CONNECTION -> owner = NONE :: else fi;
        ME.deletion = YES }
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
#ifdef CALM
        run Calm()
#endif
    }
}
