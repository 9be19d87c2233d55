// SPDX-License-Identifier: MIT
// npm install @a2a-js/sdk && node client.mjs http://localhost:4000/agents/demo/ "hello"
import { randomUUID } from 'node:crypto';
import { Role, SendMessageRequest, TaskState } from '@a2a-js/sdk';
import { ClientFactory } from '@a2a-js/sdk/client';

const [base = 'http://localhost:4000/agents/demo/', text = 'hello'] = process.argv.slice(2);

// The base URL ends in a slash: the agent's card lies below it and says where to call.
const client = await new ClientFactory().createFromUrl(base);

// Answered when the task is over, or when the agent asks for more.
const answer = await client.sendMessage(SendMessageRequest.fromJSON({
  message: { messageId: randomUUID(), role: Role.ROLE_USER, parts: [{ text }] },
}));

if (answer.status) {
  console.log(`task ${answer.id}: ${TaskState[answer.status.state]}`);
}
const parts = answer.status ? answer.artifacts.flatMap((artifact) => artifact.parts) : answer.parts;
parts.filter((part) => part.content.$case === 'text').forEach((part) => console.log(part.content.value));
