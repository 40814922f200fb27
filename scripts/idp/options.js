// What the local identity provider can be told, all of it through environment variables.
// One unusable value is one line on standard error and exit 2, before anything is opened.

import { join } from 'node:path';

const DAY = 24 * 60 * 60;

/** Reads and checks the environment; returns plain data. */
export function readOptions(env = process.env) {
  const host = env.GATELATCH_IDP_HOST || '127.0.0.1';
  const port = wholeNumber(env, 'GATELATCH_IDP_PORT', 9400, 1, 65535);
  const runDir = env.GATELATCH_IDP_RUN_DIR || '.run';
  const publicUrls = [
    'http://localhost:8000',
    'http://localhost:8001',
    'https://localhost:8443',
    ...list(env.GATELATCH_IDP_PUBLIC_URLS).map((url) => origin('GATELATCH_IDP_PUBLIC_URLS', url)),
  ];
  const clientSecret = env.GATELATCH_CLIENT_SECRET;
  if (!clientSecret) {
    refuse('GATELATCH_CLIENT_SECRET is not set: give the secret of the client "gatelatch".');
  }
  return {
    host,
    port,
    runDir,
    issuer: `http://localhost:${port}`,
    eventsFile: join(runDir, 'idp-events.jsonl'),
    stateFile: join(runDir, 'idp-state.json'),
    keysFile: join(runDir, 'idp-keys.json'),
    clientSecret,
    publicUrls: [...new Set(publicUrls)],
    backchannelLogoutUri: env.GATELATCH_IDP_BACKCHANNEL_LOGOUT_URI
      || 'http://localhost:8000/_gatelatch/backchannel-logout',
    ttl: {
      AccessToken: seconds(env, 'GATELATCH_IDP_ACCESS_TTL', 5 * 60),
      IdToken: seconds(env, 'GATELATCH_IDP_ID_TTL', 5 * 60),
      AuthorizationCode: seconds(env, 'GATELATCH_IDP_CODE_TTL', 60),
      RefreshToken: seconds(env, 'GATELATCH_IDP_REFRESH_TTL', 14 * DAY),
      Session: seconds(env, 'GATELATCH_IDP_SESSION_TTL', 14 * DAY),
      Grant: seconds(env, 'GATELATCH_IDP_GRANT_TTL', 14 * DAY),
      Interaction: seconds(env, 'GATELATCH_IDP_INTERACTION_TTL', 60 * 60),
    },
  };
}

function seconds(env, name, fallback) {
  return wholeNumber(env, name, fallback, 1, 366 * DAY);
}

function wholeNumber(env, name, fallback, least, most) {
  const text = env[name];
  if (text === undefined || text === '') return fallback;
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < least || value > most) {
    refuse(`${name}=${text} is not a whole number from ${least} to ${most}.`);
  }
  return value;
}

function list(text = '') {
  return text.split(',').map((part) => part.trim()).filter(Boolean);
}

function origin(name, text) {
  let url;
  try {
    url = new URL(text);
  } catch {
    refuse(`${name}: ${text} is not a URL; write for example http://localhost:8000.`);
  }
  if (url.pathname !== '/' || url.search || url.hash) {
    refuse(`${name}: ${text} must be an origin without a path, such as http://localhost:8000.`);
  }
  return url.origin;
}

function refuse(line) {
  console.error(`local identity provider: ${line}`);
  process.exit(2);
}
