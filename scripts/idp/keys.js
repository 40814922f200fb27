// The provider's signing key and cookie keys: made once, kept in the run directory (mode 0600),
// so that a restart signs and reads with the same keys.

import { generateKeyPairSync, randomBytes } from 'node:crypto';
import { readFileSync, renameSync, writeFileSync } from 'node:fs';

/** Returns `{ jwks, cookieKeys }`, read from `file` or made and written there. */
export function loadKeys(file) {
  try {
    return JSON.parse(readFileSync(file, 'utf8'));
  } catch (error) {
    if (error.code !== 'ENOENT') {
      throw new Error(`${file} cannot be read (${error.message}); delete it to have new keys made.`);
    }
  }
  const keys = { jwks: { keys: [signingKey()] }, cookieKeys: [randomBytes(32).toString('base64url')] };
  writeFileSync(`${file}.new`, JSON.stringify(keys), { mode: 0o600 });
  renameSync(`${file}.new`, file);
  return keys;
}

function signingKey() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return {
    ...privateKey.export({ format: 'jwk' }),
    kid: `idp-${randomBytes(4).toString('hex')}`,
    alg: 'RS256',
    use: 'sig',
  };
}
