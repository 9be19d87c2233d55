-- SPDX-License-Identifier: MIT
-- Webhooks; what the columns mean is said in the file for PostgreSQL.

ALTER TABLE push_configs ADD COLUMN secret TEXT;

CREATE TABLE push_cursors (
    key BLOB NOT NULL,
    id TEXT COLLATE BINARY NOT NULL,
    head_seq INTEGER NOT NULL,
    delivered_seq INTEGER NOT NULL,
    failed_seq INTEGER,
    attempts INTEGER NOT NULL DEFAULT 0,
    due_at INTEGER,
    owner BLOB,
    is_over INTEGER NOT NULL DEFAULT 0,
    disabled TEXT,
    created_at INTEGER NOT NULL,
    PRIMARY KEY (key, id)
) WITHOUT ROWID;
CREATE INDEX push_cursors_due ON push_cursors (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX push_cursors_running ON push_cursors (key) WHERE is_over = 0;

CREATE TABLE push_notes (
    key BLOB NOT NULL PRIMARY KEY,
    agent TEXT COLLATE BINARY NOT NULL,
    form INTEGER NOT NULL,
    doc TEXT NOT NULL,
    secret TEXT,
    dialect INTEGER NOT NULL,
    payload TEXT NOT NULL,
    created_at INTEGER NOT NULL
);

CREATE TABLE push_attempts (
    n INTEGER PRIMARY KEY AUTOINCREMENT,
    key BLOB NOT NULL,
    id TEXT COLLATE BINARY NOT NULL,
    seq INTEGER NOT NULL,
    attempt INTEGER NOT NULL,
    at INTEGER NOT NULL,
    status INTEGER,
    ms INTEGER NOT NULL,
    error TEXT,
    answer TEXT
);
CREATE INDEX push_attempts_by_webhook ON push_attempts (key, id, n);

DROP VIEW push_config_view;
CREATE VIEW push_config_view AS
SELECT t.agent AS agent_id,
       t.task_id,
       p.id,
       p.enabled,
       CASE WHEN json_valid(p.doc) THEN json(p.doc) END AS config,
       strftime('%Y-%m-%dT%H:%M:%fZ', p.created_at / 1000000.0, 'unixepoch') AS created_at,
       c.delivered_seq,
       c.head_seq,
       c.attempts,
       strftime('%Y-%m-%dT%H:%M:%fZ', c.due_at / 1000000.0, 'unixepoch') AS due_at,
       c.failed_seq,
       c.disabled AS disabled_because
  FROM push_configs p
  JOIN tasks t ON t.key = p.key
  LEFT JOIN push_cursors c ON c.key = p.key AND c.id = p.id;

CREATE VIEW push_attempt_view AS
SELECT coalesce(t.agent, m.agent) AS agent_id,
       t.task_id,
       a.id,
       a.seq,
       a.attempt,
       strftime('%Y-%m-%dT%H:%M:%fZ', a.at / 1000000.0, 'unixepoch') AS at,
       a.status,
       a.ms,
       a.error,
       a.answer
  FROM push_attempts a
  LEFT JOIN tasks t ON t.key = a.key
  LEFT JOIN push_notes m ON m.key = a.key;
