/*
 * Single active consumer (protocol section 4.2): whoever has the largest number in the queue holds the lock, and surplus
 * tokens do no harm.
 *
 * What is modelled
 *   queue          tokens in order; each has a number and a nonce (0: a seed), is ready or delivered to a contender, and may
 *                  be marked redelivered
 *   line           the consumers, in order; only the first is delivered anything, at most PREFETCH unacked tokens
 *   publish        travels apart (publish connection), in order; its sender may give it up, and then it lands or does not
 *   contender      WAITING: delivered a token, it publishes the largest number + 1 with a fresh nonce; acks all but one
 *                  token of the largest number; is granted when its own arrives, not redelivered, with a number above all
 *                  others that this channel was delivered; else it publishes again. HOLDING: acks seeds and what is not
 *                  above its own; renews by publishing its number + 1; gives up when it is delivered anything redelivered
 *                  or a larger number. Release, giving up and crash are one step: the channel closes.
 *   seed           any contender may publish one at any time. Its number stands for a clock that is behind.
 *   not modelled   time: that a holder which is not told gives up by its clock in time.
 *
 * Checked
 *   rising         numbers of grants strictly increase
 *   exclusion      nobody else holds at a grant (not with -DPARTITIONS, where the old holder is not told)
 *   no false loss  (off with -DLOSSOK) a holder sees a reason to give up only after a partition or a publish that was given up
 *   -DCALM         from some moment on there are no faults; then the contenders do not get stuck before a grant
 *
 * Bounds: -DN contenders, -DJOINS channels each, -DPUBS publishes each, -DRENEWALS each, -DSEEDS in all, -DGIVEUPS publishes
 * given up, -DFIRST number in the queue at the start (0: the queue is empty), -DPARTITIONS: this often the broker returns
 * the active consumer's tokens, puts it at the end of the line and does not tell it (a cluster cut apart, up to 4.2).
 *
 * Switches, each must be refuted
 *   -DCANCELRELEASE  release is a cancel, then the tokens return     -DCANCELGIVEUP  so does a candidate that gives up
 *   -DTWOSTEPS       a broker for which a channel's end is two steps -DONENONCE      one nonce per contender
 *   -DTIE            a grant also when another number is as large    -DACKLARGEST    a candidate keeps no token
 *   -DNOACK          a candidate acks nothing (-DCALM)               -DKEEPTIES      it keeps all of the largest (-DCALM)
 *   -DSECONDHAND     an own token that is redelivered grants, too (-DPARTITIONS)
 *   -DDEAF           a holder acks whatever it is delivered (-DPARTITIONS)
 */
#ifndef N
#define N 2
#endif
#ifndef JOINS
#define JOINS 2
#endif
#ifndef PUBS
#define PUBS 1
#endif
#ifndef RENEWALS
#define RENEWALS 1
#endif
#ifndef SEEDS
#define SEEDS 1
#endif
#ifndef GIVEUPS
#define GIVEUPS 1
#endif
#ifndef FIRST
#define FIRST 3
#endif
#ifndef PARTITIONS
#define PARTITIONS 0
#endif
#define SEED 1
#define PREFETCH 3
#define SLOTS 7
#define NONE 255

mtype = { AWAY, WAITING, HOLDING, LEAVING };

typedef Token { byte number; byte nonce; byte to /* 0: ready, c+1: delivered to c */; bool seen; bool redelivered };
typedef Client {
    mtype state;
    byte largest;               /* of the other tokens that the channel was delivered */
    byte mine;                  /* nonce of the latest publish, 0: none is awaited */
    byte number;                /* of that publish; of a holder: of the token that the lease rests on */
    byte lease;                 /* nonce of that token */
    byte joins; byte published; byte renewals;
    bool seeded;
    byte flying;                /* publishes under way, with */
    byte flyNumber[2]; byte flyNonce[2]
};

Token queue[SLOTS];
byte length = 0;
byte line[N];
byte standing = 0;
Client client[N];
byte highest = 0;               /* number of the last grant */
byte seeds = 0, giveups = 0, partitions = 0;
bool calm = false, done = false;
hidden byte i, k, x;

#define ME client[c]
#define ANY(p) (p(0) || p(1) || p(2) || p(3) || p(4) || p(5) || p(6))
#define COUNT(p) (p(0) + p(1) + p(2) + p(3) + p(4) + p(5) + p(6))

