"""Questions to what has been started. Each returns None when all is well, else why not, in words."""

from __future__ import annotations

import http.client
import json

TIMEOUT = 2.0


def answers(port: int, path: str, status: int = 200) -> str | None:
    """Whether GET `path` on 127.0.0.1 has this status."""
    got = fetch(port, path)
    if isinstance(got, str):
        return got
    return None if got[0] == status else f"GET {path} answers {got[0]}"


def gate_is_ready(port: int) -> str | None:
    """Whether the filter decides: without a cookie the session is 401, not 503."""
    got = fetch(port, "/_gatelatch/session")
    if isinstance(got, str):
        return got
    status, body = got
    if status == 401:
        return None
    try:
        reason = json.loads(body)["reason"]
    except (ValueError, KeyError, TypeError):
        reason = "no reason given"
    return f"the filter answers {status} ({reason})"


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
