"""Tokens that no login gives: those for jwt_authn, and a session JWT that has expired or is forged."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import subprocess
import time
from dataclasses import dataclass

from stack.errors import Failure

from .envoy_yaml import ISSUER

USER = "bench"

# Node.js is there for the identity provider; Python alone has no RSA.
RS256 = """
const { createSign, generateKeyPairSync } = require('node:crypto');
const input = require('node:fs').readFileSync(0, 'utf8');
const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
const signature = createSign('RSA-SHA256').update(input).sign(privateKey, 'base64url');
console.log(JSON.stringify({ token: `${input}.${signature}`, jwk: publicKey.export({ format: 'jwk' }) }));
"""


@dataclass(frozen=True)
class Signed:
    """A token and the JWKS that verifies it."""

    token: str
    jwks: str


def session_claims(token: str) -> dict:
    """What a session JWT says."""
    payload = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))


def expired_session(token: str, key: str) -> str:
    """The session JWT of a login as it will be when its refresh window is over, signed by the key
    of this run."""
    now = int(time.time())
    age = {"iat": now - 7200, "exp": now - 6600, "auth_time": now - 7200, "session_iat": now - 7200, "session_exp": now - 600}
    head = {"alg": "HS256", "kid": "k1", "typ": "session+jwt"}
    return hs256(head, {**session_claims(token), **age}, key.encode())


def forged_session(token: str) -> str:
    """The session JWT of a login with another key's signature."""
    signed, _, _ = token.rpartition(".")
    return f"{signed}.{encode(secrets.token_bytes(32))}"


def jwt_authn_hs256() -> Signed:
    key = secrets.token_bytes(48)
    jwk = {"kty": "oct", "alg": "HS256", "kid": "k1", "k": encode(key)}
    return Signed(hs256({"alg": "HS256", "kid": "k1"}, peer_claims(), key), json.dumps({"keys": [jwk]}))


def jwt_authn_rs256() -> Signed:
    text = signing_input({"alg": "RS256", "kid": "k1"}, peer_claims())
    made = subprocess.run(["node", "-e", RS256], input=text, capture_output=True, text=True)
    if made.returncode != 0:
        raise Failure("node could not sign a token", made.stderr.splitlines())
    answer = json.loads(made.stdout)
    return Signed(answer["token"], json.dumps({"keys": [{**answer["jwk"], "alg": "RS256", "kid": "k1"}]}))


def peer_claims() -> dict:
    """The claims of a session JWT, from an issuer whose keys jwt_authn is given."""
    now = int(time.time())
    return {
        "iss": ISSUER, "aud": ISSUER, "sub": USER, "sid": encode(secrets.token_bytes(16)),
        "jti": encode(secrets.token_bytes(16)), "iat": now, "exp": now + 7200, "auth_time": now,
        "session_iat": now, "session_exp": now + 43200, "email": f"{USER}@example.test",
        "preferred_username": USER, "name": USER.capitalize(), "groups": ["staff"],
    }  # fmt: skip


def hs256(head: dict, claims: dict, key: bytes) -> str:
    text = signing_input(head, claims)
    return f"{text}.{encode(hmac.new(key, text.encode(), hashlib.sha256).digest())}"


def signing_input(head: dict, claims: dict) -> str:
    return ".".join(encode(json.dumps(part, separators=(",", ":")).encode()) for part in (head, claims))


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
