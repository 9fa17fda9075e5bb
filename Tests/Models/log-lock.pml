/* The log lock (article LogLock): two sessions on one log, one name. A session writes records, which are appended in their
   order, any time later; each reads the log at its own pace and folds it: who is a session, its last record, the line.

   Time has no length here. A session counts what it has written; `old` is the number up to which the writing is longer ago
   than a session lives. Whoever expires a session has read its last record longer ago than that, so everything that the
   session had written by then is old. Margins and the factor 1.1 only make this true for clocks of different rates.

   Holds: no lease is valid beside another (alone).
   Broken variants:
     -DACKPROOF   a record proves life when it is appended, not when it has been read back
     -DREADPROOF  it proves from the reading on, not from the writing
     -DANYPROOF   it proves also when it came behind the session's expiry
     -DNOTLAST    wishes prove life, but are not the session's last record
     -DNOSEEN     an expiry takes effect whatever the session's last record is
     -DEARLY      a session is expired before its time */
#ifndef LOG
#define LOG 5
#endif
#define K 4                     /* records of a session at most */

#define ALIVE 1
#define WANT 2
#define LEAVE 3
#define EXPIRE 4

/* On the way into the log: kind, number within the session or offset that an expiry has seen. */
chan way0 = [LOG] of { byte, byte };
chan way1 = [LOG] of { byte, byte };

byte kind[LOG], by[LOG], arg[LOG], end = 0, begun = 0;

/* Of a reader c: of session s at [2*c + s] whether it is one, its last record's offset + 1, and how much it had written when
   that was read; the line at [2*c] and [2*c + 1], session + 1. */
byte pos[2], in[4], last[4], heard[4], line[4];
/* Of a session: records written, the newest own one that proves, those that are old, 0 idle 1 waits 2 holds, whether over. */
byte wrote[2], proof[2], old[2], mode[2];
bit over[2];
byte s, front, n;
bit counts;

#define VALID(c) (mode[c] == 2 && !over[c] && proof[c] > old[c])
#define OTHER(c) (1 - c)

inline write(c, k, a) {
    begun++;
    if :: c == 0 -> way0!k,a :: else -> way1!k,a fi
}

/* An own record, with its number. */
inline own(c, k) { wrote[c]++; write(c, k, wrote[c]) }

inline strike(c, who) {
    if
    :: line[2*c] == who + 1 -> line[2*c] = line[2*c+1]; line[2*c+1] = 0
    :: else -> if :: line[2*c+1] == who + 1 -> line[2*c+1] = 0 :: else fi
    fi
}

inline read(c) {
    n = pos[c];
    s = by[n];
    if
    :: kind[n] == EXPIRE ->
        s = OTHER(s);
#ifdef NOSEEN
        counts = in[2*c+s];
#else
        counts = (in[2*c+s] && last[2*c+s] == arg[n]);
#endif
        if :: counts -> in[2*c+s] = 0; last[2*c+s] = 0; strike(c, s) :: else fi
    :: else ->
        counts = in[2*c+s];
        if
        :: counts && (kind[n] == WANT) && line[2*c] == 0 -> line[2*c] = s + 1
        :: counts && (kind[n] == WANT) && line[2*c] != 0 && line[2*c] != s + 1 -> line[2*c+1] = s + 1
        :: counts && kind[n] == LEAVE -> strike(c, s)
        :: else
        fi;
        if
#ifdef NOTLAST
        :: counts && kind[n] == ALIVE ->
#else
        :: counts ->
#endif
            last[2*c+s] = n + 1; heard[2*c+s] = wrote[s]
        :: else
        fi;
        if
#ifdef ANYPROOF
        :: s == c ->
#else
        :: s == c && counts ->
#endif
#ifdef READPROOF
            proof[c] = wrote[c] + 1
#else
            if :: arg[n] > proof[c] -> proof[c] = arg[n] :: else fi
#endif
        :: else
        fi
    fi;
    pos[c]++;
#ifndef ANYPROOF
    /* who reads that its session is gone ends it for good */
    if :: in[2*c+c] == 0 -> over[c] = 1; mode[c] = 0 :: else fi;
#endif
    assert(!(VALID(0) && VALID(1)));    /* alone */
    n = 0; s = 0; counts = 0
}

#ifdef ACKPROOF
#define ACK(c) if :: k != EXPIRE && a > proof[c] -> proof[c] = a :: else fi
#else
#define ACK(c) skip
#endif
#ifdef EARLY
#define AGE(c) skip
#else
#define AGE(c) if :: heard[2*c+OTHER(c)] > old[OTHER(c)] -> old[OTHER(c)] = heard[2*c+OTHER(c)] :: else fi
#endif

#define MAY(c) (begun < LOG && !over[c])

#define SESSION(c, way) \
    :: d_step { pos[c] < end -> read(c) } \
    :: d_step { MAY(c) && mode[c] > 0 && wrote[c] < K -> own(c, ALIVE) } \
    :: d_step { MAY(c) && mode[c] == 0 && wrote[c] < K - 1 -> own(c, WANT); mode[c] = 1 } \
    :: d_step { MAY(c) && mode[c] == 2 && wrote[c] < K -> mode[c] = 0; own(c, LEAVE) } \
    :: d_step { MAY(c) && in[2*c+OTHER(c)] -> AGE(c); write(c, EXPIRE, last[2*c+OTHER(c)]) } \
    :: d_step { nempty(way) && end < LOG -> way?k,a; kind[end] = k; arg[end] = a; by[end] = c; end++; ACK(c); k = 0; a = 0 } \
    :: d_step { mode[c] == 1 && !over[c] && proof[c] > old[c] && line[2*c] == c + 1 -> \
        assert(!VALID(OTHER(c))); mode[c] = 2 }

active proctype all() {
    byte k, a;
    d_step {
        /* both have opened, at offsets before this log's, and each has read that of both: record number 1 */
        in[0] = 1; in[1] = 1; in[2] = 1; in[3] = 1;
        last[0] = 100; last[1] = 101; last[2] = 100; last[3] = 101;
        wrote[0] = 1; wrote[1] = 1; heard[0] = 1; heard[1] = 1; heard[2] = 1; heard[3] = 1;
        proof[0] = 1; proof[1] = 1
    }
    do
    SESSION(0, way0)
    SESSION(1, way1)
    :: timeout -> break
    od
}
