/*
 * Mending (token message, protocol section 4.3): the token is gone, purged, deleted with its queue or dropped by a policy,
 * and its register is not. Without mending the register names a token that is no more, and the lock is lost.
 *
 * What is modelled
 *   token queue    may be absent; deleting it removes its messages and cancels its consumers in one step
 *   register       absent, or the nonce it was declared with first; deleting it cancels its consumers (pins) in one step.
 *                  Whose pin goes is told; its lease ends then.
 *   mend queue     exclusive, freed when its owner dies
 *   publish        travels apart (publish connection): lands at any time, also after its sender died or gave up on it,
 *                  into whatever queue exists then; into no queue it is returned; or it is lost
 *   token          is at one place; any ready token may be delivered next (no order is relied upon)
 *   nonce          fresh for every publish; one that nothing refers to any more is used again, to keep the model finite
 *   contender      START: register absent: SEED; else it stands in line, and makes the token queue for that if there is
 *                  none. Whoever is delivered a token pins the register, verifies by a declare, and is granted if pin, token
 *                  and consumer are still there. A session that keeps its pin does not verify the same nonce again. Crashes
 *                  at every step.
 *   waiting long   a hold is bounded, and the line is served in order. So whoever has stood in it longer than all who were
 *                  before it can have held, and was delivered nothing, knows that there is no token, ready or held. That
 *                  is the condition here; there is no clock. It may act on it at any time later.
 *   mending        takes the mend queue; is a register there, it is deleted; gives the mend queue back; from START again
 *
 * Checked
 *   exclusion      never two granted (assert in GRANT)
 *   no harm        mending never takes a lease from a holder (assert in delete_register; off with -DLOSSOK)
 *   -DCALM         from some moment on there are no faults; then somebody is granted (assert in Calm)
 *
 * Bounds: -DN contenders, -DCRASHES, -DPURGES and -DDELETIONS by the operator, -DLOSSES (publishes given up), -DPUBS nonces
 * each.
 *
 * Switches (see `run` for what each must show)
 *   -DIMPATIENT    waits less than that: mends though there may be a token        -DNOMEND     never mends
 *   -DSAME         deletes only the register that was there when it began to      -DNOMUTEX    mends without the mend queue
 *                  wait: its nonce is read from a refusal                         -DNOPIN      no consumer on the register
 *   -DNOTICE       that a pin has gone is told later; the mender pauses until     -DNOPAUSE    it does not
 *                  all have been told                                             -DPINLATE    the pin is taken after the
 *   -DLATEDELETE   a dead mender's delete of the register may be executed later               verifying declare
 *   -DNOVERIFY     a grant without a look at the register
 */
#ifndef N
#define N 2
#endif
#ifndef PUBS
#define PUBS 2
#endif
#ifndef CRASHES
#define CRASHES 1
#endif
#ifndef PURGES
#define PURGES 1
#endif
#ifndef DELETIONS
#define DELETIONS 0
#endif
#ifndef LOSSES
#define LOSSES 1
#endif
#define NONCES (N*PUBS)
#define NONE 255

/* Where the token with a nonce is. HELD+c: delivered to contender c. */
#define GONE 0
#define FLYING 1
#define READY 2
#define HELD 3

bool queue = false;             /* the token queue exists */
byte reg = NONE;                /* nonce of the register, NONE: it does not exist */
byte mend = NONE;               /* owner of the mend queue */
byte at[NONCES];                /* where each token is */
byte sent[N];                   /* nonce of the publish whose confirm the contender awaits, or NONE */
byte answer[N];                 /* 0 none yet, 1 confirmed, 2 returned */
byte about[N];                  /* nonce that the contender deals with and may yet declare the register with, or NONE */
bool consuming[N];              /* consumer on the token queue */
bool pin[N];                    /* consumer on the register */
byte cache[N];                  /* nonce verified under the pin that still stands, or NONE */
bool granted[N];
bool doomed[N];                 /* its pin has gone, and it has not been told */
byte known[N];                  /* -DSAME: the register's nonce when it began to wait */
byte crashes = 0, purges = 0, deletions = 0, losses = 0;
bool late = false;              /* a dead mender's delete of the register is under way */
bool calm = false, got = false;
bool spent = false;             /* a contender ran out of nonces and takes no more part */
byte i = 0, k = 0;

