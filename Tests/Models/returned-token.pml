/*
 * Returned token (protocol section 4.2): the line of the single active consumer. The first token that a channel is
 * delivered is the lock; to close the channel is to return it.
 *
 * What is modelled
 *   queue          what came back stands in front of what was never delivered, in the order in which it had been
 *                  delivered; the broker counts the returns of each message. A nack puts a message behind all that is
 *                  ready (RabbitMQ up to 4.2), with -DNACKHEAD behind what came back (4.3)
 *   line           the consumers, in order; only the first is delivered anything, at most PREFETCH unacknowledged
 *   publish        travels apart and lands at any time later, also after its sender's end, or never
 *   contender      WAITING: its first token grants, with the fence number + count. It may publish a token at any time:
 *                  the clock's number, fresh nonce. HOLDING: acknowledges every other token. Release, giving up and
 *                  crash are one step: the channel closes. A waiter and a holder acknowledge what is no token.
 *   renewal        -DRENEW=1: the token is put back by nack and has to come again, before anything else
 *                  2: a message that is no token (the companion), kept beside the token, is put back and has to come again
 *                  3: the exchange: a token is published; delivered, it takes the old one's place: all that was delivered
 *                     before it is acknowledged, the old one last. The fence stays.
 *                  What comes again has to have the count that was, plus one. A token that is exchanged for has to come
 *                  for the first time.
 *   after          every token carries a number: 0 for a seed, in an exchange the fence of the grant (before the grant: of
 *                  the first token) of who published it. Whoever has a token has lost its place when it is delivered
 *                    a token whose AFTER is above its own fence: somebody was first later. It acknowledges the token that
 *                    it holds, no other, and closes the channel
 *                    its own again: the first it had, or a returned one whose AFTER is its own fence, for that it published
 *                    itself. It closes the channel and acknowledges nothing
 *                  Every other token is a surplus, returned or not, whatever its number.
 *   -DGRANTWAITS   a token that has come back (in the protocol: often) grants only when it has been exchanged for; with
 *                  its own fence, not with the new one's. The grant is as old as the request for the new token: whoever
 *                  lost its place since is no better than a holder that is cut off
 *   -DLATEACK      acknowledgements travel, in order; the end of the channel may overtake them
 *   lost place     the broker returns the active consumer's deliveries and moves it to the end of the line (a cluster cut
 *                  apart) or takes it off the line (its channel is dead), and it is not told
 *   operator       purges what is ready; deletes the queue, upon which nobody is in line; a policy drops what is first
 *   clock          one for all hosts: what is published later has a larger number, above every count. -DSKEW: or, by a clock
 *                  that is behind, the smallest number above what the channel was granted
 *   not modelled   time: that a holder which is not told gives up by its clock in time. Deliveries on their way.
 *
 * Checked
 *   rising         fences of grants in line strictly increase
 *   exclusion      nobody else who has its place holds at a grant
 *   proof          a renewal, or an exchange before the grant, that succeeds proves that nobody had been granted since
 *                  when it was sent
 *   no false loss  whoever takes its place for lost has lost it, or an operator or a policy interfered
 *   -DCALM         from some moment on there are no faults; then a wanted lock is granted
 *
 * Bounds: -DN, and, each contender: -DJOINS channels, -DPUBS publishes, -DRENEWALS; in all: -DLOSTS lost publishes, -DCUTS
 * lost places, -DPURGES, -DDELETIONS, -DPOLICY drops. -DTIMELY: the operator acts only when no token is under way.
 *
 * Switches, see `run` for what each has to do
 *   -DLARGEST   a holder keeps the token with the larger fence    -DNOACK      it acknowledges no other token
 *   -DCANCEL    release is a cancel, then the return              -DANYCOUNT   a renewal needs no count
 *   -DOTHER     a renewal succeeds with whatever comes            -DNOCOUNT    the fence is the number alone
 *   -DEAGER     an exchange acknowledges the old token before what came between
 *   -DNEWFENCE  a grant that waited takes the new token's fence   -DNOSEED     nobody ever seeds
 *   -DNOAFTER   no token tells who was first later      -DCURRENT  its own token is the one that it has now, no other
 *   -DNOFIRST   its first token is not known again      -DNOEQUAL  one that it published is not known again
 *   -DWARY      instead of AFTER: a returned token with a fence above its own
 *   -DTAIL      what comes back goes behind what is ready         -DNORISING   fences are not checked
 *   -DONEBYONE  deliveries are steps of their own, so that a      -DPATIENT    another token that comes during a renewal
 *               channel can end between two                                    by nack is no reason to give up
 */
