"""A million revocations, written through the administrator's API."""

from __future__ import annotations

import http.client
import json
import secrets

from stack.errors import Failure

BATCH = 10_000
TELL_EVERY = 20


def fill(port: int, admin_token: str, count: int, note) -> None:
    """Revokes `count` sessions that nobody has, 10 000 in each call."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    headers = {"authorization": f"Bearer {admin_token}", "content-type": "application/json"}
    for n, begin in enumerate(range(0, count, BATCH), 1):
        size = min(BATCH, count - begin)
        body = json.dumps([{"kind": "sid", "id": secrets.token_urlsafe(16)} for _ in range(size)])
        try:
            connection.request("POST", "/v1/revocations", body, headers)
            response = connection.getresponse()
            answer = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise Failure(f"the control service does not take revocations: {error}") from None
        if response.status // 100 != 2:
            raise Failure(f"the control service answers {response.status} to revocations", [answer.decode(errors="replace")])
        if n % TELL_EVERY == 0:
            note(f"{begin + size:,} revocations".replace(",", " "))
    connection.close()
