/* Sticky locks on a single active consumer (TheSingleActiveConsumer, Sticky locks): a released lock stays in the process that
   has it, and wants ask for it. N processes acquire ROUNDS times each, one queue serves the first of its consumers. A want is a
   message in the same queue: it goes to whoever is first. Tokens are returned with their consumer, in one step of the queue.

   Checked: of two valid leases never both (valid==0); fences rise from grant to grant (fence>top); and when nothing moves any
   more, nobody waits (served): without -DBOUND a stay never ends by itself, so that holds by the wants alone.
   -DLOSSES=n      n sessions end: the proof runs out first, then the broker returns the token, the client notices at any time
   -DLOST          wants may be lost
   -DBOUND         the stay ends by itself, some time
   Broken variants:
   -DANYGRANT      a lock stays although another process had it since
   -DWANTFIRST     a want may be sent before the place in line is confirmed
   -DFORGET        a want that comes while the lock is held is forgotten
   -DDEAF          a want counts only from the grant on
   -DPASTPROOF     a lock is granted locally without looking at the proof
   -DSAMEFENCE     the local grants of one grant have the same fence */
#ifndef N
#define N 3
#endif
#ifndef ROUNDS
#define ROUNDS 3
#endif
#ifndef LOSSES
#define LOSSES 0
#endif
#define LOCAL 1
#define STEP 2
#define NOBODY 255

byte line[N]; byte size = 0;      /* the consumers, the active one first */
byte token = NOBODY;             /* who has it; else it is in the queue */
byte count = 1;                  /* its returns */
byte ready = 0;                  /* wants in the queue */
byte inbox[N];                   /* wants delivered and not handled */
bit proven[N]; bit leased[N]; bit waits[N];
byte valid = 0; byte top = 0; byte losses = 0;
byte x; bit found;

/* In the same step of the queue as whatever made it possible. */
inline serve() {
    if
    :: size > 0 ->
        inbox[line[0]] = inbox[line[0]] + ready; ready = 0;
        if :: token == NOBODY -> token = line[0] :: else fi
    :: else
    fi
}

inline leave(i) {
    x = 0; found = 0;
    do
    :: x < size -> if :: line[x] == i -> found = 1 :: found -> line[x - 1] = line[x] :: else fi; x++
    :: else -> break
    od;
    if
    :: found ->
        size--; line[size] = 0;
        ready = ready + inbox[i]; inbox[i] = 0;
        if :: token == i -> token = NOBODY; count++ :: else fi
    :: else
    fi;
    x = 0; found = 0;
    serve()
}

inline want(i) { ready++; serve() }

inline grant(i, fence) {
    assert(valid == 0);
    assert(fence > top);
    top = fence; valid++; leased[i] = 1
}

inline end(i) { if :: leased[i] -> leased[i] = 0; valid-- :: else fi }

proctype Client(byte i) {
    byte rounds = 0, last = 0, mine = 0, extra = 0;
    bit heard = 0, sent = 0, streak = 0, lost = 0;
idle:
    if
    :: rounds < ROUNDS -> rounds++; waits[i] = 1
    :: goto done
    fi;
join:
    heard = 0; sent = 0;
#ifdef WANTFIRST
    if :: atomic { want(i); sent = 1 } :: true fi;
#endif
    d_step { line[size] = i; size++; serve() };
    do
    :: token == i && proven[i] -> break
    :: atomic { !sent -> sent = 1;
#ifdef LOST
        if :: want(i) :: lost = 1 fi
#else
        want(i)
#endif
        }
    :: d_step { inbox[i] > 0 -> inbox[i]--; heard = 1 }
    :: d_step { !proven[i] -> leave(i); proven[i] = 1 } -> goto join
    od;
    /* The delivery is here; it is granted only while the session is proven. */
    do
    :: d_step { inbox[i] > 0 -> inbox[i]--; heard = 1 }
    :: d_step { !proven[i] -> leave(i); proven[i] = 1 } -> goto join
    :: atomic { proven[i] ->
        mine = count; extra = 0; streak = (last > 0 && last + 1 == mine); last = mine;
#ifdef ANYGRANT
        streak = 1;
#endif
#ifdef DEAF
        heard = 0;
#endif
        waits[i] = 0;
        grant(i, STEP * mine) } -> break
    od;
held:
    do
    :: d_step { inbox[i] > 0 -> inbox[i]--;
#ifndef FORGET
        heard = 1
#endif
        }
    :: d_step { !proven[i] -> leave(i); proven[i] = 1 } -> goto idle
    :: atomic { proven[i] && streak && !heard && extra < LOCAL -> end(i) } -> goto kept
    :: d_step { proven[i] && (!streak || heard || extra == LOCAL) -> end(i); leave(i) } -> goto idle
    od;
kept:
    do
    :: d_step { inbox[i] > 0 -> inbox[i]--; heard = 1 }
    :: d_step { heard -> leave(i); if :: !proven[i] -> proven[i] = 1 :: else fi } -> goto idle
#ifdef BOUND
    :: d_step { leave(i); if :: !proven[i] -> proven[i] = 1 :: else fi } -> goto idle
#endif
#ifdef PASTPROOF
    :: atomic { !heard && rounds < ROUNDS -> rounds++; extra++; grant(i, STEP * mine + extra) } -> goto held
#else
    :: d_step { !proven[i] -> leave(i); proven[i] = 1 } -> goto idle
    :: atomic { proven[i] && !heard && rounds < ROUNDS -> rounds++; extra++;
#ifdef SAMEFENCE
        grant(i, STEP * mine)
#else
        grant(i, STEP * mine + extra)
#endif
        } -> goto held
#endif
    od;
done:
    skip
}

/* The proof runs out, and the lease with it, before the broker returns what the session has. */
proctype Ends(byte i) {
    do
    :: atomic { losses < LOSSES && proven[i] -> losses++; proven[i] = 0; end(i) }
    :: d_step { !proven[i] && token == i -> leave(i) }
    od
}

active proctype Watch() {
    timeout -> assert(!waits[0] && !waits[1] && !waits[N - 1]) /* served */
}

init {
    atomic {
        byte i = 0;
        do :: i < N -> proven[i] = 1; run Client(i); if :: LOSSES > 0 -> run Ends(i) :: else fi; i++ :: else -> break od
    }
}
