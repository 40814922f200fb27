"""The one kind of failure that is told to people: a line, and what to look at with it."""


class Failure(Exception):
    """One clear line, and optionally the lines of a log that explain it."""

    def __init__(self, line: str, tail: list[str] | None = None, code: int = 1) -> None:
        super().__init__(line)
        self.tail = tail or []
        self.code = code


class Stopped(Exception):
    """Somebody asked the stack to stop: Ctrl-C, SIGTERM, or the end of standard input."""