#define MAYCRASH (!calm && crashes < CRASHES)
#define MINE(n) (at[n] == HELD + c)
#define THERE(n) (at[n] >= READY)
#if N*PUBS > 4
#define TOKENS (THERE(0) || THERE(1) || THERE(2) || THERE(3) || THERE(4) || THERE(5))
#elif N*PUBS > 3
#define TOKENS (THERE(0) || THERE(1) || THERE(2) || THERE(3))
#else
#define TOKENS (THERE(0) || THERE(1) || THERE(2))
#endif
#ifdef NOMEND
#define MAY_MEND false
#elif defined(IMPATIENT)
#define MAY_MEND true
#else
#define MAY_MEND !TOKENS
#endif
#if N == 3
#define ALL_TOLD !(doomed[0] || doomed[1] || doomed[2])
#else
#define ALL_TOLD !(doomed[0] || doomed[1])
#endif

inline delete_register() {
    reg = NONE;
    i = 0;
    do
    :: i < N ->
        if
        :: pin[i] ->
#ifndef LOSSOK
            assert(!granted[i]);
#endif
            pin[i] = false; cache[i] = NONE;
#ifdef NOTICE
            doomed[i] = granted[i]
#else
            granted[i] = false
#endif
        :: else
        fi;
        i++
    :: else -> break
    od;
    i = 0
}

inline delete_queue() {
    queue = false;
    i = 0;
    do :: i < NONCES -> if :: at[i] >= READY -> at[i] = GONE :: else fi; i++ :: else -> break od;
    i = 0;
    do :: i < N -> consuming[i] = false; granted[i] = false; doomed[i] = false; i++ :: else -> break od;
    i = 0
}

/* Channel or connection closed: every consumer of the contender goes, its token returns. */
inline close() {
    i = 0;
    do :: i < NONCES -> if :: MINE(i) -> at[i] = READY :: else fi; i++ :: else -> break od;
    i = 0;
    consuming[c] = false; granted[c] = false; doomed[c] = false; about[c] = NONE; sent[c] = NONE; answer[c] = 0
}

/* n = a nonce of c's own that nothing refers to, NONE if there is none. */
inline fresh(n) {
    n = NONE; i = 0;
    do
    :: i < PUBS ->
        if :: at[c*PUBS+i] == GONE && reg != c*PUBS+i -> n = c*PUBS+i :: else fi;
        k = 0;
        do
        :: k < N -> if :: n != NONE && (cache[k] == n || about[k] == n || known[k] == n) -> n = NONE :: else fi; k++
        :: else -> break
        od;
        if :: n != NONE -> break :: else fi;
        i++
    :: else -> break
    od;
    i = 0; k = 0
}

