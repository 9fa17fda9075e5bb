/* How the owner of a Kafka shard gets its number, and who owns it (MQLockKafka, article "Sharded ownership"), with members
   that pause anywhere, die, and go on as zombies. One shard; N members of the group, eager assignment. Each member is
     Member  the library and the thread that polls it: learns of rebalances late, answers them, keeps its own deadline;
     Claim   steps 1 to 3 on a thread of their own, then step 4 and the grant on the polling thread.
   A pause is a process that is not chosen. `epoch` stands for generation and member id together: it never repeats, as a
   member id does not, while the generation that members see (`shown`) begins anew with the group.
   Renewals are not events: a proof stands until `tick`, which means that a session less its margin has passed since the
   last accepted commit was sent. The broker expels whom it has not vouched for since.
   Asserted:
     alone     nobody else owns within its deadline when a shard is granted
     rising    the numbers of granted ownerships strictly increase
     ordered   so do the numbers of committed claims, in the order in which the broker decides
     owned     (CALM) when nothing disturbs any more, somebody alive owns the shard
   What may happen: FAULTS in all of rebalances, deadlines that pass, expulsions, aborted transactions and lost answers;
   DEATHS deaths; REBIRTHS: the empty group is forgotten, its generation begins anew; DELETIONS: the topic is made anew.
   Broken variants:
     GENERATION   the number is the group's generation
     OFFSET       the number is the record's offset
     COMMITTEDREAD  step 2 reads committed records up to the first open transaction
     NOWAIT       no step 1: nobody waits for a former owner's open transaction
     FRESH        step 3 sends the membership of that instant, not the one that came with the assignment
     UNFENCED     step 3 sends no membership
     NOCONFIRM    no step 4: the deadline is counted from the grant
     NOCOMPARE    step 4 counts without a look at the membership with which it was sent
     NOLOOK       the grant does not look whether the shard was revoked or lost since the claim began
     RECEIPT      a renewal counts from the receipt of its answer
     LATEREPLY    renewals go on by a thread of their own while a revocation waits for its answer
     NOTIMEOUT    transactions are never aborted by the broker */
#ifndef N
#define N 2
#endif
#ifndef FAULTS
#define FAULTS 3
#endif
#ifndef DEATHS
#define DEATHS 0
#endif
#ifndef REBIRTHS
#define REBIRTHS 0
#endif
#ifndef DELETIONS
#define DELETIONS 0
#endif
#ifndef RECORDS
#define RECORDS 4
#endif
#define NOBODY N

/* a transaction, and the state of its record */
#define NONE 0
#define OPEN 1
#define COMMITTED 2
#define ABORTED 3

byte faults = FAULTS, deaths = DEATHS, rebirths = REBIRTHS, deletions = DELETIONS;

/* The group. */
byte epoch = 1, shown = 1, owner = 0;
bit rebalancing = 0;
bit in[N], ready[N];     /* is a member; has given its shards back and asked to join again */
bit vouched[N];          /* cannot be expelled: its last renewal is younger than a session */
/* The transactions. */
byte tx[N], record[N];   /* record: its position + 1 */
bit pending[N];          /* sends the group's offset; the marker on that has not been written yet */
/* The topic. */
byte number[RECORDS], state[RECORDS], end = 0;
byte clock = 0;          /* numbers begin above it */
/* The members. */
byte known[N], seen[N], snapshot[N];   /* the epoch: of the library, of the last polled event, of the assignment */
bit given[N];                          /* with the shard: an assignment that waits to be polled */
bit has[N], unbroken[N], granted[N], proven[N], fresh[N], dead[N];
/* The judge. */
byte decided = 0, highest = 0, largestEver = 0;
bit noRoom = 0;

#if N == 3
#define EMPTY (!in[0] && !in[1] && !in[2])
#define ALLREADY ((!in[0] || ready[0]) && (!in[1] || ready[1]) && (!in[2] || ready[2]))
#define OPENOFFSETS (pending[0] || pending[1] || pending[2])
#define OPENANY (tx[0] || tx[1] || tx[2])
#define OWNED(m) (granted[m] && proven[m])
#define OTHERS(i) ((i != 0 && OWNED(0)) || (i != 1 && OWNED(1)) || (i != 2 && OWNED(2)))
#else
#define EMPTY (!in[0] && !in[1])
#define ALLREADY ((!in[0] || ready[0]) && (!in[1] || ready[1]))
#define OPENOFFSETS (pending[0] || pending[1])
#define OPENANY (tx[0] || tx[1])
#define OWNED(m) (granted[m] && proven[m])
#define OTHERS(i) ((i != 0 && OWNED(0)) || (i != 1 && OWNED(1)))
#endif

