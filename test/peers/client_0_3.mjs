// SPDX-License-Identifier: MIT
//
// Drives an agent with the last 0.3.x of the official JavaScript SDK: node client_0_3.mjs BASE_URL. As client_1.mjs,
// without lists, which A2A 0.3 does not have.
import assert from 'node:assert/strict';
import { randomUUID } from 'node:crypto';
import { ClientFactory } from 'a2a-js-0.3/client';

const client = await new ClientFactory().createFromUrl(process.argv[2]);
const seen = [];

const send = (text, message = {}, configuration = { blocking: true }) => client.sendMessage({
  message: { kind: 'message', messageId: randomUUID(), role: 'user', parts: [{ kind: 'text', text }], ...message },
  configuration,
});

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
  assert.match(card.name, /^peer/);
  assert.equal(card.version, '1.2.3');
  assert.match(card.protocolVersion, /^0\.3/);
  assert.ok(card.url.startsWith(process.argv[2].slice(0, -1)), card.url);
});

let done;
await step('send', async () => {
  done = await send('hello');
  assert.equal(done.kind, 'task');
  assert.equal(done.status.state, 'completed');
  assert.deepEqual(done.artifacts[0].parts, [{ kind: 'text', text: 'echo: hello' }, { kind: 'data', data: { n: 1 } }]);
  assert.deepEqual(done.metadata, { big: 1e100, list: [1, 'two', null] });
});

await step('get', async () => {
  assert.deepEqual(await client.getTask({ id: done.id }), done);
  assert.equal((await client.getTask({ id: done.id, historyLength: 0 })).history, undefined);
});

await step('message', async () => {
  const message = await send('say hi');
  assert.equal(message.kind, 'message');
  assert.deepEqual(message.parts, [{ kind: 'text', text: 'said: say hi' }]);
});

await step('multi-turn', async () => {
  const asked = await send('ask me');
  assert.equal(asked.status.state, 'input-required');
  assert.equal(asked.status.message.parts[0].text, 'what then?');
  const ended = await send('this', { taskId: asked.id, contextId: asked.contextId });
  assert.equal(ended.id, asked.id);
  assert.equal(ended.status.state, 'completed');
  assert.equal(ended.artifacts[0].parts[0].text, 'echo: this');
  await assert.rejects(send('more', { taskId: asked.id }));
});

await step('cancel', async () => {
  const task = await send('wait', {}, { blocking: false });
  await until('it works', async () => (await client.getTask({ id: task.id })).status.state === 'working');
  assert.equal((await client.cancelTask({ id: task.id })).status.state, 'canceled');
  await assert.rejects(client.cancelTask({ id: task.id }), /cancel/i);
});

await step('errors', async () => {
  await assert.rejects(client.getTask({ id: 'no-such-task' }), /not found/i);
  await assert.rejects(client.cancelTask({ id: 'no-such-task' }), /not found/i);
  await assert.rejects(send('x', { taskId: 'no-such-task' }), /not found/i);
});

console.log('ok', seen.join(' '));
