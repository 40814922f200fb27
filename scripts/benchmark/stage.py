"""Everything that the scenes need: ports, keys, the provider, two control services, the second
Envoy; and the Envoy under load, one at a time."""

from __future__ import annotations

import dataclasses
import http.client
import json
import os
import shutil
import time
from pathlib import Path

from stack.build import WASM_TARGET, target_dir
from stack.children import Child, wait_for, wait_until_up
from stack.console import Console
from stack.errors import Failure
from stack.keys import Keys, prepare_keys, write_private
from stack.options import Options
from stack.ports import Ports, free_port
from stack.probes import answers, gate_is_ready
from stack.services import control, environment, idp, log

from . import envoy_yaml, tokens
from .browser import log_in
from .measure import Load
from .revocations import fill
from .variants import VARIANTS, Variant

LIFETIME = "7200"  # of what the provider gives, in seconds: nothing may expire while it is measured
START_SECONDS = 60
SYNC_SECONDS = 180
# The limit of Gatelatch is shipped as Gatelatch is; the no-op filter is left as the SDK builds it.
FLOOR = target_dir() / "gatelatch_bench_floor.wasm"


class Stage:
    """All processes but wrk. `children` is what must be stopped in the end."""

    def __init__(self, options: Options, console: Console, children: list[Child], floor: str | None) -> None:
        self.console, self.children = console, children
        self.held: list = []
        self.options = dataclasses.replace(options, issuer=None, client_id="gatelatch", client_secret=None)
        self.keys: Keys = prepare_keys(self.options)
        self.cpus = Cpus()
        ports = {variant.name: free_port(self.held) for variant in VARIANTS}
        take = [free_port(self.held) for _ in range(7)]
        self.peers_admin = take[6]
        self.jwt = {"hs256": tokens.jwt_authn_hs256(), "rs256": tokens.jwt_authn_rs256()}
        self.site = envoy_yaml.Site(
            ports=ports,
            admin=take[0],
            idp=take[1],
            controls={"gatelatch_0": take[2], "gatelatch_1m": take[3]},
            authz=take[4],
            upstream=take[5],
            wasm={"gatelatch": options.wasm, "noop": compared("noop"), "floor": Path(floor) if floor else FLOOR},
            jwks={name: signed.jwks for name, signed in self.jwt.items()},
            secrets={"oauth2_token": self.keys.client_secret.read_text().strip(), "oauth2_hmac": self.keys.session_key.read_text().strip()},
        )
        self.cookies: dict[str, str] = {}

    def start_peers(self) -> None:
        """The provider, one control service for each kind of Gatelatch, the second Envoy."""
        for name in ("ACCESS", "ID"):
            os.environ[f"GATELATCH_IDP_{name}_TTL"] = LIFETIME
        gateways = [self.site.ports["gatelatch_0"], self.site.ports["oauth2"]]
        ports = Ports(control=0, app=0, idp=self.site.idp, gateways=gateways, admins=[0, 0])
        peers = [idp(self.options, ports, self.keys)]
        for name, port in self.site.controls.items():
            options = dataclasses.replace(self.options, store=f"sqlite:{self.options.run_dir / name}.db")
            child = control(options, dataclasses.replace(ports, control=port), self.keys)
            peers.append(dataclasses.replace(child, name=f"control of {name}", log=log(options, f"control-{name}")))
        told = {name: tokens.USER for name in envoy_yaml.IDENTITY}
        config = envoy_yaml.answering({self.site.authz: told, self.site.upstream: {}}, self.peers_admin)
        peers.append(self.envoy("answers", config, self.peers_admin, 1, self.cpus.peers))
        for child in peers:
            self.children.append(child)
            child.start()
        for child in peers:
            with self.console.step(child.name):
                wait_until_up(child, peers, START_SECONDS)

    def fill(self, count: int) -> float:
        """Seconds that `count` revocations take."""
        begun = time.monotonic()
        with self.console.step("revocations", f"{count:,}".replace(",", " ")):
            fill(self.site.controls["gatelatch_1m"], self.keys.admin_token.read_text().strip(), count, self.console.note)
        return time.monotonic() - begun

    def open(self, name: str, variants: list[Variant], concurrency: int = 1, with_upstream: bool = False) -> Child:
        """Starts the Envoy of a scene. Its filters need not decide yet."""
        config = envoy_yaml.bootstrap(self.site, variants, with_upstream)
        child = self.envoy(name, config, self.site.admin, concurrency, self.cpus.envoy if concurrency == 1 else "")
        self.children.append(child)
        child.start()
        wait_until_up(child, self.children, START_SECONDS)
        return child

    def close(self, child: Child) -> None:
        child.stop()
        self.children.remove(child)

    def log_in(self, envoy: Child) -> None:
        """Real logins where a login is what makes the cookie; the rest is signed here."""
        wait_for(lambda: gate_is_ready(self.site.ports["gatelatch_0"]), envoy, self.children, START_SECONDS)
        session = log_in(self.site.origin("gatelatch_0") + "/", tokens.USER)
        self.cookies["gatelatch"] = only(session, "__Host-gatelatch")
        self.cookies["oauth2"] = log_in(self.site.origin("oauth2") + "/", tokens.USER)
        token = self.cookies["gatelatch"].partition("=")[2]
        key = self.keys.session_key.read_text().strip()
        self.cookies["expired"] = f"__Host-gatelatch={tokens.expired_session(token, key)}"
        self.cookies["forged"] = f"__Host-gatelatch={tokens.forged_session(token)}"
        for name, signed in self.jwt.items():
            self.cookies[name] = f"__Host-gatelatch={signed.token}"

    def check(self, envoy: Child, variants: list[Variant]) -> None:
        """Waits until each variant answers as it must; until an Envoy has the whole feed, Gatelatch
        refuses. Then the application is told who the user is, and does not see the session."""
        for variant in variants:
            wait_for(lambda variant=variant: self.problem(variant), envoy, self.children, SYNC_SECONDS)

    def problem(self, variant: Variant) -> str | None:
        status, headers = self.ask(variant, "/check" if variant.path == "/" else variant.path)
        if status != variant.status:
            return f"{variant.name} answers {status}, not {variant.status}"
        if variant.identity and headers.get("seen-x-auth-request-user") != tokens.USER:
            return f"{variant.name} does not tell the application who the user is"
        if variant.filter.startswith("gatelatch") and headers.get("seen-cookie", "-") not in ("-", ""):
            return f"{variant.name} lets the session cookie through"
        return None

    def ask(self, variant: Variant, path: str) -> tuple[int, dict]:
        port = self.site.ports[variant.name]
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        try:
            connection.request("GET", path, headers={"host": f"localhost:{port}", "accept": "application/json", "cookie": self.cookies[variant.cookie]})
            response = connection.getresponse()
            response.read()
            return response.status, dict(response.headers)
        finally:
            connection.close()

    def load(self, seconds: int, concurrency: int = 1) -> Load:
        return Load(seconds, self.cpus.wrk if concurrency == 1 else "")

    def answered(self, variants: list[Variant]) -> dict[str, int]:
        """How often each variant has answered with another class of status than it must."""
        return {v.name: sum(self.stat(f"http.{v.name}.downstream_rq_{n}xx") for n in range(1, 6) if n != v.status // 100) for v in variants}

    def stat(self, name: str) -> int:
        """One of Envoy's own statistics; 0 where it has none of this name yet."""
        connection = http.client.HTTPConnection("127.0.0.1", self.site.admin, timeout=5)
        try:
            connection.request("GET", f"/stats?format=json&filter={name}")
            stats = json.loads(connection.getresponse().read())["stats"]
        finally:
            connection.close()
        return next((stat["value"] for stat in stats if stat.get("name") == name), 0)

    def envoy(self, name: str, config: dict, admin: int, concurrency: int, cpus: str) -> Child:
        path = self.options.run_dir / f"{name}.json"
        write_private(path, json.dumps(config, indent=1))
        pin = ["taskset", "-c", cpus] if cpus else []
        argv = [
            *pin, str(self.options.envoy), "-c", str(path),
            "--concurrency", str(concurrency),
            "--service-node", "bench", "--service-cluster", "bench",
            "--disable-hot-restart", "--log-level", "warning",
        ]  # fmt: skip
        env = {**environment(), **self.keys.vm_environment()}
        file = log(self.options, name)
        file.write_bytes(b"")
        return Child(name, argv, env, file, lambda: answers(admin, "/ready"))


def compared(name: str) -> Path:
    """Where cargo puts a filter that is only compared with."""
    return target_dir() / WASM_TARGET / "release" / f"gatelatch_bench_{name}.wasm"


class Cpus:
    """Envoy's worker has a CPU to itself where there are two; what answers it shares wrk's, which
    is the kindest that two CPUs can be to it."""

    def __init__(self) -> None:
        free = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
        pinned = len(free) > 1 and shutil.which("taskset") is not None
        self.envoy = str(free[0]) if pinned else ""
        self.wrk = str(free[1]) if pinned else ""
        self.peers = ",".join(map(str, free[2:] or free[1:])) if pinned else ""

    def told(self) -> str:
        return f"Envoy on CPU {self.envoy}, wrk on CPU {self.wrk}" if self.envoy else "no CPU to itself for anything"


def only(cookies: str, name: str) -> str:
    """The one cookie of a login that stays."""
    found = [pair for pair in cookies.split("; ") if pair.startswith(f"{name}=")]
    if len(found) != 1:
        raise Failure(f"the login gave no {name} cookie")
    return found[0]