/* What the grant looks at. */
#ifdef RECEIPT
#define IN_TIME true
#else
#define IN_TIME fresh[i]
#endif
#ifdef NOCOMPARE
#define SAME_MEMBERSHIP true
#else
#define SAME_MEMBERSHIP (known[i] == membership)
#endif
#ifdef NOLOOK
#define UNBROKEN true
#else
#define UNBROKEN unbroken[i]
#endif

inline giveUp(i) { has[i] = 0; granted[i] = 0; unbroken[i] = 0; proven[i] = 0 }

inline chooseOwner() {
    if
    :: in[0] -> owner = 0
    :: in[1] -> owner = 1
#if N == 3
    :: in[2] -> owner = 2
#endif
    fi
}

proctype Group() {
idle:
    do
    :: atomic { !rebalancing && !EMPTY && faults > 0 -> faults--; rebalancing = 1 }
    :: atomic {
        rebalancing && !EMPTY && ALLREADY -> epoch++; shown++; rebalancing = 0;
        ready[0] = 0; ready[1] = 0;
#if N == 3
        ready[2] = 0;
#endif
        chooseOwner() }
    :: atomic { EMPTY && rebirths > 0 -> rebirths--; shown = 0 }
    :: atomic {
        deletions > 0 && end > 0 && !OPENANY -> deletions--;
        do :: end > 0 -> end--; number[end] = 0; state[end] = NONE :: else -> break od;
        clock = largestEver }
    od
}

proctype Member(byte i) {
idle:
    do
    /* a rebalance */
    :: atomic {
        !dead[i] && rebalancing && in[i] && !ready[i] && seen[i] == known[i] ->
        giveUp(i); ready[i] = 1 }
    :: atomic {
        !dead[i] && !rebalancing && in[i] && known[i] != epoch && seen[i] == known[i] ->
        known[i] = epoch; given[i] = (owner == i) }
    :: atomic {
        !dead[i] && known[i] != 0 && seen[i] != known[i] ->
        seen[i] = known[i]; snapshot[i] = known[i]; has[i] = given[i] }
    /* the library learns that it was expelled; the event is polled, and it joins anew */
    :: atomic { !dead[i] && !in[i] && known[i] != 0 -> known[i] = 0 }
    :: atomic {
        !dead[i] && !in[i] && known[i] == 0 -> giveUp(i); seen[i] = 0; snapshot[i] = 0;
        in[i] = 1; ready[i] = 1; rebalancing = 1 }
    /* time */
    :: atomic { (vouched[i] || proven[i] || fresh[i]) && (dead[i] || faults > 0) ->
        if :: dead[i] :: else -> faults-- fi;
        vouched[i] = 0; proven[i] = 0; fresh[i] = 0 }
    :: atomic {
        !dead[i] && granted[i] && !proven[i] -> giveUp(i); in[i] = 0; ready[i] = 0; vouched[i] = 0; known[i] = 0;
        rebalancing = 1 }
    :: atomic { in[i] && !vouched[i] && (dead[i] || faults > 0) ->
        if :: dead[i] :: else -> faults-- fi;
        in[i] = 0; ready[i] = 0; rebalancing = 1 }
#ifdef LATEREPLY
    /* the time for the rebalance is over, while renewals went on */
    :: atomic { in[i] && rebalancing && !ready[i] && faults > 0 -> faults--; in[i] = 0; ready[i] = 0; vouched[i] = 0 }
#endif
    :: atomic { !dead[i] && deaths > 0 -> deaths--; dead[i] = 1; giveUp(i); vouched[i] = 0 }
    /* transactions: the broker aborts one that is open, and later writes the markers of one that is decided */
#ifndef NOTIMEOUT
    :: atomic { tx[i] == OPEN && (dead[i] || faults > 0) -> if :: dead[i] :: else -> faults-- fi; tx[i] = ABORTED }
#endif
    :: atomic {
        tx[i] > OPEN -> if :: record[i] > 0 -> state[record[i] - 1] = tx[i] :: else fi;
        tx[i] = NONE; record[i] = 0; pending[i] = 0 }
    od
}

