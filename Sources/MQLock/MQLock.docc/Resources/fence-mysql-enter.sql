-- The first statement of a new holder, before it reads; and the first of a transaction that writes to several tables.
UPDATE mqlock_fence SET fence = @fence, writes = writes + 1 WHERE name = @name AND fence <= @fence;
