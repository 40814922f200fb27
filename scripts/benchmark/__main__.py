"""`python3 -m benchmark`, called by scripts/bench: build, start, measure, tell, stop."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from stack.build import WASM_TARGET, cargo, set_up_and_build, ship
from stack.children import Child, stop_all
from stack.console import Console
from stack.errors import Failure, Stopped
from stack.options import ROOT, read_options

from . import chart, report
from .measure import medians, run_rounds
from .stage import FLOOR, Stage, compared
from .variants import MEMORY_VARIANTS, TWO_WORKER_VARIANTS, UPSTREAM_VARIANTS, VARIANTS

RUN = ROOT / ".run"


@dataclass(frozen=True)
class Extent:
    """How much is measured: rounds of each scene, seconds of a slice, revocations."""

    rounds: int
    other_rounds: int
    seconds: int
    revocations: int


FULL = Extent(rounds=12, other_rounds=6, seconds=1, revocations=1_000_000)
QUICK = Extent(rounds=4, other_rounds=0, seconds=1, revocations=100_000)


def main() -> int:
    """Measures until done or stopped; returns the exit status."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, request_stop)
    console = Console(driven=False)
    children: list[Child] = []
    directory = RUN / "bench"
    try:
        arguments = read_arguments()
        shutil.rmtree(directory, ignore_errors=True)
        (directory / "logs").mkdir(parents=True)
        result = run(arguments, directory, console, children)
        publish(result, arguments.publish, console)
        return 0
    except Stopped:
        console.line("\nStopped.")
        return 130
    except Failure as failure:
        for line in failure.tail:
            print(f"  | {line}", file=sys.stderr)
        print(f"bench: {failure}", file=sys.stderr, flush=True)
        return failure.code
    finally:
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        stop_all(children)
        for file in directory.glob("*.db*"):  # hundreds of megabytes; logs and configurations stay
            file.unlink()


def read_arguments() -> argparse.Namespace:
    p = argparse.ArgumentParser(
        prog="scripts/bench",
        description="Compares Gatelatch with Envoy alone and with what a user would pick instead, in one Envoy with one "
        "listener for each, by interleaved rounds of wrk. Takes less than ten minutes; needs no privileges.",
        epilog="Results: a table here, .run/bench.json, .run/bench.svg. Logs and configurations: .run/bench/. "
        "Leave the machine alone while it runs.",
    )
    p.add_argument("--quick", action="store_true", help="a few rounds of the first scene and a tenth of the revocations: for trials, not for telling")
    p.add_argument("--rounds", type=int, metavar="N", help="rounds of the first scene")
    p.add_argument("--only", action="append", metavar="NAME", help="with --quick: this variant beside bare and noop_wasm")
    p.add_argument("--publish", action="store_true", help="also write the chart to envoy/bench.svg, which the README shows")
    p.add_argument("--no-build", action="store_true", help="use what is built already")
    p.add_argument("--wasm", metavar="FILE", help="another filter module")
    p.add_argument("--floor", metavar="FILE", help="another module in place of the floor")
    p.add_argument("--binary", metavar="FILE", help="another control service, built already")
    arguments = p.parse_args()
    if arguments.publish and arguments.quick:
        p.error("--publish needs the whole measurement; leave out --quick")
    unknown = set(arguments.only or []) - {variant.name for variant in VARIANTS}
    if unknown:
        p.error(f"--only {unknown.pop()}: there are {', '.join(variant.name for variant in VARIANTS)}")
    return arguments


def run(arguments: argparse.Namespace, directory: Path, console: Console, children: list[Child]) -> dict:
    begun = time.monotonic()
    need_wrk(arguments.no_build)
    extent = QUICK if arguments.quick else FULL
    rounds = arguments.rounds or extent.rounds
    options = read_options(stack_arguments(arguments, directory))
    set_up_and_build(options, console)
    if options.build:
        with console.step("compared filters"):
            packages = ["-p", "gatelatch-bench-noop", "-p", "gatelatch-bench-floor"]
            log = directory / "logs" / "build.log"
            cargo(["--release", "--target", WASM_TARGET, *packages], log, console)
            ship(compared("floor"), FLOOR, log)
    stage = Stage(options, console, children, arguments.floor)
    stage.start_peers()
    result = {"date": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())} | report.about(options, stage.cpus.told())
    result["revocations"] = {"entries": extent.revocations, "write_s": round(stage.fill(extent.revocations), 1)}

    variants = [v for v in VARIANTS if not arguments.only or v.name in {*arguments.only, "bare", "noop_wasm", "gatelatch_0", "oauth2"}]
    with console.step("Envoy, log-ins", "1 worker, direct responses"):
        envoy = stage.open("direct", variants)
        stage.log_in(envoy)
        stage.check(envoy, variants)
    slices = rounds_of(stage, envoy, variants, extent.seconds, rounds)
    stage.close(envoy)
    result["settings"] = {"connections": 32, "seconds": extent.seconds, "rounds": rounds, "pinning": stage.cpus.told()}
    result["variants"] = medians(slices)
    result["rounds"] = {name: [vars(one) for one in own] for name, own in slices.items()}
    if extent.other_rounds:
        result["scenes"] = {
            "upstream": scene(stage, "upstream", UPSTREAM_VARIANTS, extent, with_upstream=True),
            "two_workers": scene(stage, "two-workers", TWO_WORKER_VARIANTS, extent, concurrency=2),
        }
        result["memory"] = memory(stage, result)
    result["took_s"] = round(time.monotonic() - begun)
    return result


