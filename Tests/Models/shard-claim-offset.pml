/* Where a new owner of a Kafka shard begins to read the claims of its predecessors (MQLockKafka, article "Sharded
   ownership", steps 1 to 3). It reads from the group's offset of the shard up to the high watermark, takes the largest
   number, writes a larger one, and makes that watermark the group's offset. That is right only if no claim with a larger
   number stands before the group's offset, whoever writes it:
     claims   one at a time (step 1 waits for open transactions); each is committed, aborted by its owner or the broker, or
              refused before it is appended;
     renewals plain commits of any member at any time, each of what its own committed claim wrote, so that the offset also
              goes back;
     the group's offsets may get lost, and the log is compacted: aborted claims vanish, and committed ones that a later
              committed one replaces.
   Asserted: the numbers of committed claims strictly increase.
   Broken variants:
     RENEWATTEMPT  renewals send the watermark of the member's last attempt, also of one that failed
     SENDEND       a claim makes the end of the log behind itself the group's offset, not the watermark that it read up to
     NONEISEND     a group without an offset begins at the end, not at the beginning */
#define RECORDS 6
#define GONE 0
#define ABORTED 1
#define COMMITTED 2

byte number[RECORDS];
byte state[RECORDS];
byte end = 0;       /* of the log: the high watermark */
byte offset = 0;    /* of the group; 0 is none */
byte written[2];    /* by each member's own committed claim; 0 is nothing */
byte losses = 0;
byte highest = 0;   /* number of a committed claim */

inline append(how) { number[end] = next; state[end] = how; end++ }

active proctype Claims() {
    byte member, at, largest, next, watermark;
idle:
    do
    :: atomic {
        end < RECORDS -> select(member : 0 .. 1);
        watermark = end;
        at = offset;
#ifdef NONEISEND
        if :: offset == 0 && losses > 0 -> at = end :: else fi;
#endif
        largest = 0;
        do
        :: at < watermark -> if :: number[at] > largest -> largest = number[at] :: else fi; at++
        :: else -> break
        od;
        next = largest + 1;
#ifdef RENEWATTEMPT
        written[member] = watermark;
#endif
        if
        :: append(COMMITTED);
           assert(next > highest);
           highest = next;
#ifdef SENDEND
           watermark = end;
#endif
           offset = watermark; written[member] = watermark
        :: append(ABORTED)
        :: skip /* refused before the append */
        fi;
        member = 0; at = 0; largest = 0; next = 0; watermark = 0 }
    od
}

active proctype Renewals() {
idle:
    do
    :: atomic { written[0] > 0 -> offset = written[0] }
    :: atomic { written[1] > 0 -> offset = written[1] }
    :: atomic { losses < 2 -> losses++; offset = 0 }
    od
}

active proctype Compaction() {
    byte old, later;
idle:
    do
    :: atomic {
        end > 1 -> select(old : 0 .. RECORDS - 2);
        if
        :: old < end - 1 && state[old] == ABORTED -> number[old] = 0; state[old] = GONE
        :: old < end - 1 && state[old] == COMMITTED ->
            later = old + 1;
            do
            :: later < end && state[later] != COMMITTED -> later++
            :: else -> break
            od;
            if :: later < end -> number[old] = 0; state[old] = GONE :: else fi
        :: else
        fi;
        old = 0; later = 0 }
    od
}
