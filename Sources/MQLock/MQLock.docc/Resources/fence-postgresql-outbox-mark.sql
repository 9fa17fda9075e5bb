-- Marks a record once the broker has confirmed its message: a row comes back. No row: the token is stale, or it was marked.
WITH admitted AS (
    INSERT INTO mqlock_fence AS seen (name, fence) VALUES (:'name', :fence)
    ON CONFLICT (name) DO UPDATE SET fence = excluded.fence WHERE seen.fence <= excluded.fence
    RETURNING fence
)
UPDATE outbox SET relayed = admitted.fence FROM admitted WHERE outbox.id = :'entry' AND outbox.relayed IS NULL
RETURNING outbox.relayed;
