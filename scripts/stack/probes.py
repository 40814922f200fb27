"""Questions to what has been started. Each returns None when all is well, else why not, in words."""

from __future__ import annotations

import http.client
import json

TIMEOUT = 2.0
LOOKS = 8


def answers(port: int, path: str, status: int = 200) -> str | None:
    """Whether GET `path` on 127.0.0.1 has this status."""
    got = fetch(port, path)
    if isinstance(got, str):
        return got
    return None if got[0] == status else f"GET {path} answers {got[0]}"


def gate_is_ready(port: int) -> str | None:
    """Whether the filter decides (without a cookie the session is 401, not 503) and knows the
    provider (a log-in is a redirect there). Each look is a connection of its own, so several
    looks meet several workers."""
    for _ in range(LOOKS):
        for path, wanted in (("/_gatelatch/session", 401), ("/_gatelatch/login?return_to=/", 302)):
            got = fetch(port, path)
            if isinstance(got, str):
                return got
            status, body = got
            if status != wanted:
                return f"GET {path} answers {status} ({reason(body)})"
    return None


def reason(body: bytes) -> str:
    try:
        return str(json.loads(body)["reason"])
    except (ValueError, KeyError, TypeError):
        return "no reason given"


def fetch(port: int, path: str) -> tuple[int, bytes] | str:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    try:
        connection.request("GET", path, headers={"accept": "application/json"})
        response = connection.getresponse()
        return response.status, response.read(65536)
    except (OSError, http.client.HTTPException) as error:
        return f"GET {path}: {error or type(error).__name__}"
    finally:
        connection.close()
