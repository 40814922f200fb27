// The demo application behind the gateway: what any server-rendered application would be, with
// nothing of its own to know who is logged in but the headers it receives. No dependencies;
// listens on 127.0.0.1 only. Environment: GATELATCH_DEMO_PORT (9300).
//
// /, /public/      a page for people
// /status/NNN      an empty answer with that status (3xx: Location: /)
// /set-cookie      two cookies of the application's own
// /stream          five chunks, one every 100 ms; /stream?chunks=N&every=MS as wished
// /ws              WebSocket: sends every message back
// everything else  JSON: method, path, headers (list of [name, value], in the order and number
//                  received, names in lower case, values byte for byte as Latin-1), body_bytes,
//                  body_sha256
//
// Every path reads any body to its end, in any encoding of it, without holding it in memory.

import { createHash } from 'node:crypto';
import { createServer } from 'node:http';

import { page } from './page.js';
import { acceptWebSocket } from './websocket.js';

const HOST = '127.0.0.1';
const port = readPort();

const server = createServer((req, res) => {
  answer(req, res).catch((error) => {
    if (error.code !== 'ECONNRESET') console.error(error);
    res.destroy();
  });
});
server.requestTimeout = 0; // slow uploads are the gateway's to judge
server.keepAliveTimeout = 60_000; // longer than the gateway holds an idle connection
server.on('upgrade', (req, socket, head) => {
  if (pathOf(req) === '/ws') acceptWebSocket(req, socket, head);
  else socket.end('HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n');
});
server.on('error', (error) => {
  console.error(`demo application: cannot listen on ${HOST}:${port}: ${error.code}`);
  process.exit(1);
});
server.listen({ host: HOST, port, backlog: 4096 }, () => {
  console.log(`demo application: http://${HOST}:${port}`);
});
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => process.exit(0));

async function answer(req, res) {
  const path = pathOf(req);
  const body = await digestBody(req);
  const status = /^\/status\/([2-5]\d\d)$/.exec(path);
  if (path === '/' || path === '/public/') sendPage(req, res);
  else if (status) sendStatus(res, Number(status[1]));
  else if (path === '/set-cookie') sendCookies(res);
  else if (path === '/stream') await sendStream(req, res);
  else sendEcho(req, res, body);
}

function sendPage(req, res) {
  const { html, policy } = page(pairs(req), pathOf(req));
  res.writeHead(200, {
    'content-type': 'text/html; charset=utf-8',
    'content-security-policy': policy,
    'x-content-type-options': 'nosniff',
    'cache-control': 'no-store',
  });
  res.end(html);
}

function sendStatus(res, status) {
  if (status >= 300 && status < 400 && status !== 304) res.setHeader('location', '/');
  res.writeHead(status);
  res.end();
}

function sendCookies(res) {
  res.setHeader('set-cookie', ['demo-theme=dark; Path=/; SameSite=Lax', 'demo-seen=1; Path=/; HttpOnly']);
  sendJson(res, { set: ['demo-theme', 'demo-seen'] });
}

async function sendStream(req, res) {
  const query = new URL(req.url, 'http://demo').searchParams;
  const chunks = Math.min(Number(query.get('chunks') ?? 5) || 5, 1000);
  const every = Math.min(Number(query.get('every') ?? 100) || 0, 10_000);
  res.writeHead(200, { 'content-type': 'text/plain' });
  for (let n = 1; n <= chunks && !res.destroyed; n += 1) {
    res.write(`chunk ${n}\n`);
    await new Promise((resolve) => { setTimeout(resolve, every); });
  }
  res.end();
}

function sendEcho(req, res, { bytes, sha256 }) {
  sendJson(res, {
    method: req.method,
    path: req.url,
    headers: pairs(req),
    body_bytes: bytes,
    body_sha256: sha256,
  });
}

function sendJson(res, value) {
  const text = Buffer.from(`${JSON.stringify(value)}\n`);
  res.writeHead(200, { 'content-type': 'application/json', 'content-length': text.length });
  res.end(text);
}

/** The header lines as received. `rawHeaders` alternates names and values. */
function pairs(req) {
  const list = [];
  for (let i = 0; i < req.rawHeaders.length; i += 2) {
    list.push([req.rawHeaders[i].toLowerCase(), req.rawHeaders[i + 1]]);
  }
  return list;
}

function pathOf(req) {
  return req.url.split('?', 1)[0];
}

async function digestBody(req) {
  const hash = createHash('sha256');
  let bytes = 0;
  for await (const chunk of req) {
    hash.update(chunk);
    bytes += chunk.length;
  }
  return { bytes, sha256: hash.digest('hex') };
}

function readPort() {
  const text = process.env.GATELATCH_DEMO_PORT || '9300';
  if (!/^\d+$/.test(text) || text < 1 || text > 65535) {
    console.error(`demo application: GATELATCH_DEMO_PORT=${text} is not a port from 1 to 65535.`);
    process.exit(2);
  }
  return Number(text);
}
