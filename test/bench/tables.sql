-- SPDX-License-Identifier: MIT
-- The tables that pgbench writes: the first SuperX's tasks, with its indexes, and a bare one.
CREATE TABLE bench_tasks (
    id varchar(255) PRIMARY KEY,
    status jsonb NOT NULL,
    message jsonb,
    context_id varchar(255),
    agent_id varchar(255),
    result jsonb,
    artifacts jsonb[] DEFAULT '{}',
    metadata jsonb DEFAULT '{}',
    inserted_at timestamp NOT NULL,
    updated_at timestamp NOT NULL
);
CREATE INDEX ON bench_tasks (agent_id);
CREATE INDEX ON bench_tasks (context_id);
CREATE INDEX ON bench_tasks ((status ->> 'state'));
CREATE INDEX ON bench_tasks (inserted_at);
CREATE TABLE bench_bare (id bigint PRIMARY KEY, doc text NOT NULL);
