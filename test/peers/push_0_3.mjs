// SPDX-License-Identifier: MIT
//
// The same as push_1.mjs with the last 0.3.x of the official JavaScript SDK.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import express from 'express';
import { ClientFactory } from 'a2a-js-0.3/client';

const client = await new ClientFactory().createFromUrl(process.argv[2]);
const got = { with: [], later: [] };
const app = express();
app.use(express.json());
app.post('/:name', (req, res) => {
  assert.equal(req.headers['x-a2a-notification-token'], 'tok');
  assert.equal(req.headers.authorization, 'Bearer cr3d');
  got[req.params.name].push(req.body);
  res.sendStatus(200);
});
const { port } = await new Promise((resolve) => { const s = app.listen(0, '127.0.0.1', () => resolve(s.address())); });
const config = (name, more) => ({
  url: `http://127.0.0.1:${port}/${name}`, token: 'tok', authentication: { schemes: ['Bearer'], credentials: 'cr3d' }, ...more,
});

assert.equal((await client.getAgentCard()).capabilities.pushNotifications, true);
const task = await client.sendMessage({
  message: { kind: 'message', messageId: randomUUID(), role: 'user', parts: [{ kind: 'text', text: 'count 12 60' }] },
  configuration: { blocking: false, pushNotificationConfig: config('with') },
});
const later = await client.setTaskPushNotificationConfig({ taskId: task.id, pushNotificationConfig: config('later', { id: 'mine' }) });
assert.equal(later.pushNotificationConfig.id, 'mine');
await client.setTaskPushNotificationConfig({ taskId: task.id, pushNotificationConfig: config('later', { id: 'gone' }) });
await client.deleteTaskPushNotificationConfig({ id: task.id, pushNotificationConfigId: 'gone' });
const again = await client.getTaskPushNotificationConfig({ id: task.id, pushNotificationConfigId: 'mine' });
assert.equal(again.pushNotificationConfig.url, later.pushNotificationConfig.url);
assert.equal((await client.listTaskPushNotificationConfig({ id: task.id })).length, 2);

const isEnd = (t) => t.status.state === 'completed';
for (const end = Date.now() + 30000; !(got.with.some(isEnd) && got.later.some(isEnd));) {
  if (Date.now() > end) throw new Error(`waited in vain for the end: ${JSON.stringify(got)}`);
  await new Promise((resolve) => setTimeout(resolve, 20));
}
for (const told of [got.with, got.later]) {
  assert.ok(told.every((t) => t.kind === 'task' && t.id === task.id));
  const numbers = told.at(-1).artifacts.flatMap((a) => a.parts).map((p) => Number(p.text));
  assert.deepEqual(numbers, Array.from({ length: 12 }, (_, i) => i + 1));
}
console.log('ok');
process.exit(0);