#ifndef N
#define N 3
#endif
#ifndef JOINS
#define JOINS 1
#endif
#ifndef PUBS
#define PUBS 1
#endif
#ifndef RENEWALS
#define RENEWALS 1
#endif
#ifndef RENEW
#define RENEW 0
#endif
#ifndef LOSTS
#define LOSTS 0
#endif
#ifndef CUTS
#define CUTS 0
#endif
#ifndef PURGES
#define PURGES 0
#endif
#ifndef DELETIONS
#define DELETIONS 0
#endif
#ifndef POLICY
#define POLICY 0
#endif
#ifndef FIRST
#define FIRST 1                 /* tokens in the queue at the start */
#endif
#ifndef PREFETCH
#define PREFETCH 3
#endif
#define SLOTS 6
#define TICK 16                 /* one of the clock; a return adds 1 */
#define TOKEN 1
#define COMPANION 2

/* EXCHANGING: has its token, and waits for the one to exchange it for before the grant. */
mtype = { AWAY, WAITING, EXCHANGING, HOLDING, LEAVING };

typedef Message {
    byte kind; byte number; byte count; byte nonce; byte after; byte to; bool seen;
#ifdef LATEACK
    byte ack                    /* its place among the acknowledgements under way on the channel, 0: none */
#endif
};
typedef Client {
    mtype state;
    bool lost;                  /* its place, and it does not know */
    bool cut; bool late;        /* its place, since its first token; since it asked for another before the grant */
    byte nonce; byte count;     /* the token that it holds, as it came last */
    byte first; byte fence;     /* its first token: nonce, fence */
    byte minted;                /* nonce of its own token that is awaited, 0: none */
    bool arrived;               /* that one is here, and is to take the old one's place */
    bool nacking;               /* a nack on its way to the broker */
    bool renewing; bool alone;  /* nobody else had been granted when the renewal was sent */
    byte pn; byte pc;           /* the companion: nonce, count */
    byte joins; byte published; byte renewals; byte calmly;
    byte flying; byte flyKind[2]; byte flyNumber[2]; byte flyNonce[2]; byte flyAfter[2]
};

Message ready[SLOTS];
byte nready = 0, nreturned = 0;
Message out[SLOTS];             /* in the order of delivery */
byte nout = 0;
byte line[N];
byte standing = 0;
Client client[N];
byte clock = 1;
byte top = 0;                   /* the last grant in line */
byte losts = 0, cuts = 0, purges = 0, deletions = 0, drops = 0;
bool calm = false, done = false;
hidden byte i, k, x, tk, tn, tc, to_, ta, c_;

