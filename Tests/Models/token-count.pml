/*
 * The count of hand-overs that the broker keeps with the token (protocol section 4.3): fencing numbers strictly increase.
 *
 * What is modelled: one valid token, N contenders, crashes at every step (also with the release already on its way), and
 *   -DQUORUM       a quorum queue: the broker adds one at every return of the token, whatever the cause
 *   else           a classic queue: a release is a reject into the queue's own dead-letter loop, which adds one in the step
 *                  that frees the token; any other return sets `redelivered` and adds nothing. Whoever is delivered a
 *                  redelivered token mints it anew before a grant: a fresh token with a number above the old one's.
 *
 * Checked: the number of each grant is above that of every grant before it (assert in `grant`).
 *
 * Switches
 *   -DNOMINT       a redelivered token is granted as it is. Must be refuted.
 *   -DDIRTY        the broker is killed, also under a holder, and comes back with an older count. Must be refuted: minting
 *                  that starts from the old number starts from too small a one.
 *   -DDIRTY -DCLOCK  a token is minted with the number of the clock, which is above all that was ever granted. Must hold.
 *                  The hosts' clocks are one here; that they are not is why the classic queue is exempt from rising
 *                  numbers across a crash of the broker all the same.
 *   -DDIRTY -DCLOCK -DHIDE  what came redelivered can be put back through the dead-letter loop, too, when nobody wants it:
 *                  it counts, and the mark is gone. Must be refuted.
 */
#define N 2
#define NONE 255
#define MAXCOUNT 10
#define FAULTS 4

byte count = 0;                 /* what the broker has for the token */
byte disk = 0;                  /* what of it would survive a kill of the broker */
bool redelivered = false;
byte owner = NONE;              /* who has the token delivered */
bool releasing[N];              /* the release is on its way to the broker */
bool minting[N];                /* that is: a token minted anew */
short highest = -1;             /* largest number granted */
byte faults = 0;

inline grant() { assert(count > highest); highest = count }

/* The token goes back without a release. */
inline giveback() {
    owner = NONE; redelivered = true;
#ifdef QUORUM
    count++
#endif
}

proctype Contender(byte c) {
end: do
    :: atomic { owner == NONE && count < MAXCOUNT ->                /* delivered */
        owner = c; releasing[c] = false;
#if defined(QUORUM) || defined(NOMINT)
        grant()
#else
        if
        :: redelivered -> releasing[c] = true; minting[c] = true    /* minted anew: counts as a hand-over, no grant */
#ifdef HIDE
        :: redelivered -> releasing[c] = true
#endif
        :: !redelivered -> grant()
        fi
#endif
        }
    :: atomic { owner == c && !releasing[c] -> releasing[c] = true }
    :: atomic { owner == c && releasing[c] ->                       /* the broker gets it */
        releasing[c] = false;
#ifdef QUORUM
        giveback()
#else
        owner = NONE; redelivered = false;
#ifdef CLOCK
        if
        :: minting[c] && highest >= count -> count = highest + 1
        :: else -> count++
        fi;
#else
        count++;
#endif
        /* A minted token is confirmed, and so on disk, before it can be the valid one. */
        if :: minting[c] -> minting[c] = false; disk = count :: else fi
#endif
        }
    :: atomic { owner == c && faults < FAULTS && count < MAXCOUNT ->        /* dies, also with the release on its way */
        faults++; releasing[c] = false; minting[c] = false; giveback() }
    od
}

proctype Broker() {
end: do
    :: atomic { disk < count -> disk = count }
#ifdef DIRTY
    :: atomic { faults < FAULTS -> faults++;
        if :: owner != NONE -> releasing[owner] = false; minting[owner] = false; owner = NONE :: else fi;
        count = disk; redelivered = true }
#endif
    od
}

init { atomic { run Contender(0); run Contender(1); run Broker() } }
