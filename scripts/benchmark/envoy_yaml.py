"""Envoy's configuration for one scene: a listener for each variant, alike but for the one filter."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from .variants import Variant

HTTP = "type.googleapis.com/envoy.extensions.filters.http."
CALLBACK = "/_gatelatch/callback"
ISSUER = "https://bench.example"
IDENTITY = {"x-auth-request-user": "sub", "x-auth-request-email": "email", "x-auth-request-session": "sid"}


@dataclass(frozen=True)
class Site:
    """Where everything is."""

    ports: dict[str, int]  # variant name to port
    admin: int
    idp: int
    controls: dict[str, int]  # filter name to port of its control service
    authz: int
    upstream: int
    wasm: dict[str, Path]  # noop, floor, gatelatch
    jwks: dict[str, str]
    secrets: dict[str, str]

    def origin(self, name: str) -> str:
        return f"http://localhost:{self.ports[name]}"


def bootstrap(site: Site, variants: list[Variant], with_upstream: bool) -> dict:
    """One Envoy. JSON is YAML, so Envoy reads it as it is."""
    clusters = {"idp": site.idp, "authz": site.authz, "upstream": site.upstream}
    http2 = {f"control_{name}": port for name, port in site.controls.items()}
    return {
        "admin": {"address": address(site.admin)},
        "static_resources": {
            "listeners": [listener(site, v, with_upstream) for v in variants],
            "clusters": [cluster(name, port) for name, port in clusters.items()]
            + [cluster(name, port, http2=True) for name, port in http2.items()],
            "secrets": [
                {"name": name, "generic_secret": {"secret": {"inline_string": value}}}
                for name, value in site.secrets.items()
            ],
        },
    }


def answering(listeners: dict[int, dict[str, str]], admin: int) -> dict:
    """The second Envoy: it answers 200 at once, with these headers."""
    ok = {"direct_response": {"status": 200, "body": {"inline_string": "ok\n"}}}

    def routes(headers: dict[str, str]) -> list[dict]:
        added = [header(name, value) for name, value in headers.items()]
        if not added:  # an application: it tells the benchmark's check what it was told
            return [{"match": {"prefix": "/check"}, **ok, "response_headers_to_add": echo()}, {"match": {"prefix": "/"}, **ok}]
        return [{"match": {"prefix": "/"}, **ok, "response_headers_to_add": added}]

    return {
        "admin": {"address": address(admin)},
        "static_resources": {
            "listeners": [plain_listener(f"answers-{port}", port, [], routes(headers)) for port, headers in listeners.items()]
        },
    }


def listener(site: Site, variant: Variant, with_upstream: bool) -> dict:
    ok = {"direct_response": {"status": 200, "body": {"inline_string": "ok\n"}}}
    if with_upstream:
        routes = [{"match": {"prefix": "/"}, "route": {"cluster": "upstream"}}]
    else:
        routes = [{"match": {"prefix": "/check"}, **ok, "response_headers_to_add": echo()}, {"match": {"prefix": "/"}, **ok}]
    return plain_listener(variant.name, site.ports[variant.name], filters(site, variant), routes)


def plain_listener(name: str, port: int, http_filters: list[dict], routes: list[dict]) -> dict:
    router = {"name": "router", "typed_config": {"@type": HTTP + "router.v3.Router"}}
    manager = {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager",
        "stat_prefix": name,
        "http_filters": [*http_filters, router],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": routes}]},
    }
    return {
        "name": name,
        "address": address(port),
        "filter_chains": [{"filters": [{"name": "http", "typed_config": manager}]}],
    }


def filters(site: Site, variant: Variant) -> list[dict]:
    """The one filter of a variant; none for Envoy alone."""
    kind = variant.filter
    if kind == "none":
        return []
    if kind.startswith("gatelatch"):
        return [wasm(kind, site.wasm["gatelatch"], gatelatch(site, kind))]
    if kind in ("noop", "floor"):
        return [wasm(kind, site.wasm[kind], None)]
    if kind.startswith("jwt_authn"):
        return [jwt_authn(site, kind)]
    return [oauth2(site) if kind == "oauth2" else ext_authz(site)]


def wasm(name: str, module: Path, configuration: dict | None) -> dict:
    """Each kind in a VM of its own, as if it were deployed alone."""
    config = {
        "name": name,
        "root_id": "gatelatch",
        "failure_policy": "FAIL_RELOAD",
        "vm_config": {
            "vm_id": name,
            "runtime": "envoy.wasm.runtime.v8",
            "code": {"local": {"filename": str(module)}},
            "environment_variables": {
                "host_env_keys": ["GATELATCH_CLIENT_SECRET", "GATELATCH_SESSION_KEY", "GATELATCH_GATEWAY_TOKEN"]
            },
        },
    }
    if configuration is not None:
        config["configuration"] = {"@type": "type.googleapis.com/google.protobuf.Struct", "value": configuration}
    return {"name": name, "typed_config": {"@type": HTTP + "wasm.v3.Wasm", "config": config}}


def gatelatch(site: Site, kind: str) -> dict:
    """As documented; one public URL, so that one login is good for all variants."""
    return {
        "issuer": f"http://localhost:{site.idp}",
        "client_id": "gatelatch",
        "client_secret_env": "GATELATCH_CLIENT_SECRET",
        "idp_cluster": "idp",
        "control_cluster": f"control_{kind}",
        "public_url": site.origin("gatelatch_0"),
        "session_keys": [{"kid": "k1", "env": "GATELATCH_SESSION_KEY"}],
        "session": {"ttl": "2h", "max_age": "12h", "refresh_window": "1h"},
        "identity_headers": IDENTITY,
        "rules": [{"prefix": "/public/", "access": "public"}],
    }


def jwt_authn(site: Site, kind: str) -> dict:
    """The same token in the same cookie, and the same three headers."""
    algorithm = "hs256" if kind.endswith("hs256") else "rs256"
    provider = {
        "issuer": ISSUER,
        "audiences": [ISSUER],
        "local_jwks": {"inline_string": site.jwks[algorithm]},
        "from_cookies": ["__Host-gatelatch"],
        "forward": True,
        "claim_to_headers": [{"header_name": name, "claim_name": claim} for name, claim in IDENTITY.items()],
    }
    if kind.endswith("cached"):
        provider["jwt_cache_config"] = {"jwt_cache_size": 1000}
    config = {
        "providers": {"bench": provider},
        "rules": [{"match": {"prefix": "/"}, "requires": {"provider_name": "bench"}}],
    }
    return {"name": kind, "typed_config": {"@type": HTTP + "jwt_authn.v3.JwtAuthentication", **config}}


def oauth2(site: Site) -> dict:
    idp = f"http://localhost:{site.idp}"
    config = {
        "token_endpoint": {"cluster": "idp", "uri": f"{idp}/token", "timeout": "5s"},
        "authorization_endpoint": f"{idp}/auth",
        "redirect_uri": site.origin("oauth2") + CALLBACK,
        "redirect_path_matcher": {"path": {"exact": CALLBACK}},
        "signout_path": {"path": {"exact": "/signout"}},
        "auth_scopes": ["openid", "profile", "email", "offline_access"],
        "auth_type": "BASIC_AUTH",
        "use_refresh_token": True,
        "credentials": {
            "client_id": "gatelatch",
            "token_secret": {"name": "oauth2_token"},
            "hmac_secret": {"name": "oauth2_hmac"},
        },
    }
    return {"name": "oauth2", "typed_config": {"@type": HTTP + "oauth2.v3.OAuth2", "config": config}}


def ext_authz(site: Site) -> dict:
    service = {
        "server_uri": {"uri": f"http://127.0.0.1:{site.authz}", "cluster": "authz", "timeout": "2s"},
        "authorization_request": {"allowed_headers": {"patterns": [{"exact": "cookie"}]}},
        "authorization_response": {"allowed_upstream_headers": {"patterns": [{"prefix": "x-auth-request-"}]}},
    }
    return {"name": "ext_authz", "typed_config": {"@type": HTTP + "ext_authz.v3.ExtAuthz", "http_service": service}}


def cluster(name: str, port: int, http2: bool = False) -> dict:
    protocol = {"http2_protocol_options": {}} if http2 else {"http_protocol_options": {}}
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "2s",
        "circuit_breakers": {"thresholds": [{"max_connections": 10000, "max_pending_requests": 10000, "max_requests": 10000}]},
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": {
                "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions",
                "explicit_http_config": protocol,
            }
        },
        "load_assignment": {
            "cluster_name": name,
            "endpoints": [{"lb_endpoints": [{"endpoint": {"address": address(port)}}]}],
        },
    }


def echo() -> list[dict]:
    """What the application would see, told back to the benchmark's own check."""
    seen = {f"seen-{name}": f"%REQ({name})%" for name in (*IDENTITY, "cookie")}
    return [header(name, value) for name, value in seen.items()]


def header(name: str, value: str) -> dict:
    return {"header": {"key": name, "value": value}}


def address(port: int) -> dict:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
