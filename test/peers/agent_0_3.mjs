// SPDX-License-Identifier: MIT
//
// The same agent as agent_1.mjs with the last 0.3.x of the official JavaScript SDK. Speaks A2A 0.3 over JSON-RPC.
import { randomUUID } from 'node:crypto';
import express from 'express';
import { DefaultRequestHandler, InMemoryTaskStore } from 'a2a-js-0.3/server';
import { agentCardHandler, jsonRpcHandler, UserBuilder } from 'a2a-js-0.3/server/express';

const contexts = new Map(); // of tasks that wait, by id
const waiting = new Map(); // what ends them
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const status = (taskId, contextId, state, text) => ({
  kind: 'status-update', taskId, contextId, final: !['submitted', 'working'].includes(state),
  status: {
    state, timestamp: new Date().toISOString(),
    ...(text && { message: { kind: 'message', messageId: randomUUID(), role: 'agent', parts: [{ kind: 'text', text }] } }),
  },
});

const executor = {
  async execute({ taskId, contextId, userMessage, task }, bus) {
    const text = userMessage.parts[0].text;
    const [verb] = text.split(' ');
    if (!task && verb === 'say') {
      bus.publish({ kind: 'message', messageId: randomUUID(), contextId, role: 'agent',
        parts: [{ kind: 'text', text: `said: ${text}` }] });
      bus.finished();
      return;
    }
    if (!task) {
      bus.publish({ kind: 'task', id: taskId, contextId, history: [userMessage],
        status: { state: 'submitted', timestamp: new Date().toISOString() },
        metadata: { big: 1e100, list: [1, 'two', null] } });
    }
    if (!task && verb === 'ask') {
      bus.publish(status(taskId, contextId, 'input-required', 'what then?'));
    } else if (!task && verb === 'wait') {
      bus.publish(status(taskId, contextId, 'working'));
      contexts.set(taskId, contextId);
      await new Promise((resolve) => waiting.set(taskId, resolve));
      return;
    } else if (!task && verb === 'count') {
      const [, n, ms] = text.split(' ').map(Number);
      let isCanceled = false;
      contexts.set(taskId, contextId);
      waiting.set(taskId, () => { isCanceled = true; });
      for (let i = 1; i <= n && !isCanceled; i++) {
        bus.publish({ kind: 'artifact-update', taskId, contextId, append: i > 1, lastChunk: i === n,
          artifact: { artifactId: 'out', parts: [{ kind: 'text', text: String(i) }] } });
        await pause(ms);
      }
      if (isCanceled) return;
      bus.publish(status(taskId, contextId, 'completed'));
    } else {
      bus.publish({ kind: 'artifact-update', taskId, contextId, artifact: { artifactId: 'a1',
        parts: [{ kind: 'text', text: `echo: ${text}` }, { kind: 'data', data: { n: 1 } }] } });
      bus.publish(status(taskId, contextId, 'completed'));
    }
    bus.finished();
  },

  async cancelTask(taskId, bus) {
    bus.publish(status(taskId, contexts.get(taskId), 'canceled'));
    bus.finished();
    waiting.get(taskId)?.();
  },
};

const app = express();
const server = app.listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  const card = {
    name: 'peer 0.3', description: 'made with the SDK 0.3.x', version: '1.2.3', protocolVersion: '0.3.0',
    url: `http://127.0.0.1:${port}/a2a`, preferredTransport: 'JSONRPC', capabilities: { streaming: process.argv[2] === 'streams' },
    defaultInputModes: ['text/plain'], defaultOutputModes: ['text/plain'],
    skills: [{ id: 's', name: 'echo', description: 'echoes', tags: ['test'] }],
  };
  const requestHandler = new DefaultRequestHandler(card, new InMemoryTaskStore(), executor);
  app.use('/.well-known/agent-card.json', agentCardHandler({ agentCardProvider: requestHandler }));
  app.use('/a2a', jsonRpcHandler({ requestHandler, userBuilder: UserBuilder.noAuthentication }));
  console.log(port);
});
process.stdin.on('end', () => process.exit(0)).resume(); // goes with whoever started it
