"""What the stack can be told: flags, environment variables and a `.env` file, checked at once.

A flag wins over the environment, the environment over `.env`. A value that cannot be used is one
line that names the setting; nothing has been started then.
"""

from __future__ import annotations

import argparse
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from .errors import Failure

ROOT = Path(__file__).resolve().parents[2]
LOOPBACK = ("localhost", "127.0.0.1", "::1")
CHILDREN = ("idp", "control", "app")

HELP_END = """\
environment (a flag wins; a .env file in the repository's root is read too):
  GATELATCH_SESSION_TTL   lifetime of a session token: 5s, 15m, 1d
  GATELATCH_ENVOYS        how many Envoys, 0 to 9: http://localhost:8000, 8001, ...
  GATELATCH_CONCURRENCY   worker threads of each Envoy
  GATELATCH_STORE         sqlite:PATH or postgres://...
  GATELATCH_ENVOY         path of another Envoy binary
  GATELATCH_ISSUER, GATELATCH_CLIENT_ID, GATELATCH_CLIENT_SECRET
                          another OpenID provider; the local one is then not started
  GATELATCH_IDP_*_TTL     lifetimes at the local provider in seconds (scripts/idp/server.js)

driven (--driven): after the first line, the ready document, each line on standard input is a
command and gets one JSON line on standard output:
  stop|kill|pause|resume|start|restart NAME     NAME: idp, control, app, envoy-0, envoy-1, ...
  status                                        which are running, with their process ids
`start` uses the same arguments again and answers when the process is up. The end of standard
input stops everything."""


@dataclass(frozen=True)
class Options:
    """Everything that was asked for, parsed."""

    run_dir: Path
    ports: str  # "fixed" or "auto"
    ready_file: Path | None
    driven: bool
    build: bool
    build_only: bool
    wasm: Path
    binary: Path
    build_binary: bool  # one that was named is used as it is
    envoy: Path
    envoys: int
    concurrency: int
    session_ttl: str | None
    store: str
    issuer: str | None
    client_id: str
    client_secret: str | None
    filter_config: dict
    vm_env: dict[str, str]
    without: frozenset[str]

    @property
    def local_idp(self) -> bool:
        """Whether the stack brings its own OpenID provider."""
        return self.issuer is None


def read_options(argv: list[str]) -> Options:
    """Reads the command line and the environment."""
    read_dotenv(ROOT / ".env")
    a = parser().parse_args(argv)
    run_dir = Path(a.run_dir).absolute()
    target = Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target").absolute()
    issuer = setting(None, "GATELATCH_ISSUER")
    if issuer is not None:
        check_issuer(issuer)
    return Options(
        run_dir=run_dir,
        ports=a.ports,
        ready_file=Path(a.ready_file).absolute() if a.ready_file else None,
        driven=a.driven,
        build=not a.no_build,
        build_only=a.build_only,
        wasm=Path(a.wasm or target / "gatelatch.wasm").absolute(),
        binary=Path(a.binary or target / "native" / "gatelatch").absolute(),
        build_binary=a.binary is None,
        envoy=envoy_binary(setting(None, "GATELATCH_ENVOY")),
        envoys=whole(a.envoys, "--envoys", "GATELATCH_ENVOYS", 1, 0, 9),
        concurrency=whole(a.concurrency, "--concurrency", "GATELATCH_CONCURRENCY", 2, 1, 128),
        session_ttl=duration(setting(a.session_ttl, "GATELATCH_SESSION_TTL"), "GATELATCH_SESSION_TTL"),
        store=store(setting(a.store, "GATELATCH_STORE"), run_dir),
        issuer=issuer,
        client_id=(needed_with_issuer("GATELATCH_CLIENT_ID", issuer) if issuer else None) or "gatelatch",
        client_secret=needed_with_issuer("GATELATCH_CLIENT_SECRET", issuer),
        filter_config=json_object(a.extra_filter_config),
        vm_env=dict(name_value(item) for item in a.vm_env),
        without=frozenset(a.without),
    )