#define IS_READY(i) (i < length && queue[i].to == 0)
#define IS_WITH_ME(i) (queue[i].to == c + 1)
#define IS_NEWS(i) (IS_WITH_ME(i) && !queue[i].seen)
#define IS_READ(i) (IS_WITH_ME(i) && queue[i].seen)
#define IS_LARGEST(i) (IS_READ(i) && queue[i].number == ME.largest)
#define IS_LEASE(i) (queue[i].nonce == ME.lease && queue[i].number == ME.number)
#define IS_OWN(i) (ME.mine != 0 && queue[i].nonce == ME.mine)

/* The awaited publish is still somewhere. */
#define IS_OWN_THERE(i) (i < length && IS_OWN(i))
#define OWN_FLIES (ME.flying > 0 && ME.flyNonce[0] == ME.mine || ME.flying > 1 && ME.flyNonce[1] == ME.mine)
#define AWAITS (ME.mine != 0 && (ANY(IS_OWN_THERE) || OWN_FLIES))

#if defined(NOACK)
#define CANDIDATE_ACKS(i) false
#elif defined(ACKLARGEST)
#define CANDIDATE_ACKS(i) IS_READ(i)
#elif defined(KEEPTIES)
#define CANDIDATE_ACKS(i) (IS_READ(i) && queue[i].number < ME.largest)
#else
#define CANDIDATE_ACKS(i) (IS_READ(i) && (queue[i].number < ME.largest || IS_LARGEST(i) && COUNT(IS_LARGEST) > 1))
#endif
#ifdef DEAF
#define HOLDER_ACKS(i) (IS_READ(i) && !IS_LEASE(i))
#else
#define HOLDER_ACKS(i) (IS_READ(i) && !IS_LEASE(i) && (queue[i].nonce == 0 || queue[i].number <= ME.number))
#endif
#define ACKS(i) (ME.state == WAITING && CANDIDATE_ACKS(i) || ME.state == HOLDING && HOLDER_ACKS(i))

/* x = the first slot for which p holds. */
#define FIND(p) x = 0; do :: p(x) -> break :: else -> x++ od

inline leave_line() {
    i = 0; k = 0;
    do :: i < standing -> if :: line[i] != c -> line[k] = line[i]; k++ :: else fi; i++ :: else -> break od;
    standing = k;
    do :: k < N -> line[k] = NONE; k++ :: else -> break od
}

inline requeue() {
    i = 0;
    do
    :: i < length ->
        if :: IS_WITH_ME(i) -> queue[i].to = 0; queue[i].seen = false; queue[i].redelivered = true :: else fi;
        i++
    :: else -> break
    od
}

inline forget() { ME.state = AWAY; ME.largest = 0; ME.mine = 0; ME.number = 0; ME.lease = 0 }

inline close_channel() { leave_line(); requeue(); forget() }

inline write(slot, a, b) {
    queue[slot].number = a; queue[slot].nonce = b; queue[slot].to = 0;
    queue[slot].seen = false; queue[slot].redelivered = false
}

/* Acked: slot x goes. */
inline remove() {
    length--;
    do
    :: x < length ->
        queue[x].number = queue[x+1].number; queue[x].nonce = queue[x+1].nonce; queue[x].to = queue[x+1].to;
        queue[x].seen = queue[x+1].seen; queue[x].redelivered = queue[x+1].redelivered;
        x++
    :: else -> break
    od;
    write(length, 0, 0)
}

inline fly(a, b) { ME.flyNumber[ME.flying] = a; ME.flyNonce[ME.flying] = b; ME.flying++ }

/* The first publish under way is no longer. */
inline arrive() {
    ME.flyNumber[0] = ME.flyNumber[1]; ME.flyNonce[0] = ME.flyNonce[1];
    ME.flyNumber[1] = 0; ME.flyNonce[1] = 0;
    ME.flying--
}

inline publish(a) {
    ME.published++;
#ifdef ONENONCE
    ME.mine = c * 16 + 1;
#else
    ME.mine = c * 16 + ME.published;
#endif
    fly(a, ME.mine)
}

inline grant() {
    assert(queue[x].number > highest);
#if PARTITIONS == 0
    i = 0;
    do :: i < N -> assert(i == c || client[i].state != HOLDING); i++ :: else -> break od;
#endif
    highest = queue[x].number;
    ME.state = HOLDING; ME.number = queue[x].number; ME.lease = ME.mine; ME.mine = 0;
    if :: calm -> done = true :: else fi
}

inline lose() {
#ifndef LOSSOK
    assert(partitions + giveups > 0);
#endif
    close_channel()
}

#ifdef TIE
#define WINS (queue[x].number >= ME.largest)
#else
#define WINS (queue[x].number > ME.largest)
#endif

