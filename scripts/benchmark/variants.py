"""What is compared: every variant, what it stands for and what its answer must be."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Variant:
    """One listener and the request that is sent to it."""

    name: str
    label: str
    filter: str  # key of envoy_yaml.FILTERS; None of it for a bare listener
    cookie: str | None  # key of the cookies that the set-up gathers
    path: str = "/"
    status: int = 200
    identity: bool = False  # whether the upstream must be told who it is


BARE = Variant("bare", "Envoy alone", "none", "gatelatch")
NOOP = Variant("noop_wasm", "wasm filter that does nothing", "noop", "gatelatch")
FLOOR = Variant("floor", "wasm: Gatelatch's host calls alone", "floor", "gatelatch")
GATELATCH_1M = Variant("gatelatch_1m", "Gatelatch, 1 000 000 revoked", "gatelatch_1m", "gatelatch", identity=True)

VARIANTS = [
    BARE,
    NOOP,
    FLOOR,
    Variant("gatelatch_0", "Gatelatch, nothing revoked", "gatelatch_0", "gatelatch", identity=True),
    GATELATCH_1M,
    Variant("gatelatch_public", "Gatelatch, public path", "gatelatch_1m", "gatelatch", path="/public/"),
    Variant("gatelatch_expired", "Gatelatch, expired token refused", "gatelatch_1m", "expired", status=401),
    Variant("gatelatch_forged", "Gatelatch, forged token refused", "gatelatch_1m", "forged", status=401),
    Variant("jwt_authn_cached", "jwt_authn RS256, token cache", "jwt_authn_cached", "rs256", identity=True),
    Variant("jwt_authn_hs256", "jwt_authn HS256", "jwt_authn_hs256", "hs256", identity=True),
    Variant("jwt_authn_rs256", "jwt_authn RS256", "jwt_authn_rs256", "rs256", identity=True),
    Variant("oauth2", "oauth2", "oauth2", "oauth2"),
    Variant("bare_oauth2_cookie", "Envoy alone, oauth2's cookies", "none", "oauth2"),
    Variant("ext_authz_noop", "ext_authz, answered at once", "ext_authz", "gatelatch"),
]

UPSTREAM_VARIANTS = [v for v in VARIANTS if v.name in ("bare", "noop_wasm", "floor", "gatelatch_1m", "jwt_authn_hs256", "oauth2", "ext_authz_noop")]
TWO_WORKER_VARIANTS = [v for v in VARIANTS if v.name in ("bare", "noop_wasm", "floor", "gatelatch_1m", "jwt_authn_hs256", "oauth2", "ext_authz_noop")]
MEMORY_VARIANTS = [v for v in VARIANTS if v.name in ("bare", "noop_wasm", "jwt_authn_cached", "oauth2", "gatelatch_0", "gatelatch_1m")]

# What is promised: (one, other, by at least which factor the one is faster).
TARGETS = [
    ("gatelatch_1m", "noop_wasm", 0.85),
    ("gatelatch_1m", "floor", 0.95),
    ("gatelatch_1m", "oauth2", 1.0),
    ("gatelatch_1m", "jwt_authn_hs256", 1.35),
    ("gatelatch_1m", "jwt_authn_rs256", 2.0),
    ("gatelatch_1m", "ext_authz_noop", 2.5),
]
