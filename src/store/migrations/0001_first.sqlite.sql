-- SPDX-License-Identifier: MIT
-- The embedded store's first shape. Times are microseconds since 1970; `key` is a task's inner name (UUIDv7)
-- and never leaves the gateway. Documents and payloads are kept as the exact text the agent sent.

-- One narrow row per task: what lists, order and guards need. Its version is the seq of its last event.
CREATE TABLE tasks (
    key BLOB NOT NULL PRIMARY KEY,
    agent TEXT COLLATE BINARY NOT NULL,
    task_id TEXT COLLATE BINARY NOT NULL,
    context TEXT COLLATE BINARY,
    dialect INTEGER NOT NULL,
    state INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    status_at INTEGER NOT NULL,
    owner BLOB NOT NULL
) WITHOUT ROWID;
CREATE UNIQUE INDEX tasks_by_name ON tasks (agent, task_id);
CREATE INDEX tasks_by_status ON tasks (agent, status_at, key);
CREATE INDEX tasks_by_context ON tasks (context, key) WHERE context IS NOT NULL;

-- The document as of `seq`; events behind it are folded onto it by whoever reads.
CREATE TABLE task_docs (
    key BLOB NOT NULL PRIMARY KEY,
    seq INTEGER NOT NULL,
    doc TEXT NOT NULL
);

-- The log. kind: 1 message, 2 task snapshot, 3 status. With rowid: payloads of a kilobyte would spill to
-- overflow pages in a table that is an index. The one writer makes an index on (writer, wseq) needless.
CREATE TABLE task_events (
    key BLOB NOT NULL,
    seq INTEGER NOT NULL,
    kind INTEGER NOT NULL,
    writer INTEGER NOT NULL,
    wseq INTEGER NOT NULL,
    at INTEGER NOT NULL,
    payload TEXT NOT NULL
);
CREATE UNIQUE INDEX task_events_by_task ON task_events (key, seq);

CREATE TABLE agents (
    id TEXT COLLATE BINARY NOT NULL PRIMARY KEY,
    url TEXT NOT NULL,
    version TEXT,
    source TEXT COLLATE BINARY NOT NULL, -- where it was registered: file, env, api
    changed_at INTEGER NOT NULL
);

CREATE TABLE push_configs (
    key BLOB NOT NULL,
    id TEXT COLLATE BINARY NOT NULL,
    dialect INTEGER NOT NULL,
    enabled INTEGER NOT NULL DEFAULT 1,
    doc TEXT NOT NULL,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (key, id)
);

CREATE TABLE nodes (
    boot TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    started_at INTEGER NOT NULL
);

-- Who wrote an event: one row per start of the gateway. Ids are never used twice.
CREATE TABLE writers (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    node TEXT NOT NULL,
    lane INTEGER NOT NULL,
    started_at INTEGER NOT NULL
);

-- For people with sqlite3, with the columns of the PostgreSQL views. What is not JSON to SQLite shows as NULL.
-- While a task is active its document may lag behind the newest events, which are in task_events.
CREATE VIEW task_view AS
SELECT t.task_id AS id,
       t.agent AS agent_id,
       t.context AS context_id,
       CASE t.state
           WHEN 1 THEN 'submitted'
           WHEN 2 THEN 'working'
           WHEN 3 THEN 'completed'
           WHEN 4 THEN 'failed'
           WHEN 5 THEN 'canceled'
           WHEN 6 THEN 'input-required'
           WHEN 7 THEN 'rejected'
           WHEN 8 THEN 'auth-required'
           ELSE 'unknown'
       END AS state,
       CASE t.dialect WHEN 0 THEN '0.3' ELSE '1.0' END AS version,
       CASE WHEN json_valid(d.doc) THEN d.doc -> '$.status' END AS status,
       CASE WHEN json_valid(d.doc) THEN d.doc -> '$.artifacts' END AS artifacts,
       CASE WHEN json_valid(d.doc) THEN d.doc -> '$.artifacts' END AS result,
       CASE WHEN json_valid(d.doc) THEN d.doc -> '$.history' END AS history,
       CASE WHEN json_valid(d.doc) THEN d.doc -> '$.metadata' END AS metadata,
       (SELECT json_group_array(json(m.payload))
          FROM (SELECT e.payload
                  FROM task_events e
                 WHERE e.key = t.key AND e.kind = 1 AND json_valid(e.payload)
                 ORDER BY e.seq) m) AS messages,
       t.seq,
       strftime('%Y-%m-%dT%H:%M:%fZ', t.status_at / 1000000.0, 'unixepoch') AS status_at,
       (SELECT strftime('%Y-%m-%dT%H:%M:%fZ', e.at / 1000000.0, 'unixepoch')
          FROM task_events e
         WHERE e.key = t.key AND e.seq = 1) AS inserted_at,
       (SELECT strftime('%Y-%m-%dT%H:%M:%fZ', e.at / 1000000.0, 'unixepoch')
          FROM task_events e
         WHERE e.key = t.key AND e.seq = t.seq) AS updated_at,
       lower(hex(t.key)) AS key
  FROM tasks t
  LEFT JOIN task_docs d ON d.key = t.key;

CREATE VIEW agent_view AS
SELECT id,
       url,
       version,
       source,
       strftime('%Y-%m-%dT%H:%M:%fZ', changed_at / 1000000.0, 'unixepoch') AS changed_at
  FROM agents;

CREATE VIEW push_config_view AS
SELECT t.agent AS agent_id,
       t.task_id,
       p.id,
       p.enabled,
       CASE WHEN json_valid(p.doc) THEN json(p.doc) END AS config,
       strftime('%Y-%m-%dT%H:%M:%fZ', p.created_at / 1000000.0, 'unixepoch') AS created_at
  FROM push_configs p
  JOIN tasks t ON t.key = p.key;
