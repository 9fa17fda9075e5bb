-- The first statement of a new holder, before it reads: from here on nobody before it can write. No row: it is stale.
INSERT INTO mqlock_fence AS seen (name, fence) VALUES (:'name', :fence)
ON CONFLICT (name) DO UPDATE SET fence = excluded.fence WHERE seen.fence <= excluded.fence
RETURNING fence;
