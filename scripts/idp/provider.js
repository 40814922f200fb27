// The OpenID provider itself: oidc-provider with one client, strict where the gateway must be
// able to rely on it: PKCE required, every refresh token rotated, reuse revokes the grant.

import Provider from 'oidc-provider';

import { claimsByScope, findAccount } from './accounts.js';
import { errorPage, signedOutPage, signOutPage } from './pages.js';

/** Builds the provider from the options, the keys and the storage adapter. */
export function createProvider(options, keys, adapter) {
  return new Provider(options.issuer, {
    adapter,
    clients: [client(options)],
    jwks: keys.jwks,
    cookies: {
      keys: keys.cookieKeys,
      // Cookies know no ports: names of its own keep them apart from the application's.
      names: { session: 'idp_session', interaction: 'idp_interaction', resume: 'idp_resume' },
    },
    claims: claimsByScope,
    conformIdTokenClaims: false, // put them into the ID token also when there is an access token
    scopes: ['openid', 'offline_access'],
    responseTypes: ['code'],
    findAccount,
    loadExistingGrant: grantWhatIsAsked,
    interactions: { url: (_ctx, interaction) => `/interaction/${interaction.uid}` },
    issueRefreshToken: async (_ctx, c) => c.grantTypeAllowed('refresh_token'),
    rotateRefreshToken: true,
    pkce: { required: () => true },
    ttl: options.ttl,
    clockTolerance: 0,
    fetch: reachLoopback,
    renderError: (ctx, out) => page(ctx, errorPage(out)),
    features: {
      devInteractions: { enabled: false },
      userinfo: { enabled: true },
      revocation: { enabled: true },
      introspection: { enabled: false },
      backchannelLogout: { enabled: true },
      rpInitiatedLogout: {
        enabled: true,
        logoutSource: (ctx, form) => {
          // With a hint the application itself has asked; without one a person must confirm.
          page(ctx, signOutPage(form, ctx.oidc.entities.IdTokenHint !== undefined));
        },
        postLogoutSuccessSource: (ctx) => page(ctx, signedOutPage()),
      },
    },
  });
}

function client(options) {
  return {
    client_id: 'gatelatch',
    client_name: 'Gatelatch',
    client_secret: options.clientSecret,
    token_endpoint_auth_method: 'client_secret_basic',
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    id_token_signed_response_alg: 'RS256',
    require_auth_time: true,
    redirect_uris: options.publicUrls.map((url) => `${url}/_gatelatch/callback`),
    post_logout_redirect_uris: options.publicUrls.map((url) => `${url}/`),
    backchannel_logout_uri: options.backchannelLogoutUri,
    backchannel_logout_session_required: true,
  };
}

// Grants every scope and claim that is asked for, so that there is no consent page.
async function grantWhatIsAsked(ctx) {
  const { provider, client: { clientId }, session } = ctx.oidc;
  const known = session.grantIdFor(clientId);
  const grant = (known && await provider.Grant.find(known))
    || new provider.Grant({ clientId, accountId: session.accountId });
  grant.addOIDCScope([...ctx.oidc.requestParamOIDCScopes].join(' '));
  grant.addOIDCClaims([...ctx.oidc.requestParamClaims]);
  await grant.save();
  return grant;
}

// The library's own dispatcher refuses loopback addresses, where this provider's clients live.
function reachLoopback(url, { dispatcher: _refused, ...options }) {
  return globalThis.fetch(url, options);
}

function page(ctx, { html, policy }) {
  ctx.type = 'html';
  ctx.set('content-security-policy', policy);
  ctx.set('referrer-policy', 'no-referrer');
  ctx.body = html;
}
