// Writes what happens at the provider to a file, one JSON object a line, so that a test or a
// person can count token calls, rotations and revocations. Identifiers only: no token, code,
// secret or cookie is ever written.

import { appendFileSync } from 'node:fs';

/** Subscribes to the provider's events and appends them to `file`. */
export function recordEvents(provider, file) {
  const write = (event, fields) => {
    appendFileSync(file, `${JSON.stringify({ at: Date.now(), event, ...fields })}\n`, { mode: 0o600 });
  };
  const onRequest = (event, extra = () => ({})) => {
    provider.on(event, (ctx, ...rest) => write(event, { ...aboutRequest(ctx), ...extra(ctx, ...rest) }));
  };

  onRequest('authorization.success');
  onRequest('authorization.error', (_ctx, error) => aboutError(error));
  onRequest('grant.success', (ctx) => ({ grant_type: ctx.oidc.params?.grant_type }));
  onRequest('grant.error', (ctx, error) => ({ grant_type: ctx.oidc.params?.grant_type, ...aboutError(error) }));
  onRequest('grant.revoked', (_ctx, grant) => ({ grant }));
  onRequest('revocation.error', (_ctx, error) => aboutError(error));
  onRequest('userinfo.error', (_ctx, error) => aboutError(error));
  onRequest('end_session.success');
  onRequest('end_session.error', (_ctx, error) => aboutError(error));
  onRequest('server_error', (_ctx, error) => ({ error: 'server_error', error_detail: error.message }));
  provider.on('backchannel.success', (_ctx, client, sub, sid) => {
    write('backchannel.success', { client_id: client.clientId, sub, sid });
  });
  provider.on('backchannel.error', (_ctx, error, client, sub, sid) => {
    write('backchannel.error', { client_id: client.clientId, sub, sid, ...aboutError(error) });
  });
  for (const event of ['refresh_token.consumed', 'refresh_token.destroyed', 'authorization_code.consumed']) {
    provider.on(event, (token) => {
      write(event, { client_id: token.clientId, sub: token.accountId, grant: token.grantId });
    });
  }
}

function aboutRequest(ctx) {
  const { client, entities } = ctx.oidc ?? {};
  return {
    client_id: client?.clientId,
    sub: entities?.Account?.accountId ?? ctx.oidc?.session?.accountId,
    grant: entities?.Grant?.jti,
  };
}

function aboutError(error) {
  return {
    error: error.error ?? error.name,
    error_description: error.error_description ?? error.message,
    error_detail: error.error_detail ?? error.cause?.code,
  };
}
