// The page for people: who is logged in, what the application was told about them, and for how
// long the token in the browser still lives. One document, no assets.

import { createHash } from 'node:crypto';

import { SCRIPT } from './page_script.js';
import { STYLE } from './page_style.js';

const IDENTITY = 'x-auth-request-';

/** Renders the page for a request with these header pairs; returns its HTML and its policy. */
export function page(headers, path) {
  const identity = headers.filter(([name]) => name.startsWith(IDENTITY));
  const user = headers.find(([name]) => name === `${IDENTITY}user`)?.[1];
  const email = headers.find(([name]) => name === `${IDENTITY}email`)?.[1];
  const html = `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>${user ? `${escape(user)} – ` : ''}Gatelatch demo</title>
<link rel="icon" href="data:,">
<style>${STYLE}</style>
</head>
<body>
<header>
<p class="brand">Gatelatch <span>demo application</span></p>
<nav aria-label="Pages">
<a href="/"${path === '/' ? ' aria-current="page"' : ''}>Members</a>
<a href="/public/"${path === '/public/' ? ' aria-current="page"' : ''}>Public</a>
</nav>
</header>
<main>
${user ? welcome(user, email) : stranger(path)}
<section aria-labelledby="told">
<h2 id="told">What the gateway told this application</h2>
${identity.length ? table(identity) : '<p>No identity headers: nobody is logged in on this request.</p>'}
</section>
<section aria-labelledby="api">
<h2 id="api">Call an API</h2>
<p>A request from the page, as an application would make it. When the token has expired, the
gateway renews it on the way and the call still succeeds.</p>
<button type="button" id="call">GET /api/echo</button>
<pre id="answer" aria-live="polite" tabindex="0" hidden></pre>
</section>
</main>
<script>${SCRIPT}</script>
</body>
</html>
`;
  return { html, policy: POLICY };
}

function welcome(user, email) {
  return `<section class="hero" aria-labelledby="who">
<h1 id="who">Hello, ${escape(user)}</h1>
<p>${email ? `${escape(email)} · ` : ''}logged in through the gateway; this application keeps no session.</p>
${session()}
<form method="post" action="/_gatelatch/logout"><button type="submit">Log out</button></form>
</section>`;
}

function stranger(path) {
  const open = path === '/public/';
  return `<section class="hero" aria-labelledby="who">
<h1 id="who">${open ? 'A public page' : 'Nobody is logged in'}</h1>
<p>${open ? 'Everybody may see this page, so the gateway does not say who you are here.' : 'This request came without an identity.'}</p>
${session()}
<p><a class="button" href="/_gatelatch/login?return_to=/">Log in</a></p>
</section>`;
}

function session() {
  return `<dl>
<div><dt>Session</dt><dd id="state">asking the gateway…</dd></div>
<div><dt>Token lives for</dt><dd><span id="left">–</span></dd></div>
<div><dt>Until</dt><dd id="until">–</dd></div>
</dl>
<div class="bar" aria-hidden="true"><span id="bar"></span></div>`;
}

function table(pairs) {
  const rows = pairs.map(([name, value]) => `<tr><th scope="row"><code>${escape(name)}</code></th><td><code>${escape(value)}</code></td></tr>`);
  return `<div class="scroll"><table><tbody>${rows.join('')}</tbody></table></div>`;
}

function digest(text) {
  return `'sha256-${createHash('sha256').update(text).digest('base64')}'`;
}

function escape(text) {
  const entities = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' };
  return text.replace(/[&<>"']/g, (sign) => entities[sign]);
}

// No form-action: after a log-out the gateway sends the browser on to the identity provider.
const POLICY = [
  "default-src 'none'",
  `style-src ${digest(STYLE)}`,
  `script-src ${digest(SCRIPT)}`,
  "img-src data:",
  "connect-src 'self'",
  "base-uri 'none'",
  "frame-ancestors 'none'",
].join('; ');
