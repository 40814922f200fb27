// The people this provider knows: everybody. Any name is a user, any password is right.

/** Printable ASCII without spaces, as an OpenID Connect `sub` must be (Core 2: at most 255). */
export function isUserName(text) {
  return /^[\x21-\x7e]{1,128}$/.test(text);
}

/** `findAccount` of oidc-provider: claims made from the name alone. */
export async function findAccount(_ctx, sub) {
  return { accountId: sub, claims: async () => claimsOf(sub) };
}

/** Which claims each scope releases. */
export const claimsByScope = {
  openid: ['sub', 'sid', 'auth_time'],
  profile: ['name', 'preferred_username', 'groups'],
  email: ['email', 'email_verified'],
};

function claimsOf(sub) {
  const user = sub.split('@')[0] || sub;
  return {
    sub,
    name: user.charAt(0).toUpperCase() + user.slice(1),
    preferred_username: sub,
    email: sub.includes('@') ? sub : `${sub}@example.test`,
    email_verified: true,
    groups: sub === 'admin' ? ['staff', 'admins'] : ['staff'],
  };
}