/* The largest number that step 2 sees. */
inline readClaims() {
    d_step {
        largest = clock;
        at = 0;
        do
        :: at < end ->
#ifdef COMMITTEDREAD
            if :: state[at] == OPEN -> break :: else fi;
            if :: state[at] == COMMITTED && number[at] > largest -> largest = number[at] :: else fi;
#else
            if :: number[at] > largest -> largest = number[at] :: else fi;
#endif
            at++
        :: else -> break
        od;
        at = 0
    }
}

proctype Claim(byte i) {
    byte membership, sent, largest, at, mine;
    byte tried;   /* the epoch whose claim was refused: only another assignment helps */
    bit accepted, appended;
idle:
    do
    :: atomic {
        !dead[i] && has[i] && !granted[i] && tx[i] == NONE && snapshot[i] != tried ->
        membership = snapshot[i]; unbroken[i] = 1; tried = 0; appended = 0 };
        /* step 1 */
#ifndef NOWAIT
        atomic { !OPENOFFSETS -> skip };
#endif
        /* step 2 */
        readClaims();
        /* step 3 */
        atomic { tx[i] = OPEN };
#ifdef FRESH
        membership = known[i];
#endif
#ifdef UNFENCED
        membership = 0;
#endif
        /* the record may be sent before the offset, or with the commit */
        if :: goto append :: goto offset fi;
append: atomic {
            if
            :: dead[i] -> goto stopped
            :: !dead[i] && tx[i] != OPEN -> goto next
            :: !dead[i] && tx[i] == OPEN && end >= RECORDS -> noRoom = 1; goto stopped
            :: !dead[i] && tx[i] == OPEN && end < RECORDS ->
                mine = largest + 1;
#ifdef GENERATION
                mine = shown;
#endif
#ifdef OFFSET
                mine = end + 1;
#endif
                number[end] = mine; state[end] = OPEN; end++; record[i] = end; appended = 1;
                if :: mine > largestEver -> largestEver = mine :: else fi
            fi };
        if :: pending[i] -> goto commit :: else fi;
offset: atomic {
            if
            :: dead[i] -> goto stopped
            :: !dead[i] && tx[i] != OPEN -> goto next
            :: !dead[i] && tx[i] == OPEN && (membership == 0 || (in[i] && membership == epoch)) -> pending[i] = 1
            :: else -> tx[i] = ABORTED; tried = membership; goto next
            fi };
        if :: !appended -> goto append :: else fi;
commit: atomic {
            if
            :: dead[i] -> goto stopped
            :: !dead[i] && tx[i] != OPEN -> goto next
            :: else ->
                tx[i] = COMMITTED;
                assert(mine > decided); /* ordered */
                decided = mine;
                if :: skip :: faults > 0 -> faults--; goto next /* the answer is lost */ fi
            fi };
        /* step 4, on the polling thread */
confirm: atomic {
            if :: dead[i] -> goto stopped :: else fi;
            sent = known[i];
#ifndef NOCOMPARE
            if :: sent != membership || !unbroken[i] -> goto next :: else fi;
#endif
            fresh[i] = 1 };
#ifdef NOCONFIRM
        accepted = 1;
#else
        atomic {
            if
            :: in[i] && sent != 0 && sent == epoch -> accepted = 1; vouched[i] = fresh[i]
            :: sent == 0 && EMPTY -> accepted = 1  /* without a membership the broker checks nothing */
            :: else -> accepted = 0
            fi };
#endif
        atomic {
            if
            :: dead[i] -> goto stopped
            :: !dead[i] && accepted && IN_TIME && SAME_MEMBERSHIP && UNBROKEN ->
                assert(!OTHERS(i)); /* alone */
                assert(mine > highest); /* rising */
                highest = mine; granted[i] = 1; proven[i] = 1
            :: !dead[i] && !accepted -> tried = membership
            :: else
            fi;
            fresh[i] = 0 };
next:   atomic { membership = 0; sent = 0; largest = 0; mine = 0; accepted = 0; appended = 0 }
    od;
stopped: skip
}

init {
    atomic {
        in[0] = 1; in[1] = 1; known[0] = 1; known[1] = 1; seen[0] = 1; seen[1] = 1; snapshot[0] = 1; snapshot[1] = 1;
#if N == 3
        in[2] = 1; known[2] = 1; seen[2] = 1; snapshot[2] = 1;
#endif
        has[0] = 1;
        run Group(); run Member(0); run Claim(0); run Member(1); run Claim(1);
#if N == 3
        run Member(2); run Claim(2);
#endif
    }
#ifdef CALM
    timeout -> assert(noRoom || end >= RECORDS || EMPTY || (owner != NOBODY && OWNED(owner))) /* owned */
#endif
}
