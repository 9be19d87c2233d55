-- SPDX-License-Identifier: MIT
-- What the first SuperX does for a task of 1 KB: one upsert into its tasks table, a transaction of its own. Ids are
-- nearly always new, as above all new tasks are what the gateway is sent.
\set id random(1, 9000000000000000000)
INSERT INTO bench_tasks (id, status, message, context_id, agent_id, result, artifacts, metadata, inserted_at, updated_at)
VALUES ('bench-' || :id, '{"state": "completed", "timestamp": "2026-01-02T03:04:05.678Z"}', NULL, 'context-' || :id,
        'task', NULL, ARRAY[:doc::jsonb], '{"model": "none", "tokens": 1234}', now(), now())
ON CONFLICT (id) DO UPDATE SET status = excluded.status, message = excluded.message, context_id = excluded.context_id,
    agent_id = excluded.agent_id, result = excluded.result, artifacts = excluded.artifacts,
    metadata = excluded.metadata, updated_at = excluded.updated_at
WHERE bench_tasks.status ->> 'state' NOT IN ('completed', 'failed', 'canceled');
