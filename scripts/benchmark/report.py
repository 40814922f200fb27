"""The result for people: what was compared where, and a table."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path

from stack.options import ROOT, Options

from .variants import TARGETS, VARIANTS

HEAD = f"{'':<38} {'req/s':>8} {'of bare':>8} {'of noop':>8} {'CPU µs':>8} {'of bare':>8} {'of noop':>8} {'p50 µs':>8} {'p99 µs':>8}"


def about(options: Options, pinning: str) -> dict:
    """Machine and versions."""
    cpuinfo = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    model = re.search(r"model name\s*: (.+)", cpuinfo)
    pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return {
        "machine": {
            "cpu": model[1] if model else platform.processor() or platform.machine(),
            "cpus": os.cpu_count(),
            "memory_gib": round(pages / 2**30),
            "system": f"{platform.system()} {platform.release()}",
        },
        "versions": {
            "envoy": find(r"/(\d+\.\d+\.\d+)/", [str(options.envoy), "--version"]),
            "wrk": find(r"wrk (\S+)", ["wrk", "-v"]),
            "rustc": find(r"rustc (\S+)", ["rustc", "--version"]),
            "gatelatch": find(r"(\S+)", ["git", "-C", str(ROOT), "describe", "--always", "--dirty"]),
            "module_bytes": options.wasm.stat().st_size,
        },
    }


def find(pattern: str, command: list[str]) -> str:
    try:
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True)
    except OSError:
        return "unknown"
    match = re.search(pattern, done.stdout + done.stderr)
    return match[1] if match else "unknown"


def lines(result: dict) -> list[str]:
    """Everything that was measured."""
    machine, versions = result["machine"], result["versions"]
    out = [
        "",
        f"{result['date']}  {machine['cpu']}, {machine['cpus']} CPUs, {machine['system']}; {result['settings']['pinning']}",
        f"Envoy {versions['envoy']}, wrk {versions['wrk']} with 32 connections, Gatelatch {versions['gatelatch']} ({versions['module_bytes']:,} bytes)",
        "",
        f"Direct responses, 1 worker, {result['settings']['rounds']} rounds of {result['settings']['seconds']} s; medians, ratios within a round",
        *table(result["variants"]),
    ]
    for name, title in (("upstream", "With an upstream, 1 worker"), ("two_workers", "Direct responses, 2 workers, nothing pinned")):
        if scene := result.get("scenes", {}).get(name):
            out += ["", title, *table(scene)]
    out += ["", *targets(result), "", *others(result)]
    return out


def table(variants: dict) -> list[str]:
    labels = {variant.name: variant.label for variant in VARIANTS}
    rows = []
    for name, v in variants.items():
        bare, noop = v["of_bare"], v["of_noop_wasm"]
        rows.append(
            f"{labels[name]:<38} {v['rps']:>8} {bare['rps']:>8.2f} {noop['rps']:>8.2f} {v['cpu_us']:>8.1f} "
            f"{bare['cpu']:>8.2f} {noop['cpu']:>8.2f} {v['p50_us']:>8} {v['p99_us']:>8}"
        )
    return [HEAD, *rows]


def targets(result: dict) -> list[str]:
    """What is promised, beside what came out, by throughput and by CPU time."""
    rounds, out = result["rounds"], []
    for one, other, least in TARGETS:
        if one not in rounds or other not in rounds:
            continue
        pairs = list(zip(rounds[one], rounds[other]))
        rps = median(a["rps"] / b["rps"] for a, b in pairs)
        cpu = median(b["cpu_us"] / a["cpu_us"] for a, b in pairs)
        out.append(f"{one} to {other:<18} at least {least:.2f}: {rps:.2f} by requests/s, {cpu:.2f} by CPU time")
    if "ext_authz_noop" in result["variants"] and "gatelatch_1m" in result["variants"]:
        p99 = result["variants"]["ext_authz_noop"]["p99_us"] / result["variants"]["gatelatch_1m"]["p99_us"]
        out.append(f"p99 of ext_authz_noop to gatelatch_1m   at least 3.00: {p99:.2f}")
    if "scenes" in result:
        of_bare = result["scenes"]["upstream"]["gatelatch_1m"]["of_bare"]
        out.append(f"with an upstream, gatelatch_1m to bare  at least 0.88: {of_bare['rps']:.2f} by requests/s, {of_bare['cpu']:.2f} by CPU time")
    return out


def others(result: dict) -> list[str]:
    revoked = result["revocations"]
    out = [f"{revoked['entries']:,} revocations: written in {revoked['write_s']} s".replace(",", " ")]
    if "cold_start_s" in revoked:
        out[0] += f", enforced {revoked['cold_start_s']} s after an Envoy's start"
    if "memory" in result:
        taken = result["memory"]["resident_mib"]
        out.append("Resident memory, MiB: " + ", ".join(f"{name} {mib:.0f}" for name, mib in taken.items()))
    return out


def median(values) -> float:
    ordered = sorted(values)
    middle = len(ordered) // 2
    return ordered[middle] if len(ordered) % 2 else (ordered[middle - 1] + ordered[middle]) / 2
