/*
 * The count of hand-overs that the broker keeps with the token (protocol section 4.3): fencing numbers strictly increase.
 *
 * What is modelled: one valid token in a quorum queue, N contenders, crashes at every step, also with the release already
 * on its way. The broker adds one at every return of the token, whatever the cause.
 *
 * Checked: the number of each grant is above that of every grant before it (assert in `grant`).
 *
 * Switch: -DNOCRASH  a return counts only when it is a release. Must be refuted.
 */
#define N 2
#define NONE 255
#define MAXCOUNT 10
#define FAULTS 4

byte count = 0;                 /* what the broker has for the token */
byte owner = NONE;              /* who has the token delivered */
bool releasing[N];              /* the release is on its way to the broker */
short highest = -1;             /* largest number granted */
byte faults = 0;

inline grant() { assert(count > highest); highest = count }

proctype Contender(byte c) {
end: do
    :: atomic { owner == NONE && count < MAXCOUNT -> owner = c; releasing[c] = false; grant() }
    :: atomic { owner == c && !releasing[c] -> releasing[c] = true }
    :: atomic { owner == c && releasing[c] -> releasing[c] = false; owner = NONE; count++ }
    :: atomic { owner == c && faults < FAULTS && count < MAXCOUNT ->        /* dies, also with the release on its way */
        faults++; releasing[c] = false; owner = NONE;
#ifndef NOCRASH
        count++
#endif
        }
    od
}

init { atomic { run Contender(0); run Contender(1) } }
