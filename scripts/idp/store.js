// The provider's storage: maps in memory, entries leave when they expire. The library's own
// in-memory adapter forgets the oldest of 1000 entries, which under load would look like
// revocation; this one only forgets what has expired.

const PRUNE_EVERY_MS = 30_000;

// Models whose entries belong to a grant and go when the grant is revoked.
const GRANTABLE = new Set([
  'AccessToken', 'AuthorizationCode', 'RefreshToken', 'DeviceCode',
  'BackchannelAuthenticationRequest', 'PreAuthorizedCode',
]);

/** Returns the adapter factory for `new Provider(issuer, { adapter })`. */
export function createStore() {
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

  return (model) => ({
    async upsert(id, payload, expiresIn) {
      const key = `${model}:${id}`;
      drop(key);
      const expiresAt = expiresIn === undefined ? Infinity : Date.now() + expiresIn * 1000;
      entries.set(key, { payload, expiresAt });
      if (model === 'Session') byUid.set(payload.uid, id);
      if (GRANTABLE.has(model) && payload.grantId) {
        if (!byGrant.has(payload.grantId)) byGrant.set(payload.grantId, new Set());
        byGrant.get(payload.grantId).add(key);
      }
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
}
