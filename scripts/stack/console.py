"""What people see: a line for each step with its seconds, and how to use what runs."""

from __future__ import annotations

import contextlib
import sys
import time
from typing import Iterator, TextIO

from .envoy_config import issuer_url, public_url
from .errors import Failure
from .options import ROOT, Options
from .ports import Ports


class Console:
    """Progress goes to standard output, or to standard error when that carries JSON."""

    def __init__(self, driven: bool) -> None:
        self.out: TextIO = sys.stderr if driven else sys.stdout
        self.started = time.monotonic()

    def line(self, text: str = "") -> None:
        """One line."""
        print(text, file=self.out, flush=True)

    def note(self, text: str) -> None:
        """A sign of life within a long step."""
        self.line(f"          … {text}")

    @contextlib.contextmanager
    def step(self, name: str, detail: str = "") -> Iterator[None]:
        """Tells the name and the seconds of a step once it is done."""
        begun = time.monotonic()
        yield
        self.line(f"  {time.monotonic() - begun:5.1f} s  {name:<16} {detail}".rstrip())

    def failure(self, failure: Failure) -> None:
        """The log's end, then the one line that says what is wrong."""
        for line in failure.tail:
            print(f"  | {line}", file=sys.stderr)
        print(f"run: {failure}", file=sys.stderr, flush=True)

    def welcome(self, options: Options, ports: Ports) -> None:
        """What to open and what to try."""
        run = options.run_dir.relative_to(ROOT) if options.run_dir.is_relative_to(ROOT) else options.run_dir
        site, api = public_url(options, ports), f"http://127.0.0.1:{ports.control}"
        issuer = issuer_url(options, ports)
        admin = f'-H "Authorization: Bearer $(cat {run}/admin-token)"'
        self.line(f"\nReady after {time.monotonic() - self.started:.0f} s.\n")
        if ports.gateways:
            self.line(f"  Open       {site}/ (without a log-in: {site}/public/)")
            for port in ports.gateways[1:]:
                self.line(f"             http://localhost:{port}/ is the same site through another Envoy")
            self.line(f"  Envoy      {', '.join(f'http://127.0.0.1:{p}' for p in ports.admins)} (admin)")
        else:
            self.line(f"  Envoy      none; start yours: set -a; . {run}/envoy.env; set +a; envoy -c envoy/envoy.yaml")
        if options.local_idp:
            self.line("  Log in     as anybody, with any password; `admin` is in the group admins")
        else:
            self.line(f"  Log in     at {issuer}; register {site}/_gatelatch/callback there as redirect URI")
        self.line(f"  Logs       {run}/logs" + (f", events of the provider: {run}/idp-events.jsonl" if options.local_idp else ""))
        self.line("\n  Try, logged in as alice:")
        self.line(f"    curl -s {admin} '{api}/v1/sessions?iss={issuer}&sub=alice'")
        self.line(f"    curl -s {admin} '{api}/v1/revocations?wait=enforced' -H 'Content-Type: application/json' \\")
        self.line(f"""      -d '{{"kind":"sub","iss":"{issuer}","sub":"alice","issued_before":'"$(date +%s)"'}}'""")
        self.line("  and reload the page: alice has to log in again.")
        self.line("\nCtrl-C stops everything.")
