// SPDX-License-Identifier: MIT
//
// Drives an agent with the official JavaScript SDK, 1.x: node client_1.mjs BASE_URL. Every step is checked here; the
// last line says "ok". The base URL ends in a slash: the SDK looks for the card below it.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { SendMessageRequest, TaskState } from 'a2a-js-1';
import { ClientFactory } from 'a2a-js-1/client';

const client = await new ClientFactory().createFromUrl(process.argv[2]);
const seen = [];

const send = (text, message = {}, configuration) => client.sendMessage(SendMessageRequest.fromJSON({
  message: { messageId: randomUUID(), role: 'ROLE_USER', parts: [{ text }], ...message }, configuration,
}));

async function until(what, look) {
  for (const end = Date.now() + 30000; Date.now() < end;) {
    const found = await look();
    if (found) return found;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  throw new Error(`waited in vain until ${what}`);
}

async function step(name, run) {
  await run();
  seen.push(name);
}

await step('card', async () => {
  const card = await client.getAgentCard();
  assert.equal(client.protocolVersion, '1.0');
  assert.match(card.name, /^peer/);
  assert.equal(card.version, '1.2.3');
  assert.ok(card.supportedInterfaces[0].url.startsWith(process.argv[2].slice(0, -1)), card.supportedInterfaces[0].url);
});

let done;
await step('send', async () => {
  done = await send('hello');
  assert.equal(done.status.state, TaskState.TASK_STATE_COMPLETED);
  assert.equal(done.artifacts[0].parts[0].content.value, 'echo: hello');
  assert.deepEqual(done.artifacts[0].parts[1].content.value, { n: 1 });
  assert.deepEqual(done.metadata, { big: 1e100, list: [1, 'two', null] });
});

await step('get', async () => {
  const again = await client.getTask({ tenant: '', id: done.id });
  assert.deepEqual(again, done);
  assert.equal((await client.getTask({ tenant: '', id: done.id, historyLength: 0 })).history.length, 0);
});

await step('message', async () => {
  const message = await send('say hi');
  assert.equal(message.parts[0].content.value, 'said: say hi');
});

await step('multi-turn', async () => {
  const asked = await send('ask me');
  assert.equal(asked.status.state, TaskState.TASK_STATE_INPUT_REQUIRED);
  assert.equal(asked.status.message.parts[0].content.value, 'what then?');
  const ended = await send('this', { taskId: asked.id, contextId: asked.contextId });
  assert.equal(ended.id, asked.id);
  assert.equal(ended.status.state, TaskState.TASK_STATE_COMPLETED);
  assert.equal(ended.artifacts[0].parts[0].content.value, 'echo: this');
  await assert.rejects(send('more', { taskId: asked.id }));
});

await step('cancel', async () => {
  const task = await send('wait', {}, { returnImmediately: true });
  await until('it works', async () =>
    (await client.getTask({ tenant: '', id: task.id })).status.state === TaskState.TASK_STATE_WORKING);
  const canceled = await client.cancelTask({ tenant: '', id: task.id, metadata: undefined });
  assert.equal(canceled.status.state, TaskState.TASK_STATE_CANCELED);
  await assert.rejects(client.cancelTask({ tenant: '', id: task.id, metadata: undefined }), /cancel/i);
});

await step('list', async () => {
  const ask = (rest) => client.listTasks(
    { tenant: '', contextId: '', status: TaskState.TASK_STATE_UNSPECIFIED, pageToken: '', ...rest });
  const all = await ask({});
  assert.equal(all.totalSize, 3);
  assert.equal(all.tasks.length, 3);
  assert.equal(all.tasks[0].artifacts.length, 0);
  const canceled = await ask({ status: TaskState.TASK_STATE_CANCELED });
  assert.equal(canceled.totalSize, 1);
  const first = await ask({ pageSize: 2, includeArtifacts: true });
  const second = await ask({ pageSize: 2, includeArtifacts: true, pageToken: first.nextPageToken });
  assert.deepEqual([...first.tasks, ...second.tasks].map((t) => t.id), all.tasks.map((t) => t.id));
});

await step('errors', async () => {
  await assert.rejects(client.getTask({ tenant: '', id: 'no-such-task' }), /not found/i);
  await assert.rejects(client.cancelTask({ tenant: '', id: 'no-such-task', metadata: undefined }), /not found/i);
  await assert.rejects(send('x', { taskId: 'no-such-task' }), /not found/i);
});

console.log('ok', seen.join(' '));
