-- An outbox beside the table of marks, filled by the transactions whose events it holds.
CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    body text NOT NULL,
    relayed bigint
);
