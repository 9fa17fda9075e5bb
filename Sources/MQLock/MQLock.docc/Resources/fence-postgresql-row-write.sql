-- Writes the row if the token is not smaller than the one in it: a row comes back. No row: it is stale.
INSERT INTO report AS old (name, content, fence) VALUES (:'name', :'entry', :fence)
ON CONFLICT (name) DO UPDATE SET content = excluded.content, fence = excluded.fence WHERE old.fence <= excluded.fence
RETURNING fence;
