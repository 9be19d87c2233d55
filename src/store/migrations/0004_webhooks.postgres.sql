-- SPDX-License-Identifier: MIT
--
-- Webhooks. A gateway one version older serves on, but the events it writes wake nobody: a newer node's sweep finds
-- them within half a minute.

-- Secrets of a webhook, sealed if there is a key for that; shown by no view. push_configs.dialect: in whose words its
-- receiver is told, 0 A2A 0.3, 1 A2A 1.0, 2 the first SuperX's.
ALTER TABLE {schema}.push_configs ADD COLUMN secret text;

-- How far each webhook has come. `key` is the task's, or that of a message (push_notes).
CREATE TABLE {schema}.push_cursors (
    key           uuid     NOT NULL,
    id            text COLLATE "C" NOT NULL,
    head_seq      bigint   NOT NULL,
    delivered_seq bigint   NOT NULL,
    failed_seq    bigint,            -- first event that was given up since the last retry
    attempts      integer  NOT NULL DEFAULT 0, -- at the event behind delivered_seq
    due_at        timestamptz,       -- null: nothing to do
    owner         uuid,              -- the node that delivers it now
    is_over       boolean  NOT NULL DEFAULT false, -- the task has ended, and head_seq is its end
    disabled      text,              -- why; null: enabled
    created_at    timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (key, id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);
CREATE INDEX push_cursors_due ON {schema}.push_cursors (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX push_cursors_running ON {schema}.push_cursors (key) WHERE NOT is_over;

-- Messages that are no task's, for the webhook that came with the request.
CREATE TABLE {schema}.push_notes (
    key        uuid        PRIMARY KEY,
    agent      text COLLATE "C" NOT NULL,
    form       smallint    NOT NULL,
    doc        text        NOT NULL,
    secret     text,
    dialect    smallint    NOT NULL,
    payload    text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE {schema}.push_attempts (
    n       bigint      GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    key     uuid        NOT NULL,
    id      text COLLATE "C" NOT NULL,
    seq     bigint      NOT NULL,
    attempt integer     NOT NULL,
    at      timestamptz NOT NULL,
    status  integer,
    ms      bigint      NOT NULL,
    error   text,
    answer  text
);
CREATE INDEX push_attempts_by_webhook ON {schema}.push_attempts (key, id, n);

CREATE OR REPLACE VIEW {schema}.push_config_view AS
SELECT t.agent AS agent_id,
       t.task_id,
       p.id,
       p.enabled,
       {schema}.json_or_null(p.doc) AS config,
       p.created_at,
       c.delivered_seq,
       c.head_seq,
       c.attempts,
       c.due_at,
       c.failed_seq,
       c.disabled AS disabled_because
FROM {schema}.push_configs p
JOIN {schema}.tasks t ON t.key = p.key
LEFT JOIN {schema}.push_cursors c ON c.key = p.key AND c.id = p.id;

CREATE VIEW {schema}.push_attempt_view AS
SELECT coalesce(t.agent, m.agent) AS agent_id,
       t.task_id,
       a.id,
       a.seq,
       a.attempt,
       a.at,
       a.status,
       a.ms,
       a.error,
       a.answer
FROM {schema}.push_attempts a
LEFT JOIN {schema}.tasks t ON t.key = a.key
LEFT JOIN {schema}.push_notes m ON m.key = a.key;
