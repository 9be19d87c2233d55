-- SPDX-License-Identifier: MIT
--
-- Unfinished tasks by owner, for taking over those of nodes that are gone; agents of the API, kept whole. A gateway
-- one version older serves on: it neither reads nor writes what is new here.

-- State numbers: all but completed, failed, canceled and rejected. Updates that leave the status alone stay HOT: owner
-- and state are written with the values they had. A task leaves this index when it ends.
CREATE INDEX tasks_unfinished ON {schema}.tasks (owner, key) WHERE state IN (0, 1, 2, 6, 8);

-- `spec` is the agent as JSON, credentials included: shown by no view.
CREATE TABLE {schema}.api_agents (
    id         text COLLATE "C" PRIMARY KEY,
    url        text        NOT NULL,
    version    text,
    spec       text        NOT NULL,
    changed_at timestamptz NOT NULL DEFAULT now()
);

-- Counts the changes of api_agents, in the same transaction: what every node looks at once a second. A time would
-- not do, because deleted rows have none.
CREATE TABLE {schema}.api_agents_changes (
    only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
    n        bigint  NOT NULL
);
INSERT INTO {schema}.api_agents_changes (n) VALUES (0);

CREATE OR REPLACE VIEW {schema}.agent_view AS
SELECT a.id, a.url, a.version, a.source, a.changed_at FROM {schema}.agents a
UNION ALL
SELECT a.id, a.url, a.version, 'api' COLLATE "C", a.changed_at FROM {schema}.api_agents a;
