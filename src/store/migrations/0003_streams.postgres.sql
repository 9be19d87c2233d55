-- SPDX-License-Identifier: MIT
--
-- Events in the words of their agent. A gateway one version older serves on: it names the columns it writes and reads.

-- In which version the payload is said, for an agent may change its own: 0 is 0.3, 1 is 1.0. Null, as a gateway without
-- this column writes it: the task's.
ALTER TABLE {schema}.task_events ADD COLUMN dialect smallint;

COMMENT ON COLUMN {schema}.task_events.kind IS
    '1 a caller''s message, 2 a task''s first snapshot, 3 a status of the gateway''s own, 4 a status update, '
    '5 an artifact update, 6 what of a snapshot no update can say (streams are not told)';
COMMENT ON COLUMN {schema}.task_events.dialect IS 'version of the payload: 0 is 0.3, 1 is 1.0, null the task''s';
COMMENT ON VIEW {schema}.task_view IS
    'One row per task. While a task is active its document may lag behind its newest events, which are in task_events.';
