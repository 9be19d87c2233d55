-- SPDX-License-Identifier: MIT
-- Agents of the API, kept whole. (Unfinished tasks have an index with PostgreSQL only: here it would cost each status
-- change a third more, for a question that is asked once after a start.)

-- `spec` is the agent as JSON, credentials included: shown by no view.
CREATE TABLE api_agents (
    id TEXT COLLATE BINARY NOT NULL PRIMARY KEY,
    url TEXT NOT NULL,
    version TEXT,
    spec TEXT NOT NULL,
    changed_at INTEGER NOT NULL
);

DROP VIEW agent_view;
CREATE VIEW agent_view AS
SELECT id,
       url,
       version,
       source,
       strftime('%Y-%m-%dT%H:%M:%fZ', changed_at / 1000000.0, 'unixepoch') AS changed_at
  FROM agents
UNION ALL
SELECT id,
       url,
       version,
       'api',
       strftime('%Y-%m-%dT%H:%M:%fZ', changed_at / 1000000.0, 'unixepoch')
  FROM api_agents;
