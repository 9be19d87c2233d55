// SPDX-License-Identifier: MIT
//
// The same as stream_1.mjs with the last 0.3.x of the official JavaScript SDK.
import { randomUUID } from 'node:crypto';
import { ClientFactory } from 'a2a-js-0.3/client';

const [base, order, what, taskId, contextId] = process.argv.slice(2);
const say = (answer) => process.stdout.write(`${JSON.stringify(answer)}\n`);

try {
  const client = await new ClientFactory().createFromUrl(base);
  const events = order === 'subscribe'
    ? client.resubscribeTask({ id: what })
    : client.sendMessageStream({
      message: { kind: 'message', messageId: randomUUID(), role: 'user', parts: [{ kind: 'text', text: what }],
        ...(taskId && { taskId, contextId }) },
    });
  for await (const event of events) say({ result: event });
} catch (e) {
  say({ error: { name: e.name, message: e.message } });
}
