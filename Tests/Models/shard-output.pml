/* Output of a Kafka shard's owner in transactions that its successor can rely on (MQLockKafka, article "Sharded ownership").
   The former owner does not know that it is one. Each of its transactions writes a record, sends the group's offset of the
   shard with the membership that came with its assignment, and commits. The broker decides, and writes the markers later:
   on the group's offsets and on the output, in any order. The successor waits until no transaction is open on the shard's
   offset (step 1 of its claim), and restores its state from the output, up to the high watermark of then.
   Asserted:
     fenced    nothing of the former owner is committed once the successor has done step 1
     restored  the successor has seen whatever of the former owner is committed, ever
   The offset may be sent before the record, too (OFFSETFIRST).
   Broken variants:
     NOOFFSET       the former owner's transactions send no offset
     OTHEROFFSET    they send another partition's
     FRESH          they send the membership of that instant: the former owner may have joined again, without the shard
     NOWAIT         the successor does not wait
     STABLEONLY     it restores its state up to the last stable offset only */
#ifndef TRANSACTIONS
#define TRANSACTIONS 2
#endif
#define NONE 0
#define OPEN 1
#define COMMITTED 2
#define ABORTED 3

byte epoch = 1;        /* of the group; the former owner's assignment is of 1, the successor's of 2 */
byte tx = NONE;        /* of the former owner; its producer has one at a time */
bit written, onOutput; /* its record stands in the output; and has no marker yet */
bit onOffset;          /* the shard's offset has a transaction open on it */
bit waited;            /* the successor has done step 1 */
byte committed = 0, seen = 0, visible = 0;

#if defined(NOOFFSET) || defined(OTHEROFFSET)
#define SENT 0
#else
#define SENT 1
#endif
#if defined(FRESH) || defined(NOOFFSET)
#define MEMBER true
#else
#define MEMBER (epoch == 1)
#endif

inline write() {
    atomic { if :: tx == OPEN -> written = 1; onOutput = 1 :: else -> goto over fi }
}

inline sendOffset() {
    atomic {
        if
        :: tx == OPEN && MEMBER -> onOffset = SENT
        :: else -> if :: tx == OPEN -> tx = ABORTED :: else fi; goto over
        fi }
}

proctype Former() {
    byte count = 0;
next:
    atomic { tx == NONE && count < TRANSACTIONS -> count++; tx = OPEN; written = 0 };
#ifdef OFFSETFIRST
    sendOffset(); write();
#else
    write(); sendOffset();
#endif
    atomic {
        if
        :: tx == OPEN -> assert(!waited); /* fenced */ tx = COMMITTED; committed = committed + written
        :: else
        fi };
over:
    goto next
}

proctype Broker() {
idle:
    do
    :: atomic { epoch == 1 -> epoch = 2 }
    :: atomic { tx == OPEN -> tx = ABORTED }
    :: atomic { tx > OPEN && onOffset -> onOffset = 0 }
    :: atomic { tx > OPEN && onOutput -> onOutput = 0; if :: tx == COMMITTED -> visible++ :: else fi }
    :: atomic { tx > OPEN && !onOffset && !onOutput -> tx = NONE }
    od
}

proctype Successor() {
    epoch == 2;
#ifndef NOWAIT
    atomic { !onOffset -> waited = 1 };
#else
    waited = 1;
#endif
#ifdef STABLEONLY
    seen = visible;
#else
    /* The watermark is that of an instant after step 1: what stands open before it is waited for. */
    if
    :: onOutput -> atomic { !onOutput -> seen = visible }
    :: atomic { !onOutput -> seen = visible }
    fi;
#endif
    timeout -> assert(seen == committed) /* restored */
}

init { atomic { run Former(); run Broker(); run Successor() } }
