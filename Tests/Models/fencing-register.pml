/*
 * Fencing register of the exclusive queue (protocol section 4.4): each holder's number is above all that were granted.
 *
 * What is modelled
 *   exclusive queue  its owner; nobody else can declare it until the broker has freed it
 *   register         a queue of tokens, each with a number and a nonce (0: a seed), ready or delivered; consumers stand in
 *                    line, only the first is delivered anything
 *   publish          travels apart (publish connection), lands at any time, also after its sender died; or is lost
 *   contender        consumes the register and declares the exclusive queue, whichever is done first; publishes the largest
 *                    number + 1 with a fresh nonce; is granted when it owns the queue and its own token has arrived with a
 *                    number above all others; acks the rest; else it publishes again. It may publish a seed at any time, whose number stands for a clock that is behind.
 *   end              a release or a crash at any step. The broker frees the exclusive queue, and takes the consumer and
 *                    its unacked tokens off the register: each is one step, in any order and any time apart.
 *   not modelled     time: that a contender whose connection is gone at the broker gives up by its clock in time.
 *
 * Checked
 *   rising           numbers of grants strictly increase (assert at the grant)
 *
 * Bounds: -DN contenders, -DLIVES connections each, -DPUBS publishes each, -DSEEDS in all, -DLOSSES publishes lost.
 *
 * Switches, each must be refuted
 *   -DGET            the register is read by basic.get until that says empty, not by a consumer in line
 *   -DTWOSTEPS       a broker that serves the next consumer before a dead one's tokens are back
 *   -DEAGER          granted once published, before the own token is there
 *   -DACKFIRST       what was read is acked before the own token is there
 */
#ifndef N
#define N 2
#endif
#ifndef LIVES
#define LIVES 2
#endif
#ifndef PUBS
#define PUBS 3
#endif
#ifndef SEEDS
#define SEEDS 1
#endif
#ifndef LOSSES
#define LOSSES 1
#endif
#define FIRST 2                 /* the register's token at the start; seeds have the number 1 */
#define SLOTS 5
#define NONE 255

typedef Token { byte number; byte nonce; byte to /* 0: ready, c+1: delivered to c */ };
typedef Flight { byte number; byte nonce };

Token tokens[SLOTS];
byte length = 0;
byte line[N];
byte standing = 0;
byte owner = NONE;
Flight flight[N];               /* one publish under way; number 0: none */
bool owns[N];                   /* a connection that has ended: the broker has not yet freed its exclusive queue, */
byte consumes[N];               /* 1: nor taken its consumer and tokens off the register, 2: its tokens (-DTWOSTEPS) */
byte highest = 0;               /* number of the last grant */
byte seeds = 0, losses = 0;
hidden byte i, k;

#define ANY(p) (p(0) || p(1) || p(2) || p(3) || p(4))
#define IS_READY(i) (i < length && tokens[i].to == 0)
#define IS_SURPLUS(i) (tokens[i].to == c + 1 && tokens[i].nonce != mine)
#define FIND(p) k = 0; do :: p(k) -> break :: else -> k++ od

#ifdef GET
#define SERVED true
#else
#define SERVED (standing > 0 && line[0] == c)
#endif

inline leave_line(c) {
    i = 0; k = 0;
    do :: i < standing -> if :: line[i] != c -> line[k] = line[i]; k++ :: else fi; i++ :: else -> break od;
    standing = k;
    do :: k < N -> line[k] = NONE; k++ :: else -> break od
}

inline requeue(c) {
    i = 0;
    do
    :: i < length -> if :: tokens[i].to == c + 1 -> tokens[i].to = 0 :: else fi; i++
    :: else -> break
    od
}

/* Acked: slot k goes. */
inline remove() {
    length--;
    do
    :: k < length ->
        tokens[k].number = tokens[k+1].number; tokens[k].nonce = tokens[k+1].nonce;
        tokens[k].to = tokens[k+1].to;
        k++
    :: else -> break
    od;
    tokens[length].number = 0; tokens[length].nonce = 0; tokens[length].to = 0
}

inline publish(a, b) { flight[c].number = a; flight[c].nonce = b }

proctype Contender(byte c) {
    byte largest = 0;           /* of the tokens of others that it was delivered */
    byte mine = NONE;           /* nonce of the latest publish, NONE: none is awaited */
    byte number = 0;            /* of that publish */
    byte published = 0, lives = 0;
    bool arrived = false, has = false;
START:
    atomic {
        !owns[c] && consumes[c] == 0 && lives < LIVES ->
        lives++;
#ifndef GET
        line[standing] = c; standing++
#endif
    };
    do
    :: d_step { !has && owner == NONE -> owner = c; has = true }
    :: d_step { SERVED && ANY(IS_READY) ->
        FIND(IS_READY); tokens[k].to = c + 1;
        if
        :: tokens[k].nonce == mine -> arrived = true
        :: tokens[k].nonce != mine && tokens[k].number > largest -> largest = tokens[k].number
        :: else
        fi }
    :: d_step { arrived && number <= largest -> arrived = false; mine = NONE }          /* too small: once more */
    :: atomic { has && arrived && number > largest -> break }
    :: d_step { mine == NONE && flight[c].number == 0 && published < PUBS &&
#ifdef GET
            !ANY(IS_READY) ->
#else
            largest > 0 ->
#endif
        published++; mine = c * 8 + published; number = largest + 1; publish(number, mine) }
    :: d_step { mine != NONE && !arrived && flight[c].number != 0 && losses < LOSSES ->  /* given up, may still land */
        losses++; mine = NONE }
    :: d_step { flight[c].number == 0 && seeds < SEEDS -> seeds++; publish(1, 0) }
#ifdef EAGER
    :: atomic { has && mine != NONE && number > largest -> break }
#endif
#ifdef ACKFIRST
    :: d_step { mine != NONE && ANY(IS_SURPLUS) -> FIND(IS_SURPLUS); remove() }
#endif
    :: atomic { true -> goto END }
    od;
    atomic { assert(number > highest); highest = number };
    do
    :: d_step { ANY(IS_SURPLUS) -> FIND(IS_SURPLUS); remove() }
    :: atomic { true -> goto END }
    od;
END:
    atomic { owns[c] = true; consumes[c] = 1; largest = 0; mine = NONE; number = 0; arrived = false; has = false; goto START }
}

proctype Broker(byte c) {
end: do
    :: d_step { owns[c] -> owns[c] = false; if :: owner == c -> owner = NONE :: else fi }
#ifdef TWOSTEPS
    :: d_step { consumes[c] == 1 -> leave_line(c); consumes[c] = 2 }
    :: d_step { consumes[c] == 2 -> requeue(c); consumes[c] = 0 }
#else
    :: d_step { consumes[c] == 1 -> leave_line(c); requeue(c); consumes[c] = 0 }
#endif
    :: d_step { flight[c].number != 0 && length < SLOTS ->
        tokens[length].number = flight[c].number; tokens[length].nonce = flight[c].nonce; length++;
        flight[c].number = 0; flight[c].nonce = 0 }
    :: d_step { flight[c].number != 0 && losses < LOSSES -> losses++; flight[c].number = 0; flight[c].nonce = 0 }
    od
}

init {
    atomic {
        byte c = 0;
        do
        :: c < N -> line[c] = NONE; run Contender(c); run Broker(c); c++
        :: else -> break
        od;
        tokens[0].number = FIRST; length = 1
    }
}
