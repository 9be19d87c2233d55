-- SPDX-License-Identifier: MIT
-- The least a database can be asked to do: one row of 1 KB under a bigint key, no other index, a transaction of its
-- own. The range makes nearly every id a new one, because the gateway's sends create tasks.
\set id random(1, 9000000000000000000)
INSERT INTO bench_bare (id, doc) VALUES (:id, :doc) ON CONFLICT (id) DO UPDATE SET doc = excluded.doc;
