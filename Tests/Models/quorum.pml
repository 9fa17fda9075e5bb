/*
 * A lock on a majority of independent brokers (article BrokerQuorums): no two valid leases, and tokens that grow over any
 * sequence of majorities.
 *
 * What is modelled: N members, each of which grants its part to one contender at a time, with a number above that of its last
 * grant; contenders that take parts in any order, raise the numbers of those that they hold one by one, and are granted when
 * that is done on a majority; that give up, lose single parts, and release at any step. A member that restarts forgets its
 * holder, who believes in its part until it is notified, or its proof has run out; with -DEMPTY it forgets its number, too. A
 * session counts when it has stood for as long as such a belief can last: when nobody is left who believes. By then the clock
 * is past every number that had been made before the restart, with which a number is made anew.
 *
 * Checked at each grant: nobody else has a majority to believe in (alone); its token is above all before it (rising).
 *
 * Switches:
 *   -DEMPTY      members that restart lose their data
 *   -DNORAISE    nothing is raised, and the token is the largest of the parts'. Must be refuted.
 *   -DAFTER      the numbers are raised after the grant. Must be refuted.
 *   -DMINORITY   one part fewer than a majority is enough. Must be refuted.
 *   -DNOSETTLE   a session counts at once. Must be refuted.
 *   -DONERAISE   it is enough to have raised one of the parts. Must be refuted.
 *   -DNOCLOCK    numbers are made from numbers only. Must be refuted with -DEMPTY.
 *   -DLARGEST    the token is the largest number that was raised to, not the smallest. Must be refuted.
 */
#define N 3
#ifndef C
#define C 2
#endif
#ifndef RESTARTS
#define RESTARTS 2
#endif
#ifndef GRANTS
#define GRANTS 2
#endif
#ifndef TAKES
#define TAKES 5
#endif
#ifndef LEADS
#define LEADS 1
#endif
#ifdef MINORITY
#define NEEDED (N / 2)
#else
#define NEEDED (N / 2 + 1)
#endif
#define NONE 255
#define IDLE 0
#define RAISING 1
#define HOLDING 2

typedef Member {
    byte number;            /* of its last grant, or what it was raised to */
    byte owner = NONE;
    bool isEmpty;           /* restarted without its data, and the clock has not passed what was before */
    byte before             /* the largest number that there was anywhere when it restarted */
}
typedef Contender {
    byte state;
    bool has[N];            /* believes to hold this part */
    byte token[N];          /* with this number */
    byte raised[N];         /* and has raised it to this; 0 for not yet */
    bool counts[N]          /* a part of the lease */
}

Member member[N];
Contender contender[C];
byte now = 0;               /* the number that a clock makes */
byte largest = 0;           /* that was ever made */
byte highest = 0;           /* token that was granted */
byte grants = 0, restarts = 0, takes = 0, leads = 0;
byte i, j, k, top, low;     /* of atomic steps only, and zero between them */

#define MAXIMUM(a, b) ((a) > (b) -> (a) : (b))

/* Whether somebody else believes to hold this part, of before a restart: then the session is too young. */
inline believers(c, m) {
    k = 0; i = 0;
    do
    :: i < C -> if :: i != c && contender[i].has[m] -> k++ :: else fi; i++
    :: else -> i = 0; break
    od
}

/* How many parts of a lease its holder believes in: in k. */
inline parts(c) {
    k = 0; j = 0;
    do
    :: j < N -> if :: contender[c].counts[j] && contender[c].has[j] -> k++ :: else fi; j++
    :: else -> j = 0; break
    od
}

inline note(x) { largest = MAXIMUM(largest, x) }

inline forget(c, m) {
    contender[c].has[m] = false; contender[c].token[m] = 0; contender[c].raised[m] = 0; contender[c].counts[m] = false
}

/* The part goes, at the member first, or nobody is there to be let in. */
inline drop(c, m) {
    forget(c, m);
    if :: member[m].owner == c -> member[m].owner = NONE :: else fi
}

inline dropAll(c) {
    j = 0;
    do
    :: j < N -> drop(c, j); j++
    :: else -> j = 0; break
    od;
    contender[c].state = IDLE
}

inline take(c, m) {
    atomic {
        contender[c].state == IDLE && member[m].owner == NONE && !contender[c].has[m] && takes < TAKES && grants < GRANTS ->
        takes++;
        member[m].number++; note(member[m].number);
        member[m].owner = c; contender[c].has[m] = true; contender[c].token[m] = member[m].number
    }
}

