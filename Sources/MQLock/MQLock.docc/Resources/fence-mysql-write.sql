-- Writes if the token is not smaller than one seen before for this lock. Rows affected: 0 when it is stale. Without the
-- counter it would also be 0 when nothing changes, because MySQL counts changed rows, not found ones.
UPDATE mqlock_fence AS seen JOIN report ON report.name = seen.name
SET seen.fence = @fence, seen.writes = seen.writes + 1, report.content = @entry
WHERE seen.name = @name AND seen.fence <= @fence;
