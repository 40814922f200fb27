"""Ports: the documented ones, refused in one line when taken, or free ones for tests."""

from __future__ import annotations

import os
import random
import socket
import sys
from dataclasses import dataclass, field
from pathlib import Path

from .errors import Failure
from .options import Options

# Below the range from which the kernel takes ports for outgoing connections.
AUTO_RANGE = range(15000, 30000)


@dataclass
class Ports:
    """Where everything listens. `held` keeps other stacks of this machine off the same ports."""

    control: int
    app: int
    idp: int | None
    gateways: list[int]
    admins: list[int]
    held: list[socket.socket] = field(default_factory=list, repr=False)

    def named(self) -> dict[str, int]:
        """Name of the process to port, as in the ready document."""
        names = {"control": self.control, "app": self.app}
        if self.idp is not None:
            names["idp"] = self.idp
        for n, (gateway, admin) in enumerate(zip(self.gateways, self.admins)):
            names[f"envoy-{n}"] = gateway
            names[f"envoy-{n}-admin"] = admin
        return names


def choose_ports(options: Options) -> Ports:
    """Picks the ports and makes sure that they are free."""
    if options.ports == "auto":
        held: list[socket.socket] = []
        take = [free_port(held) for _ in range(3 + 2 * options.envoys)]
        idp = take[2] if options.local_idp else None
        gateways, admins = take[3 : 3 + options.envoys], take[3 + options.envoys :]
        return Ports(take[0], take[1], idp, gateways, admins, held)
    ports = Ports(
        control=9100,
        app=9300,
        idp=9400 if options.local_idp else None,
        gateways=[8000 + n for n in range(options.envoys)],
        admins=[9901 + n for n in range(options.envoys)],
    )
    for name, port in ports.named().items():
        if not is_free(port):
            raise Failure(
                f"port {port} ({name}) is taken{taken_by(port)}; "
                "stop what holds it, or use free ports: scripts/run --ports auto"
            )
    return ports


def has_ipv6_loopback() -> bool:
    """Whether ::1 can be listened on, so that `localhost` works whichever way it resolves."""
    try:
        with socket.socket(socket.AF_INET6) as probe:
            probe.bind(("::1", 0))
        return True
    except OSError:
        return False


def is_free(port: int) -> bool:
    families = [(socket.AF_INET, "127.0.0.1")]
    if has_ipv6_loopback():
        families.append((socket.AF_INET6, "::1"))
    for family, host in families:
        with socket.socket(family) as probe:
            # As the services do: a connection that lingers closed does not hold the port.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
                probe.listen()
            except OSError:
                return False
    return True


def free_port(held: list[socket.socket]) -> int:
    for port in random.sample(AUTO_RANGE, 200):
        # A name that ends with its process is the lock between stacks that choose at once.
        mark = socket.socket(socket.AF_UNIX)
        try:
            if sys.platform == "linux":
                mark.bind(f"\0gatelatch-port-{port}")
        except OSError:
            mark.close()
            continue
        if is_free(port):
            held.append(mark)
            return port
        mark.close()
    raise Failure(f"no free port between {AUTO_RANGE.start} and {AUTO_RANGE.stop}")


def taken_by(port: int) -> str:
    """` by NAME (pid N)` where the system tells, else nothing."""
    inodes = set()
    for table in ("tcp", "tcp6"):
        try:
            rows = Path(f"/proc/net/{table}").read_text().splitlines()[1:]
        except OSError:
            return ""
        for row in rows:
            columns = row.split()
            if columns[3] == "0A" and int(columns[1].rpartition(":")[2], 16) == port:
                inodes.add(f"socket:[{columns[9]}]")
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if any(os.readlink(fd) in inodes for fd in (process / "fd").iterdir()):
                return f" by {(process / 'comm').read_text().strip()} (pid {process.name})"
        except OSError:
            continue
    return ""
