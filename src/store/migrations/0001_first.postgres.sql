-- SPDX-License-Identifier: MIT
--
-- The first tables. {schema} is replaced by the name of SuperX's schema, quoted; the schema itself and the table
-- `migrations` exist already. Applied in one transaction, once; later migrations only add.
--
-- What rests on what (DESIGN section 5):
--   * tasks is narrow and is what lists, order, totals and guards read; documents and events lie beside it.
--   * tasks.seq is the version: the seq of the task's last event.
--   * No foreign key leads to tasks from the two tables of the write path. Documents and events are written by the
--     same statement as their task's row and only for rows that passed the guard; a key would look that row up, and
--     lock it, once more for every event.
--   * Documents and payloads are the agent's bytes: text, never jsonb, which reorders, rewrites and refuses \u0000.

CREATE TABLE {schema}.tasks (
    key       uuid        PRIMARY KEY,
    owner     uuid        NOT NULL,
    seq       bigint      NOT NULL,
    status_at timestamptz NOT NULL,
    state     smallint    NOT NULL,
    dialect   smallint    NOT NULL,
    agent     text COLLATE "C" NOT NULL,
    task_id   text COLLATE "C" NOT NULL CHECK (octet_length(task_id) BETWEEN 1 AND 512),
    context   text COLLATE "C",
    UNIQUE (agent, task_id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

-- Newest status first, by agent. Moving status_at makes an update not HOT, so there is this one index on it and no
-- second one for lists over all agents: those walk the agents and merge the heads of their lists (postgres_read.c),
-- which costs a reader a few pages per agent instead of costing every status change one more index entry.
-- Updates that leave the status alone stay HOT.
CREATE INDEX tasks_by_status ON {schema}.tasks (agent, status_at, key);
CREATE INDEX tasks_by_context ON {schema}.tasks (context, key) WHERE context IS NOT NULL;

CREATE TABLE {schema}.task_docs (
    key uuid   PRIMARY KEY,
    seq bigint NOT NULL, -- the document with all events up to here folded in; the rest is in task_events
    doc text   NOT NULL
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_cost_delay = 0);

-- The log: per task without holes by (key, seq), per writer in commit order, with holes, by (writer, wseq).
CREATE TABLE {schema}.task_events (
    key     uuid        NOT NULL,
    seq     bigint      NOT NULL,
    wseq    bigint      NOT NULL,
    at      timestamptz NOT NULL,
    writer  integer     NOT NULL,
    kind    smallint    NOT NULL, -- 1 a caller's message, 2 a task snapshot, 3 a status
    payload text        NOT NULL,
    PRIMARY KEY (key, seq),
    UNIQUE (writer, wseq)
);

CREATE TABLE {schema}.agents (
    id         text COLLATE "C" PRIMARY KEY,
    url        text        NOT NULL,
    version    text,
    source     text COLLATE "C" NOT NULL, -- where it was registered: file, env, api
    changed_at timestamptz NOT NULL DEFAULT now()
);

CREATE TABLE {schema}.push_configs (
    key        uuid        NOT NULL REFERENCES {schema}.tasks ON DELETE CASCADE,
    id         text COLLATE "C" NOT NULL,
    dialect    smallint    NOT NULL,
    enabled    boolean     NOT NULL DEFAULT true,
    doc        text        NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (key, id)
);

-- One row per gateway process that lived; its lease is renewed every second in the database's time.
CREATE TABLE {schema}.nodes (
    boot        uuid        PRIMARY KEY,
    name        text        NOT NULL,
    started_at  timestamptz NOT NULL DEFAULT now(),
    lease_until timestamptz NOT NULL
) WITH (fillfactor = 50, autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 500);

-- One row per write connection of a process. Ids are never used twice, so that (writer, wseq) names one event.
CREATE TABLE {schema}.writers (
    id         integer     GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    node       uuid        NOT NULL,
    lane       smallint    NOT NULL,
    started_at timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX writers_by_node ON {schema}.writers (node);

-- lz4 halves the cost of documents above 2 KB; PostgreSQL has it from 14 on, if it was built with it. As text for
-- EXECUTE because version 13 refuses the block for a clause it cannot parse.
DO $$
BEGIN
    IF current_setting('server_version_num')::int >= 140000
       AND EXISTS (SELECT FROM pg_settings
                   WHERE name = 'default_toast_compression' AND 'lz4' = ANY (enumvals)) THEN
        EXECUTE 'ALTER TABLE {schema}.task_docs ALTER COLUMN doc SET COMPRESSION lz4';
        EXECUTE 'ALTER TABLE {schema}.task_events ALTER COLUMN payload SET COMPRESSION lz4';
        EXECUTE 'ALTER TABLE {schema}.push_configs ALTER COLUMN doc SET COMPRESSION lz4';
    END IF;
END
$$;

-- For people with psql ------------------------------------------------------------------------------------------------

-- Legal JSON that jsonb cannot hold (\u0000, 1e400000, lone surrogates) is null here; the text is in the table.
CREATE FUNCTION {schema}.json_or_null(t text) RETURNS jsonb LANGUAGE plpgsql IMMUTABLE STRICT AS $$
BEGIN
    RETURN t::jsonb;
EXCEPTION WHEN OTHERS THEN
    RETURN NULL;
END
$$;

CREATE FUNCTION {schema}.state_name(state smallint) RETURNS text LANGUAGE sql IMMUTABLE STRICT AS $$
    SELECT coalesce((ARRAY['submitted', 'working', 'completed', 'failed', 'canceled', 'input-required', 'rejected',
                           'auth-required'])[state], 'unknown')
$$;

CREATE VIEW {schema}.task_view AS
SELECT t.task_id AS id,
       t.agent AS agent_id,
       t.context AS context_id,
       {schema}.state_name(t.state) AS state,
       CASE t.dialect WHEN 0 THEN '0.3' ELSE '1.0' END AS version,
       j.doc -> 'status' AS status,
       j.doc -> 'artifacts' AS artifacts,
       j.doc -> 'artifacts' AS result,
       j.doc -> 'history' AS history,
       j.doc -> 'metadata' AS metadata,
       (SELECT jsonb_agg({schema}.json_or_null(e.payload) ORDER BY e.seq)
        FROM {schema}.task_events e WHERE e.key = t.key AND e.kind = 1) AS messages,
       t.seq,
       t.status_at,
       (SELECT e.at FROM {schema}.task_events e WHERE e.key = t.key AND e.seq = 1) AS inserted_at,
       (SELECT e.at FROM {schema}.task_events e WHERE e.key = t.key AND e.seq = t.seq) AS updated_at,
       t.key
FROM {schema}.tasks t
LEFT JOIN {schema}.task_docs d ON d.key = t.key
LEFT JOIN LATERAL (SELECT {schema}.json_or_null(d.doc) AS doc OFFSET 0) j ON true;

CREATE VIEW {schema}.agent_view AS
SELECT a.id, a.url, a.version, a.source, a.changed_at FROM {schema}.agents a;

CREATE VIEW {schema}.push_config_view AS
SELECT t.agent AS agent_id,
       t.task_id,
       p.id,
       p.enabled,
       {schema}.json_or_null(p.doc) AS config,
       p.created_at
FROM {schema}.push_configs p
JOIN {schema}.tasks t ON t.key = p.key;
