// SPDX-License-Identifier: MIT
//
// Listens with the official JavaScript SDK, 1.x, and prints what it is told, an event a line:
//
//     node stream_1.mjs BASE_URL send TEXT [TASK_ID CONTEXT_ID]
//     node stream_1.mjs BASE_URL subscribe TASK_ID
import { randomUUID } from 'node:crypto';
import { SendMessageRequest, StreamResponse } from 'a2a-js-1';
import { ClientFactory } from 'a2a-js-1/client';

const [base, order, what, taskId, contextId] = process.argv.slice(2);
const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);

try {
  const client = await new ClientFactory().createFromUrl(base);
  const events = order === 'subscribe'
    ? client.resubscribeTask({ tenant: '', id: what })
    : client.sendMessageStream(SendMessageRequest.fromJSON({
      message: { messageId: randomUUID(), role: 'ROLE_USER', parts: [{ text: what }], taskId, contextId },
    }));
  for await (const event of events) say({ result: StreamResponse.toJSON(event) });
} catch (e) {
  say({ error: { name: e.name, message: e.message } });
}
