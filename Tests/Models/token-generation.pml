/*
 * Generations: a proposal in place of mending (token-mending.pml), which leaves interleavings after which a lock is
 * lost. The token queue is declared with a random generation in an argument that the broker compares, so each incarnation
 * of the queue has its own; and each generation has a register of its own. When an operator deletes the token queue,
 * the next incarnation starts afresh: no register is ever deleted, there is no mend queue and there are no pins.
 *
 * What is modelled
 *   as in token-mending.pml, and
 *   generation     counts the creations of the token queue; in the broker a random value, read from the answer to a declare
 *   contender      declares the token queue with a fresh generation (this creates it, or the refusal tells the one it has),
 *                  consumes it, and only then reads its generation; no register of this generation: it seeds.
 *                  A delivered token of another generation is a late publish: acked away. Else the register of the
 *                  generation is declared with its nonce, and it is granted, or it is stale and acked away.
 *
 * Checked
 *   exclusion      never two granted (assert in GRANT)
 *   -DCALM         from some moment on there are no faults; then somebody is granted (assert in Calm)
 *
 * Bounds: as in token-mending.pml. Switches (both must be refuted)
 *   -DREADFIRST    the generation is read before the queue is consumed
 *   -DANYGEN       a token is verified in the register of its own generation, whatever the queue's
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
#ifndef DELETIONS
#define DELETIONS 1
#endif
#ifndef LOSSES
#define LOSSES 1
#endif
#define NONCES (N*PUBS)
#define GENERATIONS (DELETIONS+2)
#define NONE 255

/* Where the token with a nonce is. HELD+c: delivered to contender c. */
#define GONE 0
#define FLYING 1
#define READY 2
#define HELD 3

bool queue = false;             /* the token queue exists */
byte gen = 0;                   /* its generation, or that of the last one */
byte reg[GENERATIONS];          /* nonce of each generation's register, NONE: it does not exist */
byte era[NONCES];                /* generation that each token was published for */
byte at[NONCES];                /* where each token is */
byte sent[N];                   /* nonce of the publish whose confirm the contender awaits, or NONE */
byte answer[N];                 /* 0 none yet, 1 confirmed, 2 returned */
byte about[N];                  /* nonce that the contender deals with and may yet declare the register with, or NONE */
bool consuming[N];              /* consumer on the token queue */
byte cache[N];                  /* nonce verified in this session, or NONE */
bool granted[N];
byte crashes = 0, deletions = 0, losses = 0;
bool calm = false, got = false;
bool spent = false;             /* a contender ran out of nonces and takes no more part */
byte i = 0, k = 0;

#if DELETIONS == 1
#define NAMED(n) (reg[0] == (n) || reg[1] == (n) || reg[2] == (n))
#else
#define NAMED(n) (reg[0] == (n) || reg[1] == (n) || reg[2] == (n) || reg[3] == (n))
#endif
#define MAYCRASH (!calm && crashes < CRASHES)
#define MINE(n) (at[n] == HELD + c)

inline delete_queue() {
    queue = false;
    i = 0;
    do :: i < NONCES -> if :: at[i] >= READY -> at[i] = GONE :: else fi; i++ :: else -> break od;
    i = 0;
    do :: i < N -> consuming[i] = false; granted[i] = false; i++ :: else -> break od;
    i = 0
}

/* Channel or connection closed: every consumer of the contender goes, its token returns. */
inline close() {
    i = 0;
    do :: i < NONCES -> if :: MINE(i) -> at[i] = READY :: else fi; i++ :: else -> break od;
    i = 0;
    consuming[c] = false; granted[c] = false; about[c] = NONE; sent[c] = NONE; answer[c] = 0
}

/* n = a nonce of c's own that nothing refers to, NONE if there is none. */
inline fresh(n) {
    n = NONE; i = 0;
    do
    :: i < PUBS ->
        if :: at[c*PUBS+i] == GONE && !NAMED(c*PUBS+i) -> n = c*PUBS+i :: else fi;
        k = 0;
        do
        :: k < N -> if :: n != NONE && (cache[k] == n || about[k] == n) -> n = NONE :: else fi; k++
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
    byte g = 0;
    byte my = 0;                /* the generation of the queue that we consume */
START:
    if
    :: atomic { calm && got -> goto END }
    :: atomic { !(calm && got) -> if :: !queue -> queue = true; gen++ :: else fi }
    :: atomic { MAYCRASH -> goto CRASH }
    fi;
#ifdef READFIRST
    atomic { my = gen };
#endif
    if
    :: atomic { queue -> consuming[c] = true }
    :: atomic { !queue -> goto START }
    :: atomic { MAYCRASH -> goto CRASH }
    fi;
#ifndef READFIRST
    if
    :: atomic { queue -> my = gen }
    :: atomic { !queue -> goto START }
    :: atomic { MAYCRASH -> goto CRASH }
    fi;
#endif
    if
    :: atomic { reg[my] == NONE -> goto SEED }
    :: atomic { reg[my] != NONE }
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
    :: atomic { calm && got -> goto END }
    :: atomic { MAYCRASH -> goto CRASH }
    od;
VERIFY:
    if
    :: atomic { MAYCRASH -> goto CRASH }
    :: atomic {
#ifdef ANYGEN
            g = era[t];
#else
            g = my;
#endif
            if
            :: era[t] == g && cache[c] == t
            :: era[t] == g && cache[c] != t && reg[g] == NONE -> reg[g] = t; cache[c] = t
            :: era[t] == g && cache[c] != t && reg[g] == t -> cache[c] = t
            :: era[t] != g || (cache[c] != t && reg[g] != NONE && reg[g] != t) ->      /* late, or a stale duplicate */
                if :: MINE(t) -> at[t] = GONE :: else fi;
                about[c] = NONE; t = NONE; g = 0; goto WAIT
            fi;
            g = 0
        }
    fi;

GRANT:
    atomic {
        if
        :: !consuming[c] || !MINE(t) -> close(); t = NONE; goto START
        :: consuming[c] && MINE(t) ->
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

SEED:
PUBLISH:
    atomic {
        fresh(t);
        if
        :: t == NONE -> goto AGAIN
        :: else -> at[t] = FLYING; era[t] = my; sent[c] = t; answer[c] = 0; about[c] = t
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
    :: atomic { if :: reg[my] == NONE -> reg[my] = t :: else fi; about[c] = NONE; t = NONE; goto WAIT }
    fi;

AGAIN:                                              /* no nonce left: the bound is too small, this run shows nothing */
    atomic { spent = true; close(); goto END };

CRASH:
    atomic {
        crashes++;
        close();
        cache[c] = NONE; t = NONE;
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
    od
}

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
        do :: c < GENERATIONS -> reg[c] = NONE; c++ :: else -> c = 0; break od;
        do
        :: c < N -> sent[c] = NONE; cache[c] = NONE; about[c] = NONE; run Contender(c); c++
        :: else -> break
        od;
        run Net(); run Operator();
#ifdef CALM
        run Calm();
#endif
    }
}
