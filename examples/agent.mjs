// SPDX-License-Identifier: MIT
// npm install @a2a-js/sdk express && node agent.mjs 9001, then: superx agents add shout http://127.0.0.1:9001/
import express from 'express';
import { AgentCard, Task } from '@a2a-js/sdk';
import { AgentEvent, DefaultRequestHandler, InMemoryTaskStore } from '@a2a-js/sdk/server';
import { agentCardHandler, jsonRpcHandler, UserBuilder } from '@a2a-js/sdk/server/express';

const executor = {
  async execute({ taskId, contextId, userMessage }, bus) {
    const text = userMessage.parts[0].content.value.toUpperCase(); // the work
    bus.publish(AgentEvent.task(Task.fromJSON({
      id: taskId, contextId, status: { state: 'TASK_STATE_COMPLETED', timestamp: new Date().toISOString() },
      artifacts: [{ artifactId: 'shout', parts: [{ text }] }],
    })));
    bus.finished();
  },
  async cancelTask() {},
};

const app = express();
const server = app.listen(Number(process.argv[2] ?? 9001), '127.0.0.1', () => {
  const url = `http://127.0.0.1:${server.address().port}/`;
  const requestHandler = new DefaultRequestHandler(AgentCard.fromJSON({
    name: 'Shout', description: 'Says it louder', version: '1.0.0', capabilities: {},
    supportedInterfaces: [{ url, protocolBinding: 'JSONRPC', protocolVersion: '1.0' }],
    defaultInputModes: ['text/plain'], defaultOutputModes: ['text/plain'],
    skills: [{ id: 'shout', name: 'Shout', description: 'Says it louder', tags: ['text'] }],
  }), new InMemoryTaskStore(), executor);
  app.use('/.well-known/agent-card.json', agentCardHandler({ agentCardProvider: requestHandler }));
  app.use('/', jsonRpcHandler({ requestHandler, userBuilder: UserBuilder.noAuthentication }));
  console.log(`agent at ${url}`);
});