proctype Contender(byte c) {
    byte t = NONE;              /* the token delivered to us */
START:
    if
    :: atomic { calm && got -> goto END }
    :: atomic { !(calm && got) && reg == NONE -> goto SEED }
    :: atomic { !(calm && got) && reg != NONE -> goto CONSUME }
    :: atomic { MAYCRASH -> goto CRASH }
    fi;

CONSUME:
    if
    :: atomic { queue = true; consuming[c] = true;
#ifdef SAME
        known[c] = reg
#endif
        }
    :: atomic { MAYCRASH -> goto CRASH }
    fi;
WAIT:
    do
    :: atomic { consuming[c] && at[0] == READY -> t = 0; at[t] = HELD + c; about[c] = t; break }
    :: atomic { consuming[c] && at[1] == READY -> t = 1; at[t] = HELD + c; about[c] = t; break }
#if N*PUBS > 2
    :: atomic { consuming[c] && at[2] == READY -> t = 2; at[t] = HELD + c; about[c] = t; break }
#endif
#if N*PUBS > 3
    :: atomic { consuming[c] && at[3] == READY -> t = 3; at[t] = HELD + c; about[c] = t; break }
#endif
#if N*PUBS > 4
    :: atomic { consuming[c] && at[4] == READY -> t = 4; at[t] = HELD + c; about[c] = t; break }
    :: atomic { consuming[c] && at[5] == READY -> t = 5; at[t] = HELD + c; about[c] = t; break }
#endif
    :: atomic { !consuming[c] -> goto START }
    :: atomic { MAY_MEND && consuming[c] && !(calm && got) -> goto MEND }
    :: atomic { calm && got -> goto END }
    :: atomic { MAYCRASH -> goto CRASH }
    od;
VERIFY:
#if !defined(NOPIN) && !defined(PINLATE)
    /* The pin first: a register deleted after it takes the pin with it. Without a register there is nothing to pin: the
       verifying declare creates it, then once more. */
    if
    :: atomic { !pin[c] && reg != NONE -> pin[c] = true }
    :: atomic { pin[c] || reg == NONE }
    :: atomic { MAYCRASH -> goto CRASH }
    fi;
#endif
#ifndef NOVERIFY
    if
    :: atomic { pin[c] && cache[c] == t -> goto GRANT }
    :: atomic { !(pin[c] && cache[c] == t) }
    fi;
    if
    :: atomic { MAYCRASH -> goto CRASH }
    :: atomic {
            if
            :: reg == NONE -> reg = t
            :: reg == t
            :: reg != NONE && reg != t ->           /* 406: a stale duplicate, acked away */
                if :: MINE(t) -> at[t] = GONE :: else fi;
                about[c] = NONE; t = NONE; goto WAIT
            fi;
            if :: pin[c] -> cache[c] = t :: else fi
        }
    fi;
#endif
#ifdef PINLATE
    if
    :: atomic { pin[c] }
    :: atomic { !pin[c] && reg != NONE -> pin[c] = true; cache[c] = t }
    :: atomic { !pin[c] && reg == NONE -> close(); t = NONE; goto START }
    :: atomic { MAYCRASH -> goto CRASH }
    fi;
#elif !defined(NOPIN)
    if
    :: atomic { pin[c] }
    :: atomic { !pin[c] && MINE(t) -> goto VERIFY }
    :: atomic { !pin[c] && !MINE(t) -> close(); t = NONE; goto START }
    fi;
#endif

GRANT:
    atomic {
        if
        :: !consuming[c] || !MINE(t) -> close(); t = NONE; goto START
#ifndef NOPIN
        :: consuming[c] && MINE(t) && !pin[c] -> close(); t = NONE; goto START
        :: consuming[c] && MINE(t) && pin[c] ->
#else
        :: consuming[c] && MINE(t) ->
#endif
            granted[c] = true;
            i = 0; k = 0;
            do :: i < N -> if :: granted[i] -> k++ :: else fi; i++ :: else -> break od;
            assert(k == 1);
            i = 0; k = 0;
            if :: calm -> got = true :: else fi
        fi
    };
    if
    :: atomic { MAYCRASH -> goto CRASH }
    :: atomic { close(); t = NONE; goto START }     /* release, or the lease is lost */
    fi;

MEND:
#ifndef NOMUTEX
    if
    :: atomic { mend == NONE -> mend = c }
    :: atomic { MAYCRASH -> goto CRASH }
    fi;
#endif
    if
#ifdef SAME
    :: atomic { reg == NONE || reg != known[c] -> goto UNMEND }
    :: atomic { reg != NONE && reg == known[c] }
#else
    :: atomic { reg == NONE -> goto UNMEND }
    :: atomic { reg != NONE }
#endif
    :: atomic { MAYCRASH -> goto CRASH }
    fi;
    if
    :: atomic { delete_register() }
    :: atomic { MAYCRASH ->
#ifdef LATEDELETE
        late = true;
#endif
        goto CRASH }
    fi;
UNMEND:
    if
#if defined(NOTICE) && !defined(NOPAUSE)
    :: atomic { ALL_TOLD -> if :: mend == c -> mend = NONE :: else fi; close(); t = NONE; known[c] = NONE; goto START }
#else
    :: atomic { if :: mend == c -> mend = NONE :: else fi; close(); t = NONE; known[c] = NONE; goto START }
#endif
    :: atomic { MAYCRASH -> goto CRASH }
    fi;

SEED:
    if
    :: atomic { queue = true }
    :: atomic { MAYCRASH -> goto CRASH }
    fi;
PUBLISH:
    atomic {
        fresh(t);
        if
        :: t == NONE -> goto AGAIN
        :: else -> at[t] = FLYING; sent[c] = t; answer[c] = 0; about[c] = t
        fi
    };
    if
    :: atomic { answer[c] == 1 -> answer[c] = 0; sent[c] = NONE }
    :: atomic { answer[c] == 2 -> close(); t = NONE; goto START }
    :: atomic { answer[c] == 0 && !calm && losses < LOSSES ->        /* gave up on it: it may still land */
        losses++; sent[c] = NONE; about[c] = NONE; goto PUBLISH }
    :: atomic { MAYCRASH -> goto CRASH }
    fi;
    if
    :: atomic { MAYCRASH -> goto CRASH }
    :: atomic {
        if :: reg == NONE -> reg = t :: else fi; close(); t = NONE; goto CONSUME }
    fi;

AGAIN:                                              /* no nonce left: the bound is too small, this run shows nothing */
    atomic { spent = true; close(); goto END };

CRASH:
    atomic {
        crashes++;
        close();
        pin[c] = false; cache[c] = NONE; known[c] = NONE; t = NONE;
        if :: mend == c -> mend = NONE :: else fi;
        goto START
    };
END: skip
}
inline land() {
    if
    :: queue -> at[n] = READY
    :: !queue -> at[n] = GONE
    :: !calm && sent[n/PUBS] != n -> at[n] = GONE   /* lost; its sender waits for it no more */
    fi;
    if :: sent[n/PUBS] == n -> answer[n/PUBS] = (at[n] == READY -> 1 : 2) :: else fi;
    n = 0
}