#define ME client[c]
#define ANY(p) (p(0) || p(1) || p(2) || p(3) || p(4) || p(5))
#define COUNT(p) (p(0) + p(1) + p(2) + p(3) + p(4) + p(5))
#ifdef LATEACK
#define UNACKED(i) (out[i].ack == 0)
#else
#define UNACKED(i) true
#endif
#define MINE(i) (i < nout && out[i].to == c + 1)
#define NEWS(i) (MINE(i) && !out[i].seen)
#define READ(i) (MINE(i) && out[i].seen && UNACKED(i))
#define IS_COMPANION(i) (READ(i) && out[i].kind == COMPANION && ME.pn != 0 && out[i].nonce == ME.pn)
#define IS_STRAY(i) (READ(i) && out[i].kind == COMPANION && !(ME.pn != 0 && out[i].nonce == ME.pn))
#define IS_HELD(i) (READ(i) && out[i].kind == TOKEN && out[i].nonce == ME.nonce)
#define IS_NEXT(i) (ME.arrived && READ(i) && out[i].kind == TOKEN && out[i].nonce == ME.minted)
#define IS_SURPLUS(i) (READ(i) && out[i].kind == TOKEN && !IS_HELD(i) && !IS_NEXT(i))
#define IS_LEASE(i) (MINE(i) && out[i].kind == TOKEN && out[i].nonce == ME.nonce)
#define IS_PUT(i) (MINE(i) && out[i].kind == COMPANION && out[i].nonce == ME.pn)
#define OWN_READY(i) (i < nready && ready[i].kind == TOKEN && ready[i].nonce == ME.minted)
#define OWN_OUT(i) (i < nout && out[i].kind == TOKEN && out[i].nonce == ME.minted)
#define OWN_FLIES (ME.flying > 0 && ME.flyNonce[0] == ME.minted || ME.flying > 1 && ME.flyNonce[1] == ME.minted)
#define AWAITS (ME.minted != 0 && (OWN_FLIES || ANY(OWN_READY) || ANY(OWN_OUT)))
#define TOKENS_FLY(a) (client[a].flying > 0 && client[a].flyKind[0] == TOKEN || \
    client[a].flying > 1 && client[a].flyKind[1] == TOKEN)
#if N == 3
#define NOTHING_FLIES (client[0].flying + client[1].flying + client[2].flying == 0)
#define NO_TOKEN_FLIES !(TOKENS_FLY(0) || TOKENS_FLY(1) || TOKENS_FLY(2))
#else
#define NOTHING_FLIES (client[0].flying + client[1].flying == 0)
#define NO_TOKEN_FLIES !(TOKENS_FLY(0) || TOKENS_FLY(1))
#endif
#ifdef TIMELY
#define OPERATOR NO_TOKEN_FLIES
#else
#define OPERATOR true
#endif
#define FIND(p) x = 0; do :: p(x) -> break :: else -> x++ od

#ifdef NOACK
#define HOLDER_ACKS(i) IS_STRAY(i)
#else
#define HOLDER_ACKS(i) (IS_SURPLUS(i) || IS_STRAY(i))
#endif
#define ACKS(i) ((ME.state == HOLDING || ME.state == EXCHANGING) && HOLDER_ACKS(i) || ME.state == WAITING && IS_STRAY(i))

inline clear(m) {
    m.kind = 0; m.number = 0; m.count = 0; m.nonce = 0; m.after = 0; m.to = 0; m.seen = false;
#ifdef LATEACK
    m.ack = 0
#endif
}
inline move(a, b) {
    a.kind = b.kind; a.number = b.number; a.count = b.count; a.nonce = b.nonce; a.after = b.after;
    a.to = b.to; a.seen = b.seen;
#ifdef LATEACK
    a.ack = b.ack
#endif
}
inline hold(m) { tk = m.kind; tn = m.number; tc = m.count; to_ = m.nonce; ta = m.after }
inline fill(m, who) {
    m.kind = tk; m.number = tn; m.count = tc; m.nonce = to_; m.after = ta; m.to = who; m.seen = false;
#ifdef LATEACK
    m.ack = 0
#endif
}

/* out[x] goes, into the hand. */
inline take_out() {
    hold(out[x]); nout--; i = x;
    do :: i < nout -> move(out[i], out[i+1]); i++ :: else -> break od;
    clear(out[nout])
}

/* out[x] is acknowledged. */
inline acknowledge() {
#ifdef LATEACK
    k = 1; i = 0;
    do :: i < nout -> if :: out[i].to == c + 1 && out[i].ack >= k -> k = out[i].ack + 1 :: else fi; i++ :: else -> break od;
    out[x].ack = k
#else
    take_out()
#endif
}

/* The first that is ready goes, into the hand. */
inline take_ready() {
    hold(ready[0]); nready--; i = 0;
    do :: i < nready -> move(ready[i], ready[i+1]); i++ :: else -> break od;
    clear(ready[nready]);
    if :: nreturned > 0 -> nreturned-- :: else fi
}

