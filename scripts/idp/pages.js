// The provider's pages: log in, log out, what went wrong. Each is returned as its HTML and the
// Content-Security-Policy that fits it. Everything variable is escaped.

import { createHash } from 'node:crypto';

const STYLE = `
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5b6675; --paper: #f3f5f8; --card: #fff;
  --line: #cfd6df; --accent: #1f5fbf; --on-accent: #fff; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --ink: #e8ecf2; --soft: #a3adba; --paper: #12161c;
  --card: #1b212a; --line: #3a4452; --accent: #7fb0ff; --on-accent: #0b1526; --bad: #ff9d94; } }
* { box-sizing: border-box; }
body { margin: 0; min-height: 100vh; display: grid; place-items: center; padding: 1rem;
  background: var(--paper); color: var(--ink); font: 1rem/1.5 system-ui, sans-serif; }
main { width: 100%; max-width: 24rem; padding: 2rem; background: var(--card);
  border: 1px solid var(--line); border-radius: 0.75rem; }
h1 { margin: 0 0 0.25rem; font-size: 1.4rem; }
p { margin: 0 0 1.25rem; color: var(--soft); }
label { display: block; margin: 0 0 0.25rem; font-weight: 600; }
input { width: 100%; margin: 0 0 1rem; padding: 0.6rem 0.75rem; font: inherit; color: inherit;
  background: transparent; border: 1px solid var(--line); border-radius: 0.4rem; }
button { width: 100%; padding: 0.65rem; font: inherit; font-weight: 600; color: var(--on-accent);
  background: var(--accent); border: 0; border-radius: 0.4rem; cursor: pointer; }
button + button { margin-top: 0.6rem; color: inherit; background: transparent; border: 1px solid var(--line); }
:is(input, button):focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.problem { color: var(--bad); font-weight: 600; }
code { overflow-wrap: anywhere; }
`;

const AUTO_SUBMIT = "document.getElementById('op.logoutForm').requestSubmit(document.getElementById('yes'));";

/** The log-in form. `origins`: where the redirect after it may lead (browsers check it). */
export function logInPage({ hint = '', problem, origins = [] }) {
  const note = problem ? `<p class="problem" id="problem" role="alert">${escape(problem)}</p>` : '';
  const described = problem ? ' aria-invalid="true" aria-describedby="problem"' : '';
  return document('Log in', `
<h1>Log in</h1>
<p>This is the local test provider: any user name with any password is right. The user
<code>admin</code> is in the group <code>admins</code>.</p>
${note}<form method="post">
<label for="login">User name</label>
<input id="login" name="login" value="${escape(hint)}" autocomplete="username" autocapitalize="none"
  spellcheck="false" maxlength="128" required autofocus${described}>
<label for="password">Password</label>
<input id="password" name="password" type="password" autocomplete="current-password" required>
<button type="submit">Log in</button>
</form>`, { formAction: ["'self'", ...origins] });
}

/** The log-out question; `form` is the provider's own hidden form and holds its xsrf value. */
export function signOutPage(form, auto) {
  return document('Log out', `
<h1>Log out?</h1>
<p>This ends your session at the local test provider and in every application that uses it.</p>
${form}
<button type="submit" form="op.logoutForm" id="yes" name="logout" value="yes">Log out</button>
<button type="submit" form="op.logoutForm">Stay logged in</button>
${auto ? `<script>${AUTO_SUBMIT}</script>` : ''}`, { script: auto ? AUTO_SUBMIT : undefined, formAction: null });
}

/** After a log-out that leads nowhere else. */
export function signedOutPage() {
  return document('Logged out', '<h1>Logged out</h1><p>You can close this window.</p>');
}

/** An error of the provider: its stable code and its description. */
export function errorPage({ error, error_description: description }) {
  return document('Something went wrong', `
<h1>Something went wrong</h1>
<p class="problem">${escape(error)}</p>
${description ? `<p>${escape(description)}</p>` : ''}`);
}

// `formAction: null` sets no limit: the log-out form leads on to a registered address.
function document(title, body, { script, formAction = ["'none'"] } = {}) {
  const policy = [
    "default-src 'none'",
    `style-src '${digest(STYLE)}'`,
    script ? `script-src '${digest(script)}'` : '',
    formAction ? `form-action ${formAction.join(' ')}` : '',
    "base-uri 'none'",
    "frame-ancestors 'none'",
  ].filter(Boolean).join('; ');
  const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${escape(title)} – local test provider</title>
<style>${STYLE}</style>
</head>
<body><main>${body}</main></body>
</html>
`;
  return { html, policy };
}

function digest(text) {
  return `sha256-${createHash('sha256').update(text).digest('base64')}`;
}

function escape(text) {
  const entities = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
  return String(text ?? '').replace(/[&<>"']/g, (sign) => entities[sign]);
}
