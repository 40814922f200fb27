"""The processes of the stack: command line, environment and sign of life of each."""

from __future__ import annotations

import os
from pathlib import Path

from .children import Child
from .envoy_config import issuer_url, public_url, write_envoy_configs
from .keys import Keys
from .options import ROOT, Options
from .ports import Ports
from .probes import answers


def make_children(options: Options, ports: Ports, keys: Keys) -> list[Child]:
    """All processes in the order in which they start."""
    children = [control(options, ports, keys), app(options, ports)]
    if options.local_idp:
        children.insert(0, idp(options, ports, keys))
    return children + envoys(options, ports, keys)


def idp(options: Options, ports: Ports, keys: Keys) -> Child:
    site = public_url(options, ports)
    env = {
        **environment(),
        **{name: value for name, value in os.environ.items() if name.startswith("GATELATCH_IDP_")},
        "GATELATCH_CLIENT_SECRET": keys.client_secret.read_text().strip(),
        "GATELATCH_IDP_PORT": str(ports.idp),
        "GATELATCH_IDP_RUN_DIR": str(options.run_dir),
        "GATELATCH_IDP_PUBLIC_URLS": ",".join(
            [*filter(None, [os.environ.get("GATELATCH_IDP_PUBLIC_URLS")]), *(f"http://localhost:{p}" for p in ports.gateways)]
        ),
        "GATELATCH_IDP_BACKCHANNEL_LOGOUT_URI": f"{site}/_gatelatch/backchannel-logout",
    }
    argv = ["node", str(ROOT / "scripts/idp/server.js")]
    return Child("idp", argv, env, log(options, "idp"), lambda: answers(ports.idp, "/.well-known/openid-configuration"))


def control(options: Options, ports: Ports, keys: Keys) -> Child:
    argv = [
        str(options.binary), "serve",
        "--listen", f"127.0.0.1:{ports.control}",
        "--gateway-token-file", str(keys.gateway_token),
        "--admin-token-file", str(keys.admin_token),
        "--encryption-key-file", str(keys.encryption_keys),
    ]  # fmt: skip
    # The store may carry a password, so it is not an argument that everybody can list.
    env = {**environment(), **control_settings(), "GATELATCH_STORE": options.store, "NO_COLOR": "1"}
    env["GATELATCH_IDPS"] = f"{issuer_url(options, ports)},{options.client_id}"
    return Child("control", argv, env, log(options, "control"), lambda: answers(ports.control, "/readyz"))


def app(options: Options, ports: Ports) -> Child:
    env = {**environment(), "GATELATCH_DEMO_PORT": str(ports.app)}
    argv = ["node", str(ROOT / "scripts/demo/server.js")]
    return Child("app", argv, env, log(options, "app"), lambda: answers(ports.app, "/status/204", 204))


def envoys(options: Options, ports: Ports, keys: Keys) -> list[Child]:
    env = {**environment(), **keys.vm_environment(), **options.vm_env}
    return [envoy(options, n, path, ports.admins[n], env) for n, path in enumerate(write_envoy_configs(options, ports))]


def envoy(options: Options, n: int, config: Path, admin: int, env: dict[str, str]) -> Child:
    name = f"envoy-{n}"
    argv = [
        str(options.envoy), "-c", str(config),
        "--concurrency", str(options.concurrency),
        "--service-node", name,
        "--service-cluster", "gatelatch",
        "--disable-hot-restart",
        "--log-level", "info",
    ]  # fmt: skip
    return Child(name, argv, env, log(options, name), lambda: answers(admin, "/ready"))


def log(options: Options, name: str) -> Path:
    return options.run_dir / "logs" / f"{name}.log"


def environment() -> dict[str, str]:
    """The caller's environment without our own settings: each process gets those it needs."""
    return {name: value for name, value in os.environ.items() if not name.startswith("GATELATCH_")}


def control_settings() -> dict[str, str]:
    """Settings of the control service that the stack has no opinion on."""
    passed = ("GATELATCH_RETENTION", "GATELATCH_CLEANUP_INTERVAL", "GATELATCH_TAIL_WINDOW", "GATELATCH_LEASE", "GATELATCH_LOG_FORMAT")
    return {name: os.environ[name] for name in passed if name in os.environ}
