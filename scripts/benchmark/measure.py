"""One slice of load on one variant, and medians over the rounds of a scene."""

from __future__ import annotations

import json
import os
import random
import statistics
import subprocess
from dataclasses import dataclass
from pathlib import Path

from stack.errors import Failure

from .variants import Variant

LUA = Path(__file__).with_name("wrk.lua")
CONNECTIONS = 32
THREADS_OF_ENVOY = "wrk:worker_"


@dataclass(frozen=True)
class Slice:
    """What one run of wrk saw, and what Envoy's workers spent on it."""

    rps: float
    p50_us: int
    p99_us: int
    cpu_us: float  # of all workers, per request


@dataclass(frozen=True)
class Load:
    """How load is made: seconds of one slice, and the CPUs of wrk (empty: any)."""

    seconds: int
    cpus: str


def run_rounds(pid: int, variants: list[Variant], ports: dict[str, int], cookies: dict[str, str], load: Load, rounds: int, note) -> dict[str, list[Slice]]:
    """`rounds` slices of every variant, in another order each round, so that a change in the
    machine's speed meets all of them alike. The first slice of each warms up and is not counted."""
    order = list(variants)
    for variant in order:
        one_slice(pid, variant, ports[variant.name], cookies[variant.cookie], Load(1, load.cpus))
    slices: dict[str, list[Slice]] = {variant.name: [] for variant in variants}
    shuffle = random.Random(1)
    for n in range(rounds):
        shuffle.shuffle(order)
        for variant in order:
            slices[variant.name].append(one_slice(pid, variant, ports[variant.name], cookies[variant.cookie], load))
        note(f"round {n + 1} of {rounds}")
    return slices


def one_slice(pid: int, variant: Variant, port: int, cookie: str, load: Load) -> Slice:
    command = ["wrk", "-t1", f"-c{CONNECTIONS}", f"-d{load.seconds}s", "-s", str(LUA), f"http://127.0.0.1:{port}{variant.path}"]
    if load.cpus:
        command = ["taskset", "-c", load.cpus, *command]
    env = {**os.environ, "BENCH_COOKIE": cookie, "BENCH_HOST": f"localhost:{port}"}
    before = worker_ns(pid)
    done = subprocess.run(command, env=env, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    spent_ns = worker_ns(pid) - before
    line = next((line for line in done.stdout.splitlines() if line.startswith("result ")), None)
    if done.returncode != 0 or line is None:
        raise Failure(f"wrk failed on {variant.name}", (done.stdout + done.stderr).splitlines()[-10:])
    seen = json.loads(line.removeprefix("result "))
    refused = seen["requests"] if variant.status >= 400 else 0
    # wrk may count one answer of each connection as it ends in one of the two numbers only.
    if seen["failed"] or abs(seen["refused"] - refused) > CONNECTIONS:
        raise Failure(f"{variant.name} did not answer {variant.status} throughout: {seen}")
    if not seen["requests"]:
        raise Failure(f"{variant.name} answered nothing")
    return Slice(
        rps=seen["requests"] / seen["duration_us"] * 1e6,
        p50_us=seen["p50_us"],
        p99_us=seen["p99_us"],
        cpu_us=spent_ns / 1_000 / seen["requests"],
    )


def worker_ns(pid: int) -> int:
    """CPU time of Envoy's workers, in nanoseconds where the kernel says, else in its ticks."""
    total = 0
    for task in Path(f"/proc/{pid}/task").iterdir():
        if not (task / "comm").read_text().startswith(THREADS_OF_ENVOY):
            continue
        try:
            total += int((task / "schedstat").read_text().split()[0])
        except OSError:
            fields = (task / "stat").read_text().rpartition(")")[2].split()
            total += (int(fields[11]) + int(fields[12])) * 1_000_000_000 // os.sysconf("SC_CLK_TCK")
    return total


def medians(slices: dict[str, list[Slice]]) -> dict[str, dict]:
    """For each variant the medians, and the medians of its ratios within each round."""
    return {
        name: {
            "rps": round(middle(own, "rps")),
            "p50_us": round(middle(own, "p50_us")),
            "p99_us": round(middle(own, "p99_us")),
            "cpu_us": round(middle(own, "cpu_us"), 2),
            "of_bare": ratios(own, slices["bare"]),
            "of_noop_wasm": ratios(own, slices["noop_wasm"]),
        }
        for name, own in slices.items()
    }


def ratios(own: list[Slice], other: list[Slice]) -> dict[str, float]:
    """By throughput, and by CPU time per request; more is better in both."""
    return {
        "rps": round(statistics.median(a.rps / b.rps for a, b in zip(own, other)), 3),
        "cpu": round(statistics.median(b.cpu_us / a.cpu_us for a, b in zip(own, other)), 3),
    }


def middle(slices: list[Slice], field: str) -> float:
    return statistics.median(getattr(one, field) for one in slices)
