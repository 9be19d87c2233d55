// SPDX-License-Identifier: MIT
//
// A receiver of webhooks. Verifies whatever each POST claims with code that shares nothing with the gateway (node:crypto,
// standardwebhooks), keeps all of them in order, and misbehaves as ordered. Its ports are the line it prints: http, https
// (0 without a certificate: argv[2] and [3] are the key and the chain).
//
//   POST /_order {path, ...}  what to do and to expect at a path:
//       hmacSecret, jwtSecret, standardSecret, token, authorization, jwt (claims that must be there)
//       answers: [behaviour, ...] for the next POSTs, one each; then `otherwise` (default 200)
//       a behaviour is a status, or "drop" (no answer, cut), "half" (half an answer, cut), "hang", {status, headers, body, ms}
//   GET /_seen                all POSTs: {path, id, headers, body, problems}
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { createServer as createSecureServer } from 'node:https';
import { Webhook } from 'standardwebhooks';

const orders = new Map();
const seen = [];

const same = (a, b) => {
  const [x, y] = [Buffer.from(String(a)), Buffer.from(String(b))];
  return x.length === y.length && timingSafeEqual(x, y);
};

const checks = {
  hmacSecret(secret, headers, body) {
    const mac = createHmac('sha256', secret).update(`${headers['x-a2a-timestamp']}.`).update(body).digest('hex');
    if (!same(mac, headers['x-a2a-signature'])) return 'x-a2a-signature';
    return Math.abs(Date.now() / 1000 - headers['x-a2a-timestamp']) > 60 ? 'x-a2a-timestamp' : null;
  },
  standardSecret(secret, headers, body) {
    try {
      new Webhook(secret, secret.startsWith('whsec_') ? {} : { format: 'raw' }).verify(body.toString(), headers);
      return null;
    } catch (e) {
      return `webhook-signature: ${e.message}`;
    }
  },
  jwtSecret(secret, headers, body, order) {
    const [scheme, token] = (headers.authorization ?? '').split(' ');
    const [head, claims, mac] = (token ?? '').split('.');
    if (scheme !== 'Bearer' || !mac) return 'authorization: no JWT';
    if (!same(createHmac('sha256', secret).update(`${head}.${claims}`).digest('base64url'), mac)) return 'JWT: its MAC';
    const h = JSON.parse(Buffer.from(head, 'base64url')), c = JSON.parse(Buffer.from(claims, 'base64url'));
    if (h.alg !== 'HS256' || h.typ !== 'JWT') return `JWT: header ${JSON.stringify(h)}`;
    if (c.hash !== createHash('sha256').update(body).digest('hex')) return 'JWT: hash';
    const now = Date.now() / 1000;
    if (c.nbf > now || c.exp < now || c.exp - c.iat !== 300 || c.iat - c.nbf !== 120) return `JWT: times ${JSON.stringify(c)}`;
    for (const [name, value] of Object.entries(order.jwt ?? {}))
      if (JSON.stringify(name === 'kid' ? h.kid : c[name]) !== JSON.stringify(value)) return `JWT: ${name} ${JSON.stringify(c)}`;
    return null;
  },
  token: (token, headers) => (headers['x-a2a-notification-token'] === token && headers['a2a-notification-token'] === token
    ? null : 'token'),
  authorization: (value, headers) => (headers.authorization === value ? null : `authorization ${headers.authorization}`),
};

const problemsOf = (order, headers, body) => {
  const problems = Object.keys(checks).filter((name) => order[name] !== undefined)
    .map((name) => checks[name](order[name], headers, body, order)).filter(Boolean);
  if (!/^wh_[A-Za-z0-9_-]{24}$/.test(headers['webhook-id'] ?? '')) problems.push('webhook-id');
  if (Math.abs(Date.now() / 1000 - headers['webhook-timestamp']) > 60) problems.push('webhook-timestamp');
  try {
    JSON.parse(body);
  } catch {
    problems.push('the body is no JSON');
  }
  return problems;
};

const behave = (how, req, res) => {
  const what = typeof how === 'object' ? how : { status: how };
  if (how === 'hang') return;
  if (how === 'drop') req.socket.destroy();
  else if (how === 'half') req.socket.end('HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf');
  else setTimeout(() => res.writeHead(what.status, what.headers).end(what.body ?? ''), what.ms ?? 0);
};

const control = (req, res, body) => {
  if (req.url === '/_seen') return res.end(JSON.stringify(seen));
  const order = JSON.parse(body);
  orders.set(order.path, { ...orders.get(order.path), ...order });
  return res.end('{}');
};

const onRequest = (req, res) => {
  const chunks = [];
  req.on('data', (chunk) => chunks.push(chunk));
  req.on('end', () => {
    const body = Buffer.concat(chunks);
    if (req.url.startsWith('/_')) return control(req, res, body);
    const order = orders.get(req.url) ?? {};
    const how = order.answers?.shift() ?? order.otherwise ?? 200;
    seen.push({ path: req.url, id: req.headers['webhook-id'], headers: req.headers, body: body.toString(), how,
      problems: problemsOf(order, req.headers, body) });
    return behave(how, req, res);
  });
};

const listen = (server, port = 0) => new Promise((resolve) => {
  server.keepAliveTimeout = 60000;
  server.listen(port, '127.0.0.1', () => resolve(server.address().port));
});

const [, , key, cert] = process.argv;
const plain = await listen(createServer(onRequest));
const secure = key ? await listen(createSecureServer({ key: readFileSync(key), cert: readFileSync(cert) }, onRequest)) : 0;
process.stdout.write(`${plain} ${secure}\n`);
process.stdin.on('end', () => process.exit(0)).resume();