/* The hand goes to place k of what is ready. */
inline put(place) {
    assert(nready < SLOTS);
    k = place; i = nready;
    do :: i > k -> move(ready[i], ready[i-1]); i-- :: else -> break od;
    fill(ready[k], 0); nready++
}

inline give_back() {
#ifdef TAIL
    put(nready)
#else
    put(nreturned); nreturned++
#endif
}

inline return_all() {
    x = 0;
    do
    :: x < nout -> if :: out[x].to == c + 1 -> take_out(); tc++; give_back() :: else -> x++ fi
    :: else -> break
    od
}

inline leave_line() {
    i = 0; k = 0;
    do :: i < standing -> if :: line[i] != c -> line[k] = line[i]; k++ :: else fi; i++ :: else -> break od;
    standing = k;
    do :: k < N -> line[k] = N; k++ :: else -> break od
}

/* Whoever is first is delivered what is ready, as far as the prefetch allows: in the same step of the queue, always. */
inline serve() {
#ifdef ONEBYONE
    skip
#else

    if :: standing > 0 -> c_ = line[0] + 1 :: else -> c_ = 0 fi;
    x = 0; i = 0;
    do :: i < nout -> if :: out[i].to == c_ -> x++ :: else fi; i++ :: else -> break od;
    do
    :: c_ > 0 && nready > 0 && x < PREFETCH -> assert(nout < SLOTS); take_ready(); fill(out[nout], c_); nout++; x++
    :: else -> break
    od;
    skip
#endif
}

inline forget() {
    ME.state = AWAY; ME.lost = false; ME.cut = false; ME.late = false; ME.nonce = 0; ME.count = 0; ME.first = 0;
    ME.fence = 0; ME.minted = 0;
    ME.arrived = false; ME.nacking = false; ME.renewing = false; ME.alone = false; ME.pn = 0; ME.pc = 0
}

inline close_channel() { leave_line(); return_all(); forget(); serve() }

inline fly(kind, number, nonce) {
    ME.flyKind[ME.flying] = kind; ME.flyNumber[ME.flying] = number; ME.flyNonce[ME.flying] = nonce;
    ME.flyAfter[ME.flying] = (kind == TOKEN -> ME.fence : 0); ME.flying++
}
inline arrive() {
    ME.flyKind[0] = ME.flyKind[1]; ME.flyNumber[0] = ME.flyNumber[1]; ME.flyNonce[0] = ME.flyNonce[1];
    ME.flyAfter[0] = ME.flyAfter[1];
    ME.flyKind[1] = 0; ME.flyNumber[1] = 0; ME.flyNonce[1] = 0; ME.flyAfter[1] = 0; ME.flying--
}
inline count_publish() { if :: calm -> ME.calmly++ :: else -> ME.published++ fi }
#define FRESH (c * 64 + 1 + ME.published + 8 * ME.calmly)
#define MAY_PUBLISH (ME.flying < 2 && (calm && ME.calmly < 3 || !calm && ME.published < PUBS))

inline publish_token() {
    count_publish(); ME.minted = FRESH; clock++;
    assert(clock < 15);
    fly(TOKEN, TICK * clock, ME.minted)
}

/* By a clock that is behind. */
inline publish_low() {
    count_publish(); ME.minted = FRESH; k = ME.fence + 1;
    if :: k / TICK > clock -> clock = k / TICK :: else fi;
    fly(TOKEN, k, ME.minted)
}

#ifdef NOCOUNT
#define FENCE(m) m.number
#else
#define FENCE(m) (m.number + m.count)
#endif
#define PLUS_ONE(was) (out[x].count == was + 1)

inline take_token() {
    ME.nonce = out[x].nonce; ME.count = out[x].count; ME.minted = 0;
    ME.first = out[x].nonce; ME.fence = FENCE(out[x]);
    ME.cut = false; ME.late = false
}

