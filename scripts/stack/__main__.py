"""`python3 -m stack`, called by scripts/run: set up, build, start, watch, stop."""

from __future__ import annotations

import json
import os
import selectors
import shlex
import signal
import sys

from .build import set_up_and_build
from .children import Child, stop_all, wait_for, wait_until_up
from .console import Console
from .driver import answer, obey, pids
from .envoy_config import issuer_url, public_url
from .errors import Failure, Stopped
from .keys import Keys, prepare_keys, write_private
from .options import Options, read_options
from .ports import Ports, choose_ports
from .probes import gate_is_ready
from .services import make_children

START_SECONDS = 30
GATE_SECONDS = 60


def main() -> int:
    """Runs the stack until somebody stops it; returns the exit status."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, request_stop)
    console = Console("--driven" in sys.argv)
    children: list[Child] = []
    try:
        run(read_options(sys.argv[1:]), console, children)
    except Stopped:
        return 0
    except Failure as failure:
        console.failure(failure)
        return failure.code
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        if any(child.running() for child in children):
            stop_all(children)
            console.line("\nStopped.")
    return 0


def run(options: Options, console: Console, children: list[Child]) -> None:
    # Taken ports are told first: before anything is installed, built or started.
    ports = None if options.build_only else choose_ports(options)
    (options.run_dir / "logs").mkdir(parents=True, exist_ok=True)
    set_up_and_build(options, console)
    if ports is None:
        return
    keys = prepare_keys(options)
    write_environment(options, keys)
    children += make_children(options, ports, keys)
    start(options, ports, console, children)
    document = ready_document(options, ports, keys, children)
    if options.ready_file:
        write_private(options.ready_file, json.dumps(document, indent=2))
    if options.driven:
        answer(**document)
    else:
        console.welcome(options, ports)
    watch(options, children)


def start(options: Options, ports: Ports, console: Console, children: list[Child]) -> None:
    """Starts everything: what Envoy needs at once, then the Envoys, then the filters' readiness."""
    wanted = [child for child in children if child.name not in options.without]
    envoys = [child for child in wanted if child.name.startswith("envoy-")]
    for file in [child.log for child in children] + [options.run_dir / "idp-events.jsonl"]:
        file.write_bytes(b"")
    for group in ([child for child in wanted if child not in envoys], envoys):
        for child in group:
            child.start()
        for child in group:
            with console.step(child.name, f"pid {child.process.pid}"):
                wait_until_up(child, wanted_running(wanted), START_SECONDS)
    if options.without & {"idp", "control"}:
        return  # the filters cannot be ready; what they answer then is what a test looks at
    for envoy, port in zip(envoys, ports.gateways):
        with console.step(f"{envoy.name} filter", f"http://localhost:{port}"):
            wait_for(lambda port=port: gate_is_ready(port), envoy, wanted_running(wanted), GATE_SECONDS)


def wanted_running(wanted: list[Child]) -> list[Child]:
    return [child for child in wanted if child.process is not None]


def watch(options: Options, children: list[Child]) -> None:
    """Waits for a child that ends, a command, or the request to stop."""
    commands = selectors.DefaultSelector()
    if options.driven:
        commands.register(sys.stdin.buffer, selectors.EVENT_READ)
    while True:
        # Raw lines: a buffered reader could hold a second command that select does not see.
        if commands.select(0.2):
            for line in read_commands():
                obey(line, children)
        for child in children:
            child.check()


def read_commands() -> list[str]:
    """The commands that have arrived; `[""]` at the end of input."""
    text = os.read(sys.stdin.fileno(), 65536)
    while text and not text.endswith(b"\n"):
        more = os.read(sys.stdin.fileno(), 65536)
        if not more:
            break
        text += more
    return text.decode(errors="replace").splitlines() or [""]


def write_environment(options: Options, keys: Keys) -> None:
    """`envoy.env`: the filter's variables for an Envoy that is started by hand."""
    lines = [f"{name}={shlex.quote(value)}" for name, value in keys.vm_environment().items()]
    write_private(options.run_dir / "envoy.env", "\n".join(lines))


def ready_document(options: Options, ports: Ports, keys: Keys, children: list[Child]) -> dict:
    """Everything a test needs to know: addresses, files, processes. Secrets are named by file."""
    return {
        "public_url": public_url(options, ports),
        "gateways": [
            {"name": f"envoy-{n}", "url": f"http://localhost:{gateway}", "admin_url": f"http://127.0.0.1:{admin}"}
            for n, (gateway, admin) in enumerate(zip(ports.gateways, ports.admins))
        ],
        "issuer": issuer_url(options, ports),
        "control_url": f"http://127.0.0.1:{ports.control}",
        "app_url": f"http://127.0.0.1:{ports.app}",
        "ports": ports.named(),
        "client_id": options.client_id,
        "run_dir": str(options.run_dir),
        "idp_events_file": str(options.run_dir / "idp-events.jsonl") if options.local_idp else None,
        "admin_token_file": str(keys.admin_token),
        "gateway_token_file": str(keys.gateway_token),
        "session_key_file": str(keys.session_key),
        "encryption_key_file": str(keys.encryption_keys),
        "client_secret_file": str(keys.client_secret),
        "supervisor_pid": os.getpid(),
        "pids": pids(children),
        "children": {child.name: {"argv": child.argv, "log": str(child.log)} for child in children},
    }


def request_stop(_number: int, _frame: object) -> None:
    raise Stopped


if __name__ == "__main__":
    sys.exit(main())
