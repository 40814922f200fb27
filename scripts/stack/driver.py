"""Driven mode: a test sends commands on standard input and reads one JSON line for each.

    {"ok": "kill control", "children": {"idp": 4711, "control": null, ...}}
    {"error": "there is no process called contrl"}
"""

from __future__ import annotations

import json
import signal

from .children import Child, wait_until_up
from .errors import Failure, Stopped

START_SECONDS = 30


def obey(line: str, children: list[Child]) -> None:
    """Carries out one command and answers it. An empty read is the end of input: stop."""
    if line == "":
        raise Stopped
    words = line.split()
    by_name = {child.name: child for child in children}
    if words == ["status"]:
        answer(ok="status", children=pids(children))
    elif len(words) != 2 or words[0] not in COMMANDS:
        answer(error=f"not a command: {line.strip()}")
    elif words[1] not in by_name:
        answer(error=f"there is no process called {words[1]}")
    elif words[0] == "start" and by_name[words[1]].running():
        answer(error=f"{words[1]} runs already")
    else:
        try:
            COMMANDS[words[0]](by_name[words[1]])
        except Failure as failure:
            by_name[words[1]].stop()
            answer(error=str(failure), log_tail=failure.tail)
            return
        answer(ok=" ".join(words), children=pids(children))


def pids(children: list[Child]) -> dict[str, int | None]:
    """Process id of each child, null when it does not run."""
    return {child.name: child.process.pid if child.running() else None for child in children}


def answer(**fields: object) -> None:
    """One line of JSON on standard output."""
    print(json.dumps(fields), flush=True)


def start(child: Child) -> None:
    child.start()
    wait_until_up(child, [], START_SECONDS)


def restart(child: Child) -> None:
    child.stop()
    start(child)


COMMANDS = {
    "stop": Child.stop,
    "kill": lambda child: child.stop(signal.SIGKILL),
    "pause": lambda child: child.send(signal.SIGSTOP),
    "resume": lambda child: child.send(signal.SIGCONT),
    "start": start,
    "restart": restart,
}