/* Whoever lost its place while it waited for the exchange is no better than a holder that is cut off. */
inline grant() {
    ME.state = HOLDING;
    if
    :: standing > 0 && line[0] == c && !ME.late ->
        ME.lost = false;
#ifndef NORISING
        assert(ME.fence > top);
#endif
        i = 0;
        do :: i < N -> assert(i == c || client[i].state != HOLDING || client[i].lost); i++ :: else -> break od;
        top = ME.fence;
        if :: calm -> done = true :: else fi
    :: else
    fi
}

inline renew() {
    ME.renewals++; ME.renewing = true; ME.alone = (ME.fence == top)
}
/* Before the grant. */
inline ask() { ME.late = false; ME.alone = (ME.fence > top) }
inline renewed() { ME.renewing = false; assert(ME.alone); ME.alone = false }

/* No false loss: whoever takes its place for lost has lost it, or the operator interfered. */
#if RENEW == 1
#define NO_FALSE_LOSS skip      /* what it puts back comes behind others */
#else
#define NO_FALSE_LOSS assert(ME.cut || purges + deletions + drops > 0)
#endif

/* Its own token again, as it was first or as it was exchanged since. */
#if defined(CURRENT)
#define AGAIN(m) (m.nonce == ME.nonce)
#elif defined(NOFIRST)
#define AGAIN(m) (m.nonce == ME.nonce || m.after == ME.fence && m.count > 0)
#elif defined(NOEQUAL)
#define AGAIN(m) (m.nonce == ME.nonce || m.nonce == ME.first)
#else
#define AGAIN(m) (m.nonce == ME.first || m.after == ME.fence && m.count > 0)
#endif

/* A token that shows that somebody was first later. */
#if defined(WARY)
#define OVERTAKES(m) (m.count > 0 && FENCE(m) > ME.fence)
#elif defined(NOAFTER)
#define OVERTAKES(m) false
#else
#define OVERTAKES(m) (m.after > ME.fence)
#endif

/* Its own token is out of date, and nobody may be granted with it. Then the channel is closed. */
inline make_way() {
    x = 0;
    do :: x < nout && !IS_HELD(x) -> x++ :: else -> break od;
    if :: x < nout -> acknowledge() :: else fi;
    forget(); ME.state = LEAVING; serve()
}

/* The contender looks at out[x]. */
inline look() {
    out[x].seen = true;
    if
    :: ME.state == WAITING && out[x].kind == TOKEN ->
        take_token(); ME.lost = false;
#ifdef GRANTWAITS
        if :: out[x].count > 0 -> ME.state = EXCHANGING :: else -> grant() fi
#else
        grant()
#endif
    :: (ME.state == HOLDING || ME.state == EXCHANGING) && out[x].kind == TOKEN && AGAIN(out[x]) ->
#ifdef ANYCOUNT
        if :: RENEW == 1 && ME.renewing -> ME.count = out[x].count; renewed()
#else
        if :: RENEW == 1 && ME.renewing && PLUS_ONE(ME.count) -> ME.count = out[x].count; renewed()
#endif
        :: else -> NO_FALSE_LOSS; close_channel()
        fi
    :: (ME.state == HOLDING || ME.state == EXCHANGING) && out[x].kind == TOKEN && !AGAIN(out[x]) ->
        if
        :: (RENEW == 3 || ME.state == EXCHANGING) && ME.minted == out[x].nonce && out[x].count == 0 -> ME.arrived = true
        :: else ->
            if
#ifdef OTHER
            :: RENEW == 1 && ME.renewing -> ME.nonce = out[x].nonce; ME.count = out[x].count; renewed()
#elif !defined(PATIENT)
            :: RENEW == 1 && ME.renewing -> close_channel()
#endif
            :: OVERTAKES(out[x]) -> NO_FALSE_LOSS; make_way()
#ifdef LARGEST
            :: !ME.renewing && FENCE(out[x]) > ME.fence ->
                ME.nonce = out[x].nonce; ME.count = out[x].count
#endif
            :: else
            fi
        fi
    :: ME.state == HOLDING && out[x].kind == COMPANION ->
        if
        :: RENEW == 2 && ME.renewing && out[x].nonce == ME.pn ->
#ifdef ANYCOUNT
            ME.pc = out[x].count; renewed()
#else
            if :: PLUS_ONE(ME.pc) -> ME.pc = out[x].count; renewed() :: else -> close_channel() fi
#endif
        :: RENEW == 2 && !ME.renewing && ME.pn == 0 -> ME.pn = out[x].nonce; ME.pc = out[x].count
        :: else
        fi
    :: else
    fi
}