/* The contender looks at the token in slot x. */
inline look() {
    queue[x].seen = true;
    if
    :: ME.state == WAITING && !IS_OWN(x) ->
        if :: queue[x].number > ME.largest -> ME.largest = queue[x].number :: else fi
#ifndef SECONDHAND
    :: ME.state == WAITING && IS_OWN(x) && queue[x].redelivered -> close_channel()
    :: ME.state == WAITING && IS_OWN(x) && !queue[x].redelivered ->
#else
    :: ME.state == WAITING && IS_OWN(x) ->
#endif
        if :: WINS -> grant() :: else fi
#ifndef DEAF
    :: ME.state == HOLDING && queue[x].redelivered -> lose()
    :: ME.state == HOLDING && !queue[x].redelivered && !IS_OWN(x) ->
        if :: queue[x].nonce != 0 && queue[x].number > ME.number -> lose() :: else fi
    :: ME.state == HOLDING && !queue[x].redelivered && IS_OWN(x) ->
#else
    :: ME.state == HOLDING && IS_OWN(x) ->
#endif
        ME.number = queue[x].number; ME.lease = ME.mine; ME.mine = 0            /* renewed */
    :: else
    fi
}

proctype Contender(byte c) {
end: do
    :: d_step { !done && ME.state == AWAY && (ME.joins < JOINS || calm) ->
        ME.state = WAITING; line[standing] = c; standing++;
        if :: !calm -> ME.joins++ :: else fi }
    :: d_step { !done && standing > 0 && line[0] == c && ANY(IS_READY) && COUNT(IS_WITH_ME) < PREFETCH ->
        FIND(IS_READY); queue[x].to = c + 1 }
    :: d_step { !done && (ME.state == WAITING || ME.state == HOLDING) && ANY(IS_NEWS) -> FIND(IS_NEWS); look() }
    :: d_step { !done && ANY(ACKS) -> FIND(ACKS); remove() }
    :: d_step { !done && ME.state == WAITING && ME.largest > 0 && (!AWAITS || ME.number <= ME.largest) &&
            ME.flying < 2 && (ME.published - ME.renewals < PUBS || calm) ->
        ME.number = ME.largest + 1; publish(ME.number) }
    :: d_step { !done && !calm && ME.state == HOLDING && ME.mine == 0 && ME.renewals < RENEWALS && ME.flying < 2 ->
        ME.renewals++; publish(ME.number + 1) }
    :: d_step { !done && ME.state != HOLDING && (seeds < SEEDS || calm && !ME.seeded && ME.state == WAITING) &&
            ME.flying < 2 ->
        if :: calm -> ME.seeded = true :: else -> seeds++ fi;
        fly(SEED, 0) }
    /* The network. */
    :: d_step { !done && ME.flying > 0 && length < SLOTS ->
        write(length, ME.flyNumber[0], ME.flyNonce[0]); length++; arrive() }
    :: d_step { !done && !calm && ME.flying > 0 && giveups < GIVEUPS -> giveups++; arrive() }
    :: d_step { !done && !calm && ME.mine != 0 && OWN_FLIES && giveups < GIVEUPS -> giveups++; ME.mine = 0 }
    /* Release, giving up, crash. In the calm, release only. */
#ifdef TWOSTEPS
    :: d_step { !done && (ME.state == HOLDING || ME.state == WAITING && !calm) -> leave_line(); ME.state = LEAVING }
#else
    :: d_step { !done && (ME.state == HOLDING || ME.state == WAITING && !calm) -> close_channel() }
#endif
#ifdef CANCELRELEASE
    :: d_step { !done && ME.state == HOLDING -> leave_line(); ME.state = LEAVING }
#endif
#ifdef CANCELGIVEUP
    :: d_step { !done && ME.state == WAITING && ME.largest > 0 -> leave_line(); ME.state = LEAVING }
#endif
    :: d_step { !done && ME.state == LEAVING -> requeue(); forget() }
#if PARTITIONS > 0
    :: d_step { !done && !calm && partitions < PARTITIONS && standing > 1 && line[0] == c ->
        partitions++; leave_line(); requeue(); line[standing] = c; standing++ }
#endif
    od
}

#ifdef CALM
/* Nothing left to do, and nobody was granted: stuck. */
proctype Calm() {
    calm = true;
    timeout -> assert(done)
}
#endif

init {
    atomic {
        byte c = 0;
        do
        :: c < N -> client[c].state = AWAY; line[c] = NONE; run Contender(c); c++
        :: else -> break
        od;
#if FIRST > 0
        write(0, FIRST, 0); length = 1;
#endif
#ifdef CALM
        run Calm()
#endif
    }
}