/* With a majority that has settled, the largest of their numbers is what is to be passed. */
inline gathered(c) {
    k = 0; j = 0; top = 0; low = 0;
    do
    :: j < N ->
        if
        :: contender[c].has[j] ->
            believers(c, j);
#ifdef NOSETTLE
            k = 0;
#endif
            if
            :: k == 0 || member[j].owner != c ->
                low++; top = MAXIMUM(top, contender[c].token[j]); contender[c].counts[j] = true;
#ifndef NOCLOCK
                if
                :: member[j].isEmpty -> now = MAXIMUM(now, member[j].before + 1); member[j].isEmpty = false
                :: else
                fi
#endif
            :: else -> contender[c].counts[j] = false
            fi
        :: else
        fi;
        j++
    :: else -> j = 0; break
    od;
    k = 0
}

/* The member does it for its holder only. */
inline raise(c, m) {
    atomic {
        contender[c].state == RAISING && contender[c].counts[m] && contender[c].raised[m] == 0 && member[m].owner == c ->
        top = 0; j = 0;
        do
        :: j < N -> if :: contender[c].counts[j] -> top = MAXIMUM(top, contender[c].token[j]) :: else fi; j++
        :: else -> j = 0; break
        od;
        member[m].number = MAXIMUM(MAXIMUM(member[m].number, top + 1), now);
        /* By the clock of a machine that is ahead of the others. */
        if
        :: leads < LEADS -> leads++; member[m].number = member[m].number + 3
        :: skip
        fi;
        note(member[m].number);
        contender[c].raised[m] = member[m].number; top = 0
    }
}

/* Of what was raised, the smallest number is the token. */
inline grant(c) {
    j = 0; k = 0; top = 0; low = NONE;
    do
    :: j < N ->
        if
#if defined(NORAISE) || defined(AFTER)
        :: contender[c].counts[j] && contender[c].has[j] -> k++; top = MAXIMUM(top, contender[c].token[j])
#else
        :: contender[c].counts[j] && contender[c].has[j] && contender[c].raised[j] > 0 ->
            k++; low = (contender[c].raised[j] < low -> contender[c].raised[j] : low);
            top = MAXIMUM(top, contender[c].raised[j])
#endif
#ifdef ONERAISE
        :: contender[c].counts[j] && contender[c].has[j] && contender[c].raised[j] == 0 -> k++
#else
        :: contender[c].counts[j] && contender[c].raised[j] == 0 -> skip
#endif
        :: else
        fi;
        j++
    :: else -> j = 0; break
    od;
#if defined(AFTER)
    low = MAXIMUM(top + 1, now); note(low)
#elif defined(NORAISE) || defined(LARGEST)
    low = top
#endif
}

/* What was not raised is not a part of the lease. */
inline leaseOfRaised(c) {
#if !defined(NORAISE) && !defined(AFTER) && !defined(ONERAISE)
    j = 0;
    do
    :: j < N -> if :: contender[c].raised[j] == 0 -> contender[c].counts[j] = false :: else fi; j++
    :: else -> j = 0; break
    od
#else
    skip
#endif
}

inline alone(c) {
    i = 0;
    do
    :: i < C ->
        if
        :: i != c && contender[i].state == HOLDING -> parts(i); assert(k < NEEDED)       /* alone */
        :: else
        fi;
        i++
    :: else -> i = 0; break
    od;
    k = 0
}

/* What can happen to one part. */
inline part(c, m) {
    if
    :: take(c, m)
    :: raise(c, m)
    /* Lost, and noticed: at once, or long after a restart. Or given up, or too young. */
    :: atomic { contender[c].has[m] -> drop(c, m) }
#ifdef AFTER
    :: atomic { contender[c].state == HOLDING && contender[c].has[m] && member[m].owner == c && member[m].number < highest ->
        member[m].number = highest }
#endif
    fi
}

proctype Program(byte c) {
end: do
    :: part(c, 0)
    :: part(c, 1)
    :: part(c, 2)
    :: atomic { contender[c].state == IDLE -> gathered(c);
        if :: low >= NEEDED -> contender[c].state = RAISING :: else fi; top = 0; low = 0 }
    :: atomic { contender[c].state == RAISING && grants < GRANTS -> grant(c);
        if
        :: k >= NEEDED && low != NONE ->
            k = 0; top = 0; grants++;
            assert(low > highest);                                                      /* rising */
            highest = low; low = 0;
            leaseOfRaised(c);
            contender[c].state = HOLDING;
            alone(c)
        :: else -> k = 0; top = 0; low = 0
        fi }
    :: atomic { contender[c].state != IDLE -> dropAll(c) }
    od
}

/* Whoever held there believes in it for a while. */
inline restart(m) {
    atomic {
        restarts < RESTARTS ->
        restarts++; member[m].owner = NONE;
#ifdef EMPTY
        member[m].number = 0; member[m].isEmpty = true; member[m].before = largest
#endif
    }
}

proctype Restarts() {
end: do
    :: restart(0)
    :: restart(1)
    :: restart(2)
    od
}

init { atomic { byte p = 0; do :: p < C -> run Program(p); p++ :: else -> break od; run Restarts() } }
