/* SPDX-License-Identifier: MIT
 *
 * Every maximum, in one place. A number here is a promise about memory; each says why it is what it is.
 */
#ifndef LIB_LIMITS_H
#define LIB_LIMITS_H

#define KB(n) ((size_t)(n) << 10)
#define MB(n) ((size_t)(n) << 20)

/* HTTP heads: 64 KB of headers have been seen from browsers with cookies; A2A needs under 2 KB. */
#define LIMIT_HTTP_HEAD KB(32)
#define LIMIT_HTTP_HEADERS 100u
#define LIMIT_HTTP_TARGET KB(8)

/* What a caller may send and what an agent may answer. Files travel base64 inside JSON. */
#define LIMIT_REQUEST_BODY MB(8)
#define LIMIT_AGENT_BODY MB(16)

/* Nesting of JSON. protobuf's JSON parsers, which the SDKs use, stop at 100. */
#define LIMIT_JSON_DEPTH 64u

/* A task's document; below it room is kept for the event that ends the task (LIMIT_TASK_END). */
#define LIMIT_TASK_BYTES MB(16)
#define LIMIT_TASK_END KB(64)

/* Ids of tasks, contexts and messages are chosen by peers; of agents by the operator. */
#define LIMIT_TASK_ID 512u
#define LIMIT_AGENT_ID 64u
#define LIMIT_REQUEST_ID 128u /* X-Request-Id, echoed and logged */
#define LIMIT_JSONRPC_ID 256u /* the raw text of a JSON-RPC id */

/* Bytes of a reply waiting for a slow reader before the writer is told to wait. */
#define LIMIT_CONN_OUT_HIGH KB(256)
/* The same for a stream: ten thousand stalled readers are 640 MB, and no kernel buffer empties faster than this fills. */
#define LIMIT_STREAM_OUT KB(64)
/* Bytes of a pipelined request kept while the one before it is being answered. */
#define LIMIT_PIPELINE KB(64)

/* Appends waiting for the store, in bytes; above it new sends are refused. */
#define LIMIT_STORE_QUEUE MB(64)
/* One batch: the measured knee (group commit gains nothing above it). */
#define LIMIT_BATCH_ROWS 256u
#define LIMIT_BATCH_BYTES KB(512)

/* Documents of one page of ListTasks; the page ends before they exceed it (one task always fits). */
#define LIMIT_LIST_BYTES MB(16)

/* Agent cards have been seen with 100 KB of skills. */
#define LIMIT_CARD MB(1)

/* Events of a task kept for its live readers; whoever is behind them reads the log, in pages of this size. */
#define LIMIT_FEED_BYTES KB(256)
#define LIMIT_FEED_EVENTS 1024u
#define LIMIT_LOG_PAGE KB(64)

/* Events of one agent's stream that are with the store, not durable yet; beyond it the stream is not read. */
#define LIMIT_STREAM_STORING MB(4)

#define LIMIT_AGENTS_FILE MB(1)
#define LIMIT_AGENTS 10000u
#define LIMIT_URL KB(2)

#endif
