-- Fencing in PostgreSQL 10 or later. Once per database: the largest token of each lock.
-- "C" compares names byte by byte; bigint holds every fencing token (below 2^63).
CREATE TABLE mqlock_fence (
    name text COLLATE "C" PRIMARY KEY CHECK (octet_length(name) BETWEEN 1 AND 200),
    fence bigint NOT NULL CHECK (fence >= 0)
);
-- What the lock protects; any tables will do.
CREATE TABLE ledger (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    entry text NOT NULL,
    fence bigint NOT NULL
);
