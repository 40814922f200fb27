// The provider's storage: maps in memory, entries leave when they expire. The library's own
// in-memory adapter forgets the oldest of 1000 entries, which under load would look like
// revocation; this one only forgets what has expired. An orderly stop writes everything to a file
// (mode 0600: it holds live tokens) that the next start takes over; a killed provider has
// forgotten all, as an operator's would not.

import { readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';

const PRUNE_EVERY_MS = 30_000;

// Models whose entries belong to a grant and go when the grant is revoked.
const GRANTABLE = new Set([
  'AccessToken', 'AuthorizationCode', 'RefreshToken', 'DeviceCode',
  'BackchannelAuthenticationRequest', 'PreAuthorizedCode',
]);

/**
 * Takes over what `file` holds. `adapter` is the factory for `new Provider(issuer, { adapter })`;
 * `save` writes the file.
 */
export function createStore(file) {
  const entries = new Map(); // "Model:id" -> { payload, expiresAt }
  const byGrant = new Map(); // grant id -> set of entry keys
  const byUid = new Map(); // session uid -> session id

  const drop = (key) => {
    const entry = entries.get(key);
    if (!entry) return;
    entries.delete(key);
    const { grantId, uid } = entry.payload;
    const members = byGrant.get(grantId);
    members?.delete(key);
    if (members?.size === 0) byGrant.delete(grantId);
    if (uid && `Session:${byUid.get(uid)}` === key) byUid.delete(uid);
  };

  const live = (key) => {
    const entry = entries.get(key);
    if (entry && entry.expiresAt > Date.now()) return entry;
    drop(key);
    return undefined;
  };

  const prune = () => {
    const now = Date.now();
    for (const [key, { expiresAt }] of entries) if (expiresAt <= now) drop(key);
  };
  setInterval(prune, PRUNE_EVERY_MS).unref();

  const put = (model, id, payload, expiresAt) => {
    const key = `${model}:${id}`;
    drop(key);
    entries.set(key, { payload, expiresAt });
    if (model === 'Session') byUid.set(payload.uid, id);
    if (GRANTABLE.has(model) && payload.grantId) {
      if (!byGrant.has(payload.grantId)) byGrant.set(payload.grantId, new Set());
      byGrant.get(payload.grantId).add(key);
    }
  };

  const save = () => {
    prune();
    // JSON has no Infinity; null stands for it.
    const rows = [...entries].map(([key, { payload, expiresAt }]) => {
      const colon = key.indexOf(':');
      return [key.slice(0, colon), key.slice(colon + 1), payload, Number.isFinite(expiresAt) ? expiresAt : null];
    });
    writeFileSync(`${file}.new`, JSON.stringify(rows), { mode: 0o600 });
    renameSync(`${file}.new`, file);
  };

  for (const [model, id, payload, expiresAt] of takeOver(file)) put(model, id, payload, expiresAt ?? Infinity);

  const adapter = (model) => ({
    async upsert(id, payload, expiresIn) {
      put(model, id, payload, expiresIn === undefined ? Infinity : Date.now() + expiresIn * 1000);
    },
    async find(id) {
      return live(`${model}:${id}`)?.payload;
    },
    async findByUid(uid) {
      return byUid.has(uid) ? live(`${model}:${byUid.get(uid)}`)?.payload : undefined;
    },
    async findByUserCode() {
      return undefined; // the device flow is off
    },
    async consume(id) {
      const entry = live(`${model}:${id}`);
      if (entry) entry.payload.consumed = Math.floor(Date.now() / 1000);
    },
    async destroy(id) {
      drop(`${model}:${id}`);
    },
    async revokeByGrantId(grantId) {
      for (const key of [...(byGrant.get(grantId) ?? [])]) drop(key);
    },
  });
  return { adapter, save };
}

// Read once and removed: a later start must not bring tokens back that were spent meanwhile.
function takeOver(file) {
  try {
    const rows = JSON.parse(readFileSync(file, 'utf8'));
    rmSync(file);
    return rows;
  } catch (error) {
    if (error.code === 'ENOENT') return [];
    throw new Error(`${file} cannot be read (${error.message}); delete it to start without sessions.`);
  }
}