/* The network between the publishers and the broker. */
proctype Net() {
    byte n;
end: do
    :: atomic { at[0] == FLYING -> n = 0; land() }
    :: atomic { at[1] == FLYING -> n = 1; land() }
#if N*PUBS > 2
    :: atomic { at[2] == FLYING -> n = 2; land() }
#endif
#if N*PUBS > 3
    :: atomic { at[3] == FLYING -> n = 3; land() }
#endif
#if N*PUBS > 4
    :: atomic { at[4] == FLYING -> n = 4; land() }
    :: atomic { at[5] == FLYING -> n = 5; land() }
#endif
    od
}

proctype Operator() {
end: do
    :: atomic { !calm && deletions < DELETIONS && queue -> deletions++; delete_queue() }
    :: atomic { !calm && purges < PURGES && queue -> purges++; i = 0;
        do :: i < NONCES -> if :: at[i] == READY -> at[i] = GONE :: else fi; i++ :: else -> break od;
        i = 0 }
    od
}

#ifdef NOTICE
proctype Teller() {
end: do
    :: atomic { doomed[0] -> doomed[0] = false; granted[0] = false }
    :: atomic { doomed[1] -> doomed[1] = false; granted[1] = false }
#if N == 3
    :: atomic { doomed[2] -> doomed[2] = false; granted[2] = false }
#endif
    od
}
#endif

#ifdef LATEDELETE
proctype Late() {
end: do
    :: atomic { late -> late = false; if :: reg != NONE -> delete_register() :: else fi }
    od
}
#endif

#ifdef CALM
/* Nothing left to do, and nobody was granted: the lock is lost. */
proctype Calm() {
    calm = true;
    timeout -> assert(got || spent)
}
#endif

init {
    atomic {
        byte c = 0;
        do
        :: c < N -> sent[c] = NONE; cache[c] = NONE; about[c] = NONE; known[c] = NONE; run Contender(c); c++
        :: else -> break
        od;
        run Net(); run Operator();
#ifdef NOTICE
        run Teller();
#endif
#ifdef LATEDELETE
        run Late();
#endif
#ifdef CALM
        run Calm();
#endif
    }
}
