// SPDX-License-Identifier: MIT
//
// Registers webhooks with the official JavaScript SDK, 1.x, and receives them: node push_1.mjs BASE_URL. Every step is
// checked here; the last line says "ok".
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import express from 'express';
import { SendMessageRequest, StreamResponse, TaskPushNotificationConfig, TaskState } from 'a2a-js-1';
import { ClientFactory } from 'a2a-js-1/client';

const client = await new ClientFactory().createFromUrl(process.argv[2]);
const got = { with: [], later: [] };
const app = express();
app.use(express.json({ type: ['application/json', 'application/a2a+json'] }));
app.post('/:name', (req, res) => {
  assert.equal(req.headers['x-a2a-notification-token'], 'tok');
  assert.equal(req.headers.authorization, 'Bearer cr3d');
  got[req.params.name].push(StreamResponse.fromJSON(req.body));
  res.sendStatus(200);
});
const { port } = await new Promise((resolve) => { const s = app.listen(0, '127.0.0.1', () => resolve(s.address())); });
const config = (name, more) => TaskPushNotificationConfig.fromJSON({
  url: `http://127.0.0.1:${port}/${name}`, token: 'tok', authentication: { scheme: 'Bearer', credentials: 'cr3d' }, ...more,
});

const card = await client.getAgentCard();
assert.equal(card.capabilities.pushNotifications, true);
const task = await client.sendMessage(SendMessageRequest.fromJSON({
  message: { messageId: randomUUID(), role: 'ROLE_USER', parts: [{ text: 'count 12 60' }] },
  configuration: { returnImmediately: true, taskPushNotificationConfig: TaskPushNotificationConfig.toJSON(config('with')) },
}));
const later = await client.createTaskPushNotificationConfig(config('later', { taskId: task.id, id: 'mine' }));
assert.equal(later.id, 'mine');
await client.createTaskPushNotificationConfig(config('later', { taskId: task.id, id: 'gone' }));
await client.deleteTaskPushNotificationConfig({ tenant: '', taskId: task.id, id: 'gone' });
assert.equal((await client.getTaskPushNotificationConfig({ tenant: '', taskId: task.id, id: 'mine' })).url, later.url);
const listed = await client.listTaskPushNotificationConfig({ tenant: '', taskId: task.id, pageSize: 10, pageToken: '' });
assert.equal(listed.configs.length, 2);

const isEnd = (r) => r.payload.$case === 'statusUpdate' && r.payload.value.status.state === TaskState.TASK_STATE_COMPLETED;
for (const end = Date.now() + 30000; !(got.with.some(isEnd) && got.later.some(isEnd));) {
  if (Date.now() > end) throw new Error(`waited in vain for the end: ${JSON.stringify(got)}`);
  await new Promise((resolve) => setTimeout(resolve, 20));
}
const parts = (r) => (r.payload.$case === 'task' ? r.payload.value.artifacts.flatMap((a) => a.parts)
  : r.payload.$case === 'artifactUpdate' ? r.payload.value.artifact.parts : []).map((p) => Number(p.content.value));
assert.equal(got.with[0].payload.$case, 'task');
assert.deepEqual(got.with.flatMap(parts), Array.from({ length: 12 }, (_, i) => i + 1));
assert.notEqual(got.later[0].payload.$case, 'task');
console.log('ok');
process.exit(0);
