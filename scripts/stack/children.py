"""Child processes: started with a log of their own, never left behind.

Each child is a process group of its own, so Ctrl-C reaches only the parent, which stops the
children in order. On Linux the kernel ends them too when the parent is killed outright.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Callable

from .errors import Failure
from .options import ROOT

STOP_SECONDS = 8
TAIL_LINES = 20
PR_SET_PDEATHSIG = 1
LIBC = ctypes.CDLL(None) if sys.platform == "linux" else None


@dataclass
class Child:
    """One process of the stack: how it is started, and the process when it runs."""

    name: str
    argv: list[str]
    env: dict[str, str]
    log: Path
    is_up: Callable[[], str | None]  # None when it answers, else why it does not yet
    process: subprocess.Popen | None = field(default=None, repr=False)

    def start(self) -> None:
        """Starts it, with the same arguments each time; its log is continued."""
        parent = os.getpid()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.argv,
                cwd=ROOT,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=lambda: end_with_parent(parent),
            )

    def running(self) -> bool:
        """Whether it was started and has not ended."""
        return self.process is not None and self.process.poll() is None

    def check(self) -> None:
        """Fails, with the end of its log, when it has ended by itself."""
        if self.process is not None and self.process.poll() is not None:
            raise Failure(f"{self.name} ended: {self.ending()}; its log is {self.log}", self.tail())

    def send(self, number: int) -> None:
        """Sends a signal to the whole group, if it runs."""
        if self.running():
            os.killpg(self.process.pid, number)

    def stop(self, number: int = signal.SIGTERM) -> None:
        """Ends it and waits for it; after some seconds by force."""
        if not self.running():
            self.process = None
            return
        self.send(number)
        self.send(signal.SIGCONT)  # a paused process cannot end
        try:
            self.process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.send(signal.SIGKILL)
            self.process.wait()
        self.process = None

    def ending(self) -> str:
        code = self.process.returncode
        return f"exit status {code}" if code >= 0 else f"signal {signal.Signals(-code).name}"

    def tail(self) -> list[str]:
        """The end of its log: the errors there if there are any, else the last lines."""
        lines = self.log.read_text(errors="replace").splitlines()
        errors = [line for line in lines[-500:] if "][error][" in line or "][critical][" in line]
        return (errors or lines)[-TAIL_LINES:]


def wait_until_up(child: Child, others: list[Child], seconds: float) -> None:
    """Waits until the child answers; fails when it or another ends, or the time is over."""
    wait_for(child.is_up, child, others, seconds)


def wait_for(probe: Callable[[], str | None], child: Child, others: list[Child], seconds: float) -> None:
    """As `wait_until_up`, for any condition of a child."""
    deadline = time.monotonic() + seconds
    while (why := probe()) is not None:
        for other in [child, *others]:
            other.check()
        if time.monotonic() > deadline:
            raise Failure(f"{child.name} is not ready after {seconds:.0f} s: {why}; its log is {child.log}", child.tail())
        time.sleep(0.02)


def stop_all(children: list[Child]) -> None:
    """Ends everything, the last started first, each group at once and then waited for."""
    for child in reversed(children):
        child.stop()


def end_with_parent(parent: int) -> None:
    if LIBC is not None:
        LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != parent:
            os._exit(1)
