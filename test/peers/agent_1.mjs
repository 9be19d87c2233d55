// SPDX-License-Identifier: MIT
//
// An agent made with the official JavaScript SDK, 1.x. Speaks A2A 1.0 over JSON-RPC; its port is the line it prints.
// The first word of a message is the order: ask, wait, say, count N MS; anything else is echoed. It streams if the
// command line says "streams".
import { randomUUID } from 'node:crypto';
import express from 'express';
import { AgentCard, Message, Task, TaskArtifactUpdateEvent, TaskStatusUpdateEvent } from 'a2a-js-1';
import { AgentEvent, DefaultRequestHandler, InMemoryTaskStore } from 'a2a-js-1/server';
import { agentCardHandler, jsonRpcHandler, UserBuilder } from 'a2a-js-1/server/express';

const contexts = new Map(); // of tasks that wait, by id
const waiting = new Map(); // what ends them
const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const status = (taskId, contextId, state, text) =>
  AgentEvent.statusUpdate(TaskStatusUpdateEvent.fromJSON({
    taskId, contextId,
    status: {
      state, timestamp: new Date().toISOString(),
      ...(text && { message: { messageId: randomUUID(), role: 'ROLE_AGENT', parts: [{ text }] } }),
    },
  }));

const executor = {
  async execute({ taskId, contextId, userMessage, task }, bus) {
    const text = userMessage.parts[0].content.value;
    const [verb] = text.split(' ');
    if (!task && verb === 'say') {
      bus.publish(AgentEvent.message(Message.fromJSON(
        { messageId: randomUUID(), contextId, role: 'ROLE_AGENT', parts: [{ text: `said: ${text}` }] })));
      bus.finished();
      return;
    }
    const begun = task ?? Task.fromJSON({
      id: taskId, contextId, status: { state: 'TASK_STATE_SUBMITTED', timestamp: new Date().toISOString() },
      history: [Message.toJSON(userMessage)], metadata: { big: 1e100, list: [1, 'two', null] },
    });
    bus.publish(AgentEvent.task(begun));
    if (!task && verb === 'ask') {
      bus.publish(status(taskId, contextId, 'TASK_STATE_INPUT_REQUIRED', 'what then?'));
    } else if (!task && verb === 'wait') {
      bus.publish(status(taskId, contextId, 'TASK_STATE_WORKING'));
      contexts.set(taskId, contextId);
      await new Promise((resolve) => waiting.set(taskId, resolve));
      return;
    } else if (!task && verb === 'count') {
      const [, n, ms] = text.split(' ').map(Number);
      let isCanceled = false;
      contexts.set(taskId, contextId);
      waiting.set(taskId, () => { isCanceled = true; });
      for (let i = 1; i <= n && !isCanceled; i++) {
        bus.publish(AgentEvent.artifactUpdate(TaskArtifactUpdateEvent.fromJSON({
          taskId, contextId, append: i > 1, lastChunk: i === n,
          artifact: { artifactId: 'out', parts: [{ text: String(i) }] },
        })));
        await pause(ms);
      }
      if (isCanceled) return;
      bus.publish(status(taskId, contextId, 'TASK_STATE_COMPLETED'));
    } else {
      bus.publish(AgentEvent.artifactUpdate(TaskArtifactUpdateEvent.fromJSON({
        taskId, contextId, artifact: { artifactId: 'a1', parts: [{ text: `echo: ${text}` }, { data: { n: 1 } }] },
      })));
      bus.publish(status(taskId, contextId, 'TASK_STATE_COMPLETED'));
    }
    bus.finished();
  },

  async cancelTask(taskId, bus) {
    bus.publish(status(taskId, contexts.get(taskId), 'TASK_STATE_CANCELED'));
    bus.finished();
    waiting.get(taskId)?.();
  },
};

const app = express();
const server = app.listen(0, '127.0.0.1', () => {
  const { port } = server.address();
  const card = AgentCard.fromJSON({
    name: 'peer 1', description: 'made with the SDK 1.x', version: '1.2.3',
    supportedInterfaces: [{ url: `http://127.0.0.1:${port}/a2a`, protocolBinding: 'JSONRPC', protocolVersion: '1.0' }],
    capabilities: { streaming: process.argv[2] === 'streams' }, defaultInputModes: ['text/plain'], defaultOutputModes: ['text/plain'],
    skills: [{ id: 's', name: 'echo', description: 'echoes', tags: ['test'] }],
  });
  const requestHandler = new DefaultRequestHandler(card, new InMemoryTaskStore(), executor);
  app.use('/.well-known/agent-card.json', agentCardHandler({ agentCardProvider: requestHandler }));
  app.use('/a2a', jsonRpcHandler({ requestHandler, userBuilder: UserBuilder.noAuthentication }));
  console.log(port);
});
process.stdin.on('end', () => process.exit(0)).resume(); // goes with whoever started it