def scene(stage: Stage, name: str, variants: list, extent: Extent, concurrency: int = 1, with_upstream: bool = False) -> dict:
    with stage.console.step("Envoy", name):
        envoy = stage.open(name, variants, concurrency, with_upstream)
        stage.check(envoy, variants)
    slices = rounds_of(stage, envoy, variants, extent.seconds, extent.other_rounds, concurrency)
    stage.close(envoy)
    return medians(slices)


def rounds_of(stage: Stage, envoy: Child, variants: list, seconds: int, rounds: int, concurrency: int = 1) -> dict:
    """The rounds; a variant that answered anything else meanwhile was not measured."""
    before = stage.answered(variants)
    load = stage.load(seconds, concurrency)
    slices = run_rounds(envoy.process.pid, variants, stage.site.ports, stage.cookies, load, rounds, stage.console.note)
    for name, count in stage.answered(variants).items():
        if count != before[name]:
            raise Failure(f"{name} gave {count - before[name]} answers of another status while it was measured")
    return slices


def memory(stage: Stage, result: dict) -> dict:
    """Resident memory of an Envoy with this one listener, after a second of load; and how long the
    whole set of revocations takes into a cold Envoy."""
    taken = {}
    for variant in MEMORY_VARIANTS:
        begun = time.monotonic()
        with stage.console.step("Envoy, memory", variant.name):
            envoy = stage.open(f"memory-{variant.name}", [variant])
            stage.check(envoy, [variant])
        if variant.name == "gatelatch_1m":
            entries = stage.stat("wasmcustom.gatelatch.feed.entries")
            if entries != result["revocations"]["entries"]:
                raise Failure(f"Envoy enforces {entries} revocations, not {result['revocations']['entries']}")
            result["revocations"]["cold_start_s"] = round(time.monotonic() - begun, 1)
        rounds_of(stage, envoy, [variant], 1, 0)
        status = Path(f"/proc/{envoy.process.pid}/status").read_text()
        taken[variant.name] = round(int(status.partition("VmRSS:")[2].split()[0]) / 1024, 1)
        stage.close(envoy)
    return {"resident_mib": taken}


def stack_arguments(arguments: argparse.Namespace, directory: Path) -> list[str]:
    given = ["--run-dir", str(directory), "--ports", "auto"]
    for name in ("wasm", "binary"):
        if value := getattr(arguments, name):
            given += [f"--{name}", value]
    return [*given, "--no-build"] if arguments.no_build else given


def need_wrk(installed_only: bool) -> None:
    if shutil.which("wrk"):
        return
    if installed_only or subprocess.run([ROOT / "scripts/setup", "--bench"], stdin=subprocess.DEVNULL).returncode != 0:
        raise Failure("wrk, which makes the load, is missing and could not be installed; install it (on Debian: apt-get install wrk)")


def publish(result: dict, for_readme: bool, console: Console) -> None:
    """Table, JSON and chart."""
    (RUN / "bench.json").write_text(json.dumps(result, indent=1) + "\n")
    (RUN / "bench.svg").write_text(chart.draw(result))
    if for_readme:
        shutil.copyfile(RUN / "bench.svg", ROOT / "envoy" / "bench.svg")
    for line in report.lines(result):
        console.line(line)
    where = ".run/bench.json, .run/bench.svg" + (", envoy/bench.svg" if for_readme else "")
    console.line(f"\n{where}; {result['took_s']} s")


def request_stop(_number: int, _frame: object) -> None:
    raise Stopped


if __name__ == "__main__":
    sys.exit(main())
