/* The output of a Kafka shard's owner against its successor's claim (MQLockKafka, article "Fenced output").
   The old owner, of generation 1, writes one transaction: a record to an output partition, the group offset of the shard
   with its membership, the commit. It may be stopped at any step, and go on at any time. The coordinator begins generation 2
   and gives the shard to the successor, at any time. The broker aborts a transaction that is open by its time-out, at any
   time; what is decided becomes visible partition by partition, by markers, each at any time after.
   The successor waits until no transaction is open on the group offset (step 1 of its claim), restores its state from the
   output up to the high watermark of then, waiting for what is open below it, and then writes.
   Asserted: nothing of the old owner's is decided to be committed after step 1 (!waited); all that it has committed was
   seen by the successor's restoring (sawIt); none of it stands behind the successor's own record (!behind).
   Variants that hold:
     OFFSETSFIRST  the offset is sent before the record
   Broken variants:
     NOOFFSETS     the transaction sends no offset
     OTHERSHARD    it sends that of a partition which the successor does not ask for
     FRESH         it sends it with the membership of now, the old owner having joined again
     NOSTEP1       the successor does not wait
     STABLEEND     the successor restores up to the last stable offset only */
#define NONE 0
#define OPEN 1
#define COMMITTED 2
#define ABORTED 3

byte generation = 1;
byte state = NONE;      /* of the old owner's transaction, at its coordinator */
bit pending = 0;        /* its offset, on the shard's partition of the group's offsets */
bit record = 0;         /* its record, in the output, whatever becomes of it */
bit shown = 0;          /* its marker in the output */
bit waited = 0;         /* the successor has done step 1 */
bit wrote = 0;          /* the successor's own record is in the output */
bit behind = 0;         /* the old owner's record stands behind it */

#ifdef FRESH
#define ACCEPTED 1
#else
#define ACCEPTED (generation == 1)
#endif

inline send_record() {
    atomic {
        if
        :: state == OPEN -> record = 1; behind = wrote
        :: else -> goto refused
        fi
    }
}

inline send_offset() {
#ifdef NOOFFSETS
    skip
#else
    atomic {
        if
        :: state == OPEN && ACCEPTED ->
#ifndef OTHERSHARD
            pending = 1
#else
            skip
#endif
        :: else -> goto refused
        fi
    }
#endif
}

proctype OldOwner() {
    state = OPEN;
#ifdef OFFSETSFIRST
    send_offset();
    send_record();
#else
    send_record();
    send_offset();
#endif
    atomic {
        if
        :: state == OPEN ->
            assert(!waited);
            assert(!behind);
            state = COMMITTED
        :: else
        fi
    };
refused:
    atomic {
        if
        :: state == OPEN -> state = ABORTED
        :: else
        fi
    }
}

proctype Broker() {
end:
    do
    :: atomic { generation == 1 -> generation = 2 }
    :: atomic { state == OPEN -> state = ABORTED }
    :: atomic { state > OPEN && pending -> pending = 0 }
    :: atomic { state > OPEN && record && !shown -> shown = 1 }
    od
}

proctype Successor() {
    bit below, sawIt;
    generation == 2;
#ifndef NOSTEP1
    !pending;
#endif
    atomic { waited = 1; below = record };
#ifdef STABLEEND
    atomic { sawIt = (shown && state == COMMITTED) };
#else
    if
    :: below -> atomic { shown -> sawIt = (state == COMMITTED) }
    :: else
    fi;
#endif
    atomic { assert(!(state == COMMITTED && record) || sawIt); wrote = 1 }
}

init { atomic { run OldOwner(); run Broker(); run Successor() } }
