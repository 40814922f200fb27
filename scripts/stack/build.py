"""Builds the filter and the control service, with a line of progress while it takes long."""

from __future__ import annotations

import hashlib
import os
import subprocess
import time
from pathlib import Path

from .console import Console
from .errors import Failure
from .options import ROOT, Options

WASM_TARGET = "wasm32-wasip1"
SHIP = ROOT / "scripts" / "ship-wasm"
TELL_EVERY = 10.0


def set_up_and_build(options: Options, console: Console) -> None:
    """Installs what is missing and builds both artifacts; cargo's output is shown when it fails."""
    if not options.build:
        for path, how in ((options.wasm, "--wasm"), (options.binary, "--binary"), (options.envoy, "GATELATCH_ENVOY")):
            if not path.is_file():
                raise Failure(f"{path} is not there; run without --no-build, or name another with {how}")
        return
    if subprocess.run([ROOT / "scripts/setup"], stdin=subprocess.DEVNULL, stdout=console.out).returncode != 0:
        raise Failure("the set-up failed (see above)")
    log = options.run_dir / "logs" / "build.log"
    log.write_bytes(b"")
    with console.step("filter"):
        cargo(["--release", "--target", WASM_TARGET, "-p", "gatelatch-filter"], log, console)
        built = target_dir() / WASM_TARGET / "release" / "gatelatch_filter.wasm"
        ship(built, target_dir() / "gatelatch.wasm", log)
    if not options.build_binary:
        return
    with console.step("control service"):
        cargo(["--profile", "native", "-p", "gatelatch-control"], log, console)


def target_dir() -> Path:
    return Path(os.environ.get("CARGO_TARGET_DIR") or ROOT / "target").absolute()


def ship(built: Path, to: Path, log: Path) -> None:
    """Makes the module that is shipped, when it would be another than the one that is there. In one
    step, so that an Envoy that starts meanwhile never reads half a module."""
    made_from = hashlib.sha256(built.read_bytes() + SHIP.read_bytes()).hexdigest()
    stamp, new = to.with_name(to.name + ".made-from"), to.with_name(to.name + ".new")
    if to.is_file() and stamp.is_file() and stamp.read_text() == made_from:
        return
    with log.open("ab") as out:
        done = subprocess.run([SHIP, built, new], stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    if done.returncode != 0:
        raise Failure(f"the filter could not be made ready to ship; all output is in {log}", log.read_text(errors="replace").splitlines()[-10:])
    new.replace(to)
    stamp.write_text(made_from)


def cargo(arguments: list[str], log: Path, console: Console) -> None:
    command = ["cargo", "build", "--locked", *arguments]
    start = log.stat().st_size
    with log.open("ab") as out:
        process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    try:
        begun = told = time.monotonic()
        while process.poll() is None:
            time.sleep(0.1)
            if time.monotonic() - told > TELL_EVERY:
                told = time.monotonic()
                console.note(f"{told - begun:.0f} s: {last_line(log, start)}")
    finally:
        if process.poll() is None:
            process.terminate()
            process.wait()
    if process.returncode != 0:
        lines = log.read_bytes()[start:].decode(errors="replace").splitlines()
        raise Failure(f"`{' '.join(command)}` failed; all of its output is in {log}", lines[-60:])


def last_line(log: Path, start: int) -> str:
    lines = log.read_bytes()[start:].decode(errors="replace").split("\n")
    return next((line.strip() for line in reversed(lines) if line.strip()), "cargo has said nothing yet")
