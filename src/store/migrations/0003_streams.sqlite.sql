-- SPDX-License-Identifier: MIT
-- Events in the words of their agent. Kinds from here on: 1 a caller's message, 2 a task's first snapshot, 3 a status of
-- the gateway's own, 4 a status update, 5 an artifact update, 6 what of a snapshot no update can say (streams are not
-- told). The views show a task's document, which lags behind the newest of these while the task streams.

-- In which version the payload is said, for an agent may change its own: 0 is 0.3, 1 is 1.0. NULL, as a gateway without
-- this column writes it: the task's.
ALTER TABLE task_events ADD COLUMN dialect INTEGER;
