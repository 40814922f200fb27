// The log-in page: `GET /interaction/:uid` shows it, `POST` takes `login` and `password`.

import { isUserName } from './accounts.js';
import { errorPage, logInPage } from './pages.js';

const FORM_LIMIT = 16 * 1024;

/** Whether a request is for the log-in page. */
export function isInteraction(path) {
  return path.startsWith('/interaction/');
}

/** Answers it. `origins` are where a finished log-in may lead. */
export async function handleInteraction(provider, origins, req, res) {
  let details;
  try {
    details = await provider.interactionDetails(req, res);
  } catch {
    send(res, 400, errorPage({
      error: 'The log-in has expired',
      error_description: 'It was open for too long, or in another window. Go back to the application and start again.',
    }));
    return;
  }
  const asked = { hint: details.params.login_hint, origins };
  if (req.method === 'GET' || req.method === 'HEAD') {
    send(res, 200, logInPage(asked));
    return;
  }
  if (req.method !== 'POST') {
    res.setHeader('allow', 'GET, HEAD, POST');
    send(res, 405, errorPage({ error: 'Method not allowed' }));
    return;
  }
  const form = await readForm(req);
  const login = form?.get('login')?.trim() ?? '';
  if (!isUserName(login)) {
    send(res, 422, logInPage({ ...asked, hint: login, problem: 'Use 1 to 128 letters, digits or signs, without spaces.' }));
    return;
  }
  await provider.interactionFinished(req, res, { login: { accountId: login, remember: true } }, { mergeWithLastSubmission: false });
}

/** Sends one page with its policy. */
export function send(res, status, { html, policy }) {
  res.writeHead(status, {
    'content-type': 'text/html; charset=utf-8',
    'content-security-policy': policy,
    'cache-control': 'no-store',
    'referrer-policy': 'no-referrer',
    'x-content-type-options': 'nosniff',
  });
  res.end(html);
}

async function readForm(req) {
  const parts = [];
  let size = 0;
  for await (const part of req) {
    size += part.length;
    if (size > FORM_LIMIT) return undefined;
    parts.push(part);
  }
  return new URLSearchParams(Buffer.concat(parts).toString('utf8'));
}
