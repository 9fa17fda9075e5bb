-- Writes if the token is not smaller than one seen before for this lock: a row comes back. No row: it is stale.
WITH admitted AS (
    INSERT INTO mqlock_fence AS seen (name, fence) VALUES (:'name', :fence)
    ON CONFLICT (name) DO UPDATE SET fence = excluded.fence WHERE seen.fence <= excluded.fence
    RETURNING fence
)
INSERT INTO ledger (entry, fence) SELECT :'entry', fence FROM admitted
RETURNING fence;
