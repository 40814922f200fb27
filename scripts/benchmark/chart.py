"""The chart for the README: requests per second of each variant, as SVG that reads on light and
on dark pages."""

from __future__ import annotations

from html import escape

from .variants import VARIANTS

WIDTH, LABELS, ROW, TOP = 760, 250, 26, 64
BAR = WIDTH - LABELS - 150

STYLE = """
  text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328 }
  .title { font-size: 16px; font-weight: 600 }
  .small { font-size: 11.5px; fill: #59636e }
  .peer { fill: #8c959f } .own { fill: #0969da } .base { fill: #c4ccd4 }
  @media (prefers-color-scheme: dark) {
    text { fill: #e6edf3 } .small { fill: #9198a1 }
    .peer { fill: #6e7681 } .own { fill: #4493f8 } .base { fill: #484f58 }
  }
"""


def draw(result: dict) -> str:
    """One bar for each variant, longest for the fastest, in the order of the table."""
    variants = [v for v in VARIANTS if v.name in result["variants"]]
    most = max(result["variants"][v.name]["rps"] for v in variants)
    height = TOP + ROW * len(variants) + 46
    rows = []
    for n, variant in enumerate(variants):
        measured = result["variants"][variant.name]
        y = TOP + n * ROW
        length = BAR * measured["rps"] / most
        told = f"{measured['rps']:,}".replace(",", " ") + f"  ({measured['of_bare']['rps']:.2f})"
        rows.append(
            f'  <text x="{LABELS - 8}" y="{y + 14}" text-anchor="end">{escape(variant.label)}</text>\n'
            f'  <rect class="{kind(variant.name)}" x="{LABELS}" y="{y}" width="{length:.1f}" height="18" rx="2"/>\n'
            f'  <text x="{LABELS + length + 8:.1f}" y="{y + 14}">{told}</text>'
        )
    machine, versions = result["machine"], result["versions"]
    where = f"{result['date'][:10]}, {machine['cpu']}, {machine['cpus']} CPUs; Envoy {versions['envoy']}, Gatelatch {versions['gatelatch']}"
    how = f"Medians of {result['settings']['rounds']} interleaved rounds; in brackets: of Envoy alone."
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}" role="img" aria-labelledby="title">',
        "  <title id=\"title\">Requests per second of one Envoy worker with Gatelatch and with alternatives</title>",
        f"  <style>{STYLE}  </style>",
        '  <text class="title" x="16" y="26">Requests per second, one Envoy worker</text>',
        '  <text class="small" x="16" y="46">Direct responses, 32 connections: nothing but the filter is measured.</text>',
        *rows,
        f'  <text class="small" x="16" y="{height - 26}">{escape(how)}</text>',
        f'  <text class="small" x="16" y="{height - 10}">{escape(where)}</text>',
        "</svg>",
        "",
    ])  # fmt: skip


def kind(name: str) -> str:
    if name.startswith("gatelatch"):
        return "own"
    return "base" if name in ("bare", "bare_oauth2_cookie", "noop_wasm", "floor") else "peer"
