-- The same where the lock protects one row, which carries the token itself.
CREATE TABLE report (
    name text COLLATE "C" PRIMARY KEY,
    content text NOT NULL,
    fence bigint NOT NULL CHECK (fence >= 0)
);