def parser() -> argparse.ArgumentParser:
    p = argparse.ArgumentParser(
        prog="scripts/run",
        description="Sets up, builds and runs Gatelatch on this machine: an OpenID provider, the control "
        "service, a demo application and Envoy with the filter. Ctrl-C stops everything.",
        epilog=HELP_END,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    p.add_argument("--run-dir", default=str(ROOT / ".run"), metavar="DIR", help="keys, logs, database (.run)")
    p.add_argument("--ports", choices=("fixed", "auto"), default="fixed", help="the documented ports, or free ones")
    p.add_argument("--ready-file", metavar="FILE", help="written when all is ready: JSON with URLs, paths, processes")
    p.add_argument("--driven", action="store_true", help="for tests: JSON on standard output, commands on standard input")
    p.add_argument("--build-only", action="store_true", help="install and build, start nothing")
    p.add_argument("--no-build", action="store_true", help="use what is installed and built already")
    p.add_argument("--wasm", metavar="FILE", help="the filter (target/gatelatch.wasm)")
    p.add_argument("--binary", metavar="FILE", help="the control service, built already (target/native/gatelatch)")
    p.add_argument("--envoys", metavar="N", help="as GATELATCH_ENVOYS")
    p.add_argument("--concurrency", metavar="N", help="as GATELATCH_CONCURRENCY")
    p.add_argument("--session-ttl", metavar="TIME", help="as GATELATCH_SESSION_TTL")
    p.add_argument("--store", metavar="STORE", help="as GATELATCH_STORE")
    p.add_argument("--extra-filter-config", metavar="JSON", help="merged into the filter's configuration; null removes")
    p.add_argument("--vm-env", metavar="NAME=VALUE", action="append", default=[], help="one more variable of the filter")
    p.add_argument("--without", choices=CHILDREN, action="append", default=[], help="leave this one out at first")
    return p


def read_dotenv(path: Path) -> None:
    """Development only: takes variables from `path` that the environment does not have."""
    if not path.is_file():
        return
    for number, line in enumerate(path.read_text().splitlines(), 1):
        line = line.strip().removeprefix("export ")
        if not line or line.startswith("#"):
            continue
        match = re.fullmatch(r"([A-Za-z_][A-Za-z0-9_]*)=(?:\"([^\"]*)\"|'([^']*)'|(.*))", line)
        if not match:
            raise Failure(f".env line {number} is not NAME=VALUE", code=2)
        value = next(part for part in match.groups()[1:] if part is not None)
        os.environ.setdefault(match[1], value)


def setting(flag: str | None, variable: str) -> str | None:
    return flag if flag is not None else os.environ.get(variable) or None


def whole(flag: str | None, name: str, variable: str, default: int, least: int, most: int) -> int:
    text = setting(flag, variable)
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or not least <= int(text) <= most:
        raise Failure(f"{name if flag else variable}={text} is not a whole number from {least} to {most}", code=2)
    return int(text)


def duration(text: str | None, name: str) -> str | None:
    if text is not None and not re.fullmatch(r"[1-9]\d*(s|m|h|d)", text):
        raise Failure(f"{name}={text} is not a duration; write 5s, 15m, 12h or 1d", code=2)
    return text


def store(text: str | None, run_dir: Path) -> str:
    if text is None:
        return f"sqlite:{run_dir / 'gatelatch.db'}"
    if not re.match(r"sqlite:.|postgres(ql)?://.", text):
        raise Failure("GATELATCH_STORE is neither sqlite:PATH nor postgres://USER@HOST/DATABASE", code=2)
    return text


def envoy_binary(text: str | None) -> Path:
    if text is None:
        return ROOT / ".tools" / "envoy"
    path = Path(text).absolute()
    if not os.access(path, os.X_OK) or path.is_dir():
        raise Failure(f"GATELATCH_ENVOY={text} is not a program that can be run", code=2)
    return path


def check_issuer(issuer: str) -> None:
    parts = urlsplit(issuer)
    if parts.scheme not in ("https", "http") or not parts.hostname or parts.query or parts.fragment:
        raise Failure(f"GATELATCH_ISSUER={issuer} is not an issuer URL such as https://login.example.com", code=2)
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        raise Failure(f"GATELATCH_ISSUER={issuer} must use https; http is only for this machine", code=2)


def needed_with_issuer(variable: str, issuer: str | None) -> str | None:
    value = setting(None, variable)
    if issuer is not None and value is None:
        raise Failure(f"{variable} is not set, and GATELATCH_ISSUER is: a provider of your own needs both", code=2)
    return value


def json_object(text: str | None) -> dict:
    try:
        value = json.loads(text or "{}")
    except ValueError as error:
        raise Failure(f"--extra-filter-config is not JSON: {error}", code=2) from None
    if not isinstance(value, dict):
        raise Failure("--extra-filter-config is not a JSON object", code=2)
    return value


def name_value(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        raise Failure(f"--vm-env {name} is not NAME=VALUE", code=2)
    return name, value