/* The token that was awaited takes the old one's place. A broker that has given that away ignores what it is told of it. */
inline exchange() {
    x = 0;
    do :: x < nout && !IS_HELD(x) -> x++ :: else -> break od;
    if :: x < nout -> acknowledge() :: else fi;
    if
    :: ME.state == EXCHANGING ->
#ifdef NEWFENCE
        FIND(IS_NEXT); ME.fence = FENCE(out[x]);
#endif
        grant();
#if !defined(NORISING) && !defined(NEWFENCE)
        assert(ME.alone);
#endif
        ME.alone = false
    :: else -> renewed()
    fi;
    ME.nonce = ME.minted; ME.count = 0; ME.minted = 0; ME.arrived = false; serve()
}

proctype Contender(byte c) {
end: do
    :: d_step { !done && ME.state == AWAY && (ME.joins < JOINS || calm) ->
        ME.state = WAITING; line[standing] = c; standing++;
        if :: !calm -> ME.joins++ :: else fi;
        serve() }
#ifdef ONEBYONE
    :: d_step { !done && standing > 0 && line[0] == c && nready > 0 && COUNT(MINE) < PREFETCH && nout < SLOTS ->
        take_ready(); fill(out[nout], c + 1); nout++ }
#endif
    :: d_step { !done && ME.state != AWAY && ME.state != LEAVING && ANY(NEWS) -> FIND(NEWS); look() }
    :: d_step { !done && ANY(ACKS) -> FIND(ACKS); acknowledge(); serve() }
#ifdef LATEACK
#define FIRST_ACK(i) (MINE(i) && out[i].ack == 1)
    :: d_step { !done && ANY(FIRST_ACK) ->
        FIND(FIRST_ACK); take_out(); i = 0;
        do :: i < nout -> if :: out[i].to == c + 1 && out[i].ack > 0 -> out[i].ack-- :: else fi; i++ :: else -> break od;
        serve() }
#endif
#ifndef NOSEED
#define MAY_SEED (ME.state == WAITING && !ANY(NEWS) && MAY_PUBLISH && (!calm || NOTHING_FLIES && nready == 0))
    :: d_step { !done && MAY_SEED -> publish_token() }
#ifdef SKEW
    :: d_step { !done && MAY_SEED -> publish_low() }
#endif
#endif
#ifdef GRANTWAITS
/* Only once all that came with the token has been looked at: what is published before may be in the way of the next. */
#define MAY_ASK (ME.state == EXCHANGING && !ANY(NEWS) && !ME.arrived && !AWAITS && ME.flying < 2 && \
    (calm && ME.calmly < 6 || !calm && ME.published < PUBS))
    :: d_step { !done && MAY_ASK -> ask(); publish_token() }
#ifdef SKEW
    :: d_step { !done && MAY_ASK -> ask(); publish_low() }
#endif
#endif
#if RENEW == 1
    :: d_step { !done && !calm && ME.state == HOLDING && !ME.renewing && ME.renewals < RENEWALS &&
            !ANY(IS_SURPLUS) && !ANY(IS_STRAY) ->
        renew(); ME.nacking = true }
#define IS_NACKED IS_LEASE
#elif RENEW == 2
    :: d_step { !done && !calm && ME.state == HOLDING && ME.pn == 0 && MAY_PUBLISH -> count_publish(); fly(COMPANION, 0, FRESH) }
    :: d_step { !done && !calm && ME.state == HOLDING && !ME.renewing && ME.renewals < RENEWALS && ME.pn != 0 ->
        renew(); ME.nacking = true }
