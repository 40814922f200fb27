// The local identity provider: a real OpenID provider on http://localhost:9400 for `make run`
// and the tests. Any user name logs in with any password. It is started by scripts/run; by hand:
//
//   GATELATCH_CLIENT_SECRET=... node scripts/idp/server.js
//
// GATELATCH_CLIENT_SECRET               the secret of the client "gatelatch" (required)
// GATELATCH_IDP_HOST, _PORT             where it listens (127.0.0.1, 9400)
// GATELATCH_IDP_RUN_DIR                 its keys, its event log, its sessions between runs (.run)
// GATELATCH_IDP_PUBLIC_URLS             more origins that log in here, separated by commas
// GATELATCH_IDP_BACKCHANNEL_LOGOUT_URI  where it reports ended sessions
// GATELATCH_IDP_ACCESS_TTL, _ID_TTL, _CODE_TTL, _REFRESH_TTL, _SESSION_TTL, _GRANT_TTL,
// _INTERACTION_TTL                      lifetimes in seconds

import { mkdirSync } from 'node:fs';
import { createServer } from 'node:http';

import { recordEvents } from './events.js';
import { handleInteraction, isInteraction } from './interaction.js';
import { loadKeys } from './keys.js';
import { readOptions } from './options.js';
import { createProvider } from './provider.js';
import { createStore } from './store.js';

const options = readOptions();
mkdirSync(options.runDir, { recursive: true });

const store = createStore(options.stateFile);
const provider = createProvider(options, loadKeys(options.keysFile), store.adapter);
recordEvents(provider, options.eventsFile);
const answer = provider.callback();

const server = createServer((req, res) => {
  if (!isInteraction(req.url)) {
    answer(req, res);
    return;
  }
  handleInteraction(provider, options.publicUrls, req, res).catch((error) => {
    console.error(error);
    res.destroy();
  });
});
server.keepAliveTimeout = 60_000; // longer than the gateway holds an idle connection
server.on('error', (error) => {
  console.error(`local identity provider: cannot listen on ${options.host}:${options.port}: ${error.code}`);
  process.exit(1);
});
server.listen({ host: options.host, port: options.port, backlog: 4096 }, () => {
  console.log(`local identity provider: ${options.issuer}`);
});

for (const signal of ['SIGINT', 'SIGTERM']) {
  process.on(signal, () => {
    store.save();
    process.exit(0);
  });
}
