/*
 * Seeding of the token message (protocol section 4.3): exactly one valid token, whoever publishes how many.
 *
 * What is modelled
 *   register       a queue declared with a nonce; the first declarer fixes it, a declare with another one is refused
 *   publish        travels apart (publish connection): lands at any time, also after its sender died or gave up on it,
 *                  or is lost; every publish, also a repeated one, has a nonce of its own
 *   token          its nonce; any ready one may be delivered next
 *   contender      register absent: publish, wait for the confirm, declare the register with that nonce. Then consume;
 *                  whoever is delivered a token declares the register with it before the grant: refused means stale, acked
 *                  away. Crashes at every step; a crash returns the token.
 *
 * Checked
 *   exclusion      never two granted (assert in GRANT)
 *   -DCALM         from some moment on there are no faults; then somebody is granted (assert in Calm)
 *
 * Bounds: -DN contenders, -DCRASHES in all, -DLOSSES publishes lost or given up, -DPUBS nonces each.
 *
 * Switches
 *   -DHOMEDOWN     the register's node may be down once: a passive declare answers "not found", others are not answered.
 *                  Must hold.
 *   -DNOVERIFY     the receiver does not look at the register. Must be refuted.
 *   -DMUTEX        the design that was given up: an exclusive queue (freed when its owner dies) as the seeding mutex,
 *                  draining before seeding, the register a mere flag. Must be refuted, also
 *   -DMUTEX -DRECHECK  with a second look at the flag once the mutex is owned.
 */
#ifndef N
#define N 2
#endif
#ifndef PUBS
#define PUBS 2
#endif
#ifndef CRASHES
#define CRASHES 2
#endif
#ifndef LOSSES
#define LOSSES 1
#endif
#define NONCES (N*PUBS)
#define NONE 255

/* Where the token with a nonce is. HELD+c: delivered to contender c. USED: it was there and is gone. */
#define UNSENT 0
#define FLYING 1
#define READY 2
#define USED 3
#define HELD 4

byte reg = NONE;                /* the register's nonce, NONE: it does not exist */
bool down = false;              /* the register's node is down */
byte mutex = NONE;              /* owner of the exclusive queue of -DMUTEX */
byte at[NONCES];
byte published[N];              /* how many nonces of its own each contender has used */
bool confirmed[N];              /* the latest one landed */
bool granted[N];
byte crashes = 0, losses = 0;
bool calm = false, got = false;
byte i = 0, k = 0;

#define MAYCRASH (!calm && crashes < CRASHES)
#define LATEST (c*PUBS + published[c] - 1)

inline take(n) { atomic { at[n] == READY -> at[n] = HELD + c; t = n; break } }

proctype Contender(byte c) {
    byte t = NONE;              /* the token delivered to us */
START:
    if
    :: atomic { calm && got -> goto END }
    :: atomic { !(calm && got) && !down && reg != NONE -> goto WAIT }
    :: atomic { !(calm && got) && (down || reg == NONE) }
    fi;
#ifdef MUTEX
    if
    :: atomic { mutex == NONE -> mutex = c }
    :: atomic { !down && reg != NONE -> goto WAIT }
    :: atomic { MAYCRASH -> goto CRASH }
    fi;
#ifdef RECHECK
    if
    :: atomic { !down && reg != NONE -> mutex = NONE; goto WAIT }
    :: atomic { down || reg == NONE }
    :: atomic { MAYCRASH -> goto CRASH }
    fi;
#endif
    atomic {                    /* drain */
        i = 0;
        do :: i < NONCES -> if :: at[i] == READY -> at[i] = USED :: else fi; i++ :: else -> break od;
        i = 0
    };
#endif

PUBLISH:
    if
    :: atomic { published[c] < PUBS -> published[c]++; at[LATEST] = FLYING; confirmed[c] = false }
    :: atomic { published[c] == PUBS -> goto END }  /* out of nonces: this contender takes no more part */
    fi;
    if
    :: atomic { confirmed[c] }
    :: atomic { !confirmed[c] && !calm && losses < LOSSES -> losses++; goto PUBLISH }
    :: atomic { MAYCRASH -> goto CRASH }
    fi;
    if
    :: atomic { !down && reg == NONE -> reg = LATEST }
    :: atomic { !down && reg != NONE }
    :: atomic { MAYCRASH -> goto CRASH }
    fi;
#ifdef MUTEX
    atomic { if :: mutex == c -> mutex = NONE :: else fi };
#endif

WAIT:
    do
    :: take(0)
    :: take(1)
#if N*PUBS > 2
    :: take(2)
    :: take(3)
#endif
#if N*PUBS > 4
    :: take(4)
    :: take(5)
#endif
    :: atomic { calm && got -> goto END }
    :: atomic { MAYCRASH -> goto CRASH }
    od;
#if !defined(MUTEX) && !defined(NOVERIFY)
    if
    :: atomic { !down && reg == NONE -> reg = t }
    :: atomic { !down && reg == t }
    :: atomic { !down && reg != NONE && reg != t -> at[t] = USED; t = NONE; goto WAIT }
    :: atomic { MAYCRASH -> goto CRASH }
    fi;
#endif


GRANT:
    atomic {
        granted[c] = true;
        i = 0; k = 0;
        do :: i < N -> if :: granted[i] -> k++ :: else fi; i++ :: else -> break od;
        assert(k == 1);
        i = 0; k = 0;
        if :: calm -> got = true :: else fi
    };
    if
    :: atomic { at[t] = READY; granted[c] = false; t = NONE; goto START }   /* release */
    :: atomic { MAYCRASH -> goto CRASH }
    fi;

CRASH:
    atomic {
        crashes++;
        if :: t != NONE -> at[t] = READY; t = NONE :: else fi;
        if :: mutex == c -> mutex = NONE :: else fi;
        granted[c] = false; confirmed[c] = false;
        goto START
    };
END: skip
}

/* The network between the publishers and the broker. */
inline travel(n) {
    if
    :: at[n] = READY; if :: n == (n/PUBS)*PUBS + published[n/PUBS] - 1 -> confirmed[n/PUBS] = true :: else fi
    :: !calm && losses < LOSSES -> losses++; at[n] = USED
    fi
}

proctype Net() {
end: do
    :: atomic { at[0] == FLYING -> travel(0) }
    :: atomic { at[1] == FLYING -> travel(1) }
#if N*PUBS > 2
    :: atomic { at[2] == FLYING -> travel(2) }
    :: atomic { at[3] == FLYING -> travel(3) }
#endif
#if N*PUBS > 4
    :: atomic { at[4] == FLYING -> travel(4) }
    :: atomic { at[5] == FLYING -> travel(5) }
#endif
    od
}

#ifdef HOMEDOWN
proctype Home() {
    if :: atomic { !calm -> down = true } :: calm -> skip fi;
    atomic { down = false }
}
#endif

#ifdef CALM
/* Nothing left to do, and nobody was granted: the lock is lost. */
proctype Calm() {
    calm = true;
    timeout -> assert(got)
}
#endif

init {
    atomic {
        byte c = 0;
        do :: c < N -> run Contender(c); c++ :: else -> break od;
        run Net();
#ifdef HOMEDOWN
        run Home();
#endif
#ifdef CALM
        run Calm();
#endif
    }
}