#define IS_NACKED IS_PUT
#elif RENEW == 3
#define MAY_RENEW (!calm && ME.state == HOLDING && ME.minted == 0 && ME.renewals < RENEWALS && ME.flying < 2)
    :: d_step { !done && MAY_RENEW -> renew(); publish_token() }
#ifdef SKEW
    :: d_step { !done && MAY_RENEW -> renew(); publish_low() }
#endif
#endif
#if RENEW == 1 || RENEW == 2
    :: d_step { !done && ME.nacking -> ME.nacking = false;
        if
        :: ANY(IS_NACKED) -> FIND(IS_NACKED); take_out(); tc++;
#ifdef NACKHEAD
            put(nreturned); nreturned++
#else
            put(nready)
#endif
        :: else                                         /* the broker knows no such delivery */
        fi;
        serve() }
#endif
#if RENEW == 3 || defined(GRANTWAITS)
#ifdef EAGER
    :: d_step { !done && ME.arrived -> exchange() }
#else
    :: d_step { !done && ME.arrived && !ANY(IS_SURPLUS) -> exchange() }
#endif
#endif
    /* The network. */
    :: d_step { !done && ME.flying > 0 && nready + nout < SLOTS ->
        tk = ME.flyKind[0]; tn = ME.flyNumber[0]; tc = 0; to_ = ME.flyNonce[0];
        ta = ME.flyAfter[0]; put(nready); arrive(); serve() }
    :: d_step { !done && !calm && ME.flying > 0 && losts < LOSTS -> losts++; arrive() }
    /* Release, giving up, crash, and the end of a lease that was not told. In the calm, not giving up. */
#ifdef CANCEL
    :: d_step { !done && ME.state == HOLDING -> leave_line(); ME.state = LEAVING; serve() }
#endif
    :: d_step { !done && (ME.state == HOLDING || (ME.state == WAITING || ME.state == EXCHANGING) && (!calm || ME.lost)) ->
        close_channel() }
    :: d_step { !done && ME.state == LEAVING -> close_channel() }
    /* A lost place: at the end of the line, or in it no more. */
    :: d_step { !done && !calm && cuts < CUTS && standing > 1 && line[0] == c && ME.state != LEAVING ->
        cuts++; leave_line(); return_all(); line[standing] = c; standing++;
        ME.cut = true; ME.late = true;
        ME.lost = (ME.state == HOLDING || ME.state == EXCHANGING); serve() }
    :: d_step { !done && !calm && cuts < CUTS && standing > 0 && line[0] == c && ME.state != LEAVING ->
        cuts++; leave_line(); return_all(); ME.lost = true; ME.cut = true; ME.late = true; serve() }
    od
}

proctype Operator() {
end: do
    :: d_step { !done && !calm && purges < PURGES && nready > 0 && OPERATOR ->
        purges++;
        do :: nready > 0 -> nready--; clear(ready[nready]) :: else -> break od;
        nreturned = 0 }
    :: d_step { !done && !calm && deletions < DELETIONS && OPERATOR ->
        i = 0;
        do :: nready > 0 -> nready--; clear(ready[nready]) :: else -> break od;
        do :: nout > 0 -> nout--; clear(out[nout]) :: else -> break od;
        do :: i < N -> line[i] = N; client[i].lost = (client[i].state != AWAY); i++ :: else -> break od;
        deletions++; nreturned = 0; standing = 0 }
    :: d_step { !done && !calm && drops < POLICY && nready > 0 -> drops++; take_ready() }
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
        :: c < N -> client[c].state = AWAY; line[c] = N; run Contender(c); c++
        :: else -> break
        od;
#if FIRST > 0
        tk = TOKEN; tn = TICK; tc = 0; to_ = 255; put(nready);
#endif
#if PURGES + DELETIONS + POLICY > 0
        run Operator();
#endif
#ifdef CALM
        run Calm()
#endif
    }
}
