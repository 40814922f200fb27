// The page's script, sent inline. It asks the gateway for the session and counts it down.

export const SCRIPT = `
'use strict';
const by = (id) => document.getElementById(id);
let ends = 0;
let whole = 0;

async function readSession() {
  const reply = await fetch('/_gatelatch/session', { headers: { accept: 'application/json' }, cache: 'no-store' });
  const told = await reply.json().catch(() => ({}));
  if (!reply.ok) {
    ends = 0;
    by('state').textContent = reply.status === 401 ? 'none' : 'not known (' + (told.reason || reply.status) + ')';
    by('left').textContent = by('until').textContent = '–';
    by('bar').style.setProperty('width', '0');
    return;
  }
  const left = Number(told.seconds_left);
  ends = Date.now() + left * 1000;
  whole = Math.max(whole, left);
  by('state').textContent = String(told.sub);
  by('until').textContent = new Date(Number(told.exp) * 1000).toLocaleTimeString();
  tick();
}

function tick() {
  if (!ends) return;
  const left = Math.max(0, Math.round((ends - Date.now()) / 1000));
  const minutes = Math.floor(left / 60);
  by('left').textContent = left ? (minutes ? minutes + ' min ' : '') + (left % 60) + ' s' : 'expired; the next request renews it';
  by('bar').style.setProperty('width', (whole ? 100 * left / whole : 0) + '%');
  by('bar').className = left * 5 < whole ? 'low' : '';
}

async function callApi() {
  const out = by('answer');
  out.hidden = false;
  out.textContent = 'calling…';
  try {
    const reply = await fetch('/api/echo', { headers: { accept: 'application/json' }, cache: 'no-store' });
    out.textContent = reply.status + ' ' + reply.statusText + '\\n' + JSON.stringify(await reply.json(), null, 2);
  } catch (error) {
    out.textContent = 'no answer: ' + error.message;
  }
  await readSession();
}

by('call').addEventListener('click', callApi);
setInterval(tick, 1000);
readSession().catch(() => { by('state').textContent = 'not known: no gateway in front'; });
`;
