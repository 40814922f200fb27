"""Logs in as a browser does: redirects, cookies, the provider's form."""

from __future__ import annotations

import http.client
from urllib.parse import urlencode, urljoin, urlsplit

from stack.errors import Failure

MAX_HOPS = 12


def log_in(start: str, user: str) -> str:
    """Follows a real login from `start` and returns the `Cookie` header that `start`'s origin would
    be sent afterwards. Cookies are kept by port: here they know no other difference."""
    jars: dict[str, dict[str, str]] = {}
    url, body = start, None
    for _ in range(MAX_HOPS):
        status, location = request(url, body, jars)
        body = None
        if location:
            url = urljoin(url, location)
        elif status == 200 and "/interaction/" in url:
            body = urlencode({"login": user, "password": "any"})
        elif status == 200:
            jar = jars.get(urlsplit(start).netloc, {})
            return "; ".join(f"{name}={value}" for name, value in jar.items())
        else:
            raise Failure(f"the login from {start} ended with status {status} at {url.split('?')[0]}")
    raise Failure(f"the login from {start} does not end")


def request(url: str, body: str | None, jars: dict[str, dict[str, str]]) -> tuple[int, str | None]:
    parts = urlsplit(url)
    jar = jars.setdefault(parts.netloc, {})
    headers = {"host": parts.netloc, "accept": "text/html", "connection": "close"}
    if jar:
        headers["cookie"] = "; ".join(f"{name}={value}" for name, value in jar.items())
    if body is not None:
        headers |= {"content-type": "application/x-www-form-urlencoded", "origin": f"http://{parts.netloc}"}
    connection = http.client.HTTPConnection("127.0.0.1", parts.port, timeout=10)
    try:
        connection.request("GET" if body is None else "POST", parts.path + (f"?{parts.query}" if parts.query else ""), body, headers)
        response = connection.getresponse()
        response.read()
        for line in response.headers.get_all("set-cookie") or []:
            keep(jar, line)
        return response.status, response.headers.get("location")
    except (OSError, http.client.HTTPException) as error:
        raise Failure(f"the login cannot reach {parts.netloc}: {error}") from None
    finally:
        connection.close()


def keep(jar: dict[str, str], line: str) -> None:
    pair, *attributes = line.split(";")
    name, _, value = pair.strip().partition("=")
    ended = any(a.strip().lower() in ("max-age=0", "expires=thu, 01 jan 1970 00:00:00 gmt") for a in attributes)
    if ended or value in ("", "deleted"):
        jar.pop(name, None)
    else:
        jar[name] = value
