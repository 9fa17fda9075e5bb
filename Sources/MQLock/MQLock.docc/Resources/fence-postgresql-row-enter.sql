-- The first statement of a new holder, which also reads. No row: it is stale, or there is no such row yet.
UPDATE report SET fence = :fence WHERE name = :'name' AND fence <= :fence RETURNING content;
