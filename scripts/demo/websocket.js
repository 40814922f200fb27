// A WebSocket that sends every message back (RFC 6455, without extensions).

import { createHash } from 'node:crypto';

const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const MESSAGE_LIMIT = 1024 * 1024;
const CONTINUATION = 0x0;
const CLOSE = 0x8;
const PING = 0x9;
const PONG = 0xa;

/** Completes the handshake on `socket` and echoes until either side closes. */
export function acceptWebSocket(req, socket, head) {
  const key = req.headers['sec-websocket-key'];
  if (!key || req.headers['sec-websocket-version'] !== '13') {
    socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\ncontent-length: 0\r\n\r\n');
    return;
  }
  const accept = createHash('sha1').update(key + GUID).digest('base64');
  socket.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: Upgrade\r\n'
    + `sec-websocket-accept: ${accept}\r\n\r\n`);
  socket.on('error', () => socket.destroy());
  echo(socket, head);
}

function echo(socket, head) {
  let pending = head;
  let message; // { opcode, parts } while a fragmented message is incomplete

  const take = (frame) => {
    if (frame.opcode === CLOSE) {
      socket.end(encode(CLOSE, frame.payload.subarray(0, 2)));
    } else if (frame.opcode === PING) {
      socket.write(encode(PONG, frame.payload));
    } else if (frame.opcode !== PONG) {
      if (frame.opcode !== CONTINUATION) message = { opcode: frame.opcode, parts: [] };
      if (!message) return fail(socket, 1002);
      message.parts.push(frame.payload);
      if (frame.final) {
        socket.write(encode(message.opcode, Buffer.concat(message.parts)));
        message = undefined;
      }
    }
    return undefined;
  };

  const read = (chunk) => {
    pending = Buffer.concat([pending, chunk]);
    for (let frame = decode(pending); frame; frame = decode(pending)) {
      if (frame.refused) return fail(socket, frame.refused);
      pending = pending.subarray(frame.length);
      take(frame);
    }
    return undefined;
  };
  socket.on('data', read);
  read(Buffer.alloc(0));
}

/** One client frame from the front of `bytes`; undefined while it is incomplete. */
function decode(bytes) {
  if (bytes.length < 2) return undefined;
  if ((bytes[1] & 0x80) === 0) return { refused: 1002 }; // a client must mask
  let size = bytes[1] & 0x7f;
  let at = 2;
  if (size === 126) {
    if (bytes.length < 4) return undefined;
    size = bytes.readUInt16BE(2);
    at = 4;
  } else if (size === 127) {
    if (bytes.length < 10) return undefined;
    size = Number(bytes.readBigUInt64BE(2));
    at = 10;
  }
  if (size > MESSAGE_LIMIT) return { refused: 1009 };
  if (bytes.length < at + 4 + size) return undefined;
  const mask = bytes.subarray(at, at + 4);
  const payload = Buffer.from(bytes.subarray(at + 4, at + 4 + size));
  for (let i = 0; i < size; i += 1) payload[i] ^= mask[i % 4];
  return { final: (bytes[0] & 0x80) !== 0, opcode: bytes[0] & 0x0f, payload, length: at + 4 + size };
}

function encode(opcode, payload) {
  const size = payload.length;
  let header;
  if (size < 126) {
    header = Buffer.from([0x80 | opcode, size]);
  } else if (size < 65536) {
    header = Buffer.from([0x80 | opcode, 126, size >> 8, size & 0xff]);
  } else {
    header = Buffer.alloc(10);
    header[0] = 0x80 | opcode;
    header[1] = 127;
    header.writeBigUInt64BE(BigInt(size), 2);
  }
  return Buffer.concat([header, payload]);
}

function fail(socket, code) {
  socket.end(encode(CLOSE, Buffer.from([code >> 8, code & 0xff])));
}
