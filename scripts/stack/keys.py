"""Keys and tokens of the local stack: made once in the run directory, mode 0600, kept between runs."""

from __future__ import annotations

import base64
import os
import secrets
from dataclasses import dataclass
from pathlib import Path

from .options import Options


@dataclass(frozen=True)
class Keys:
    """The files that hold the secrets; each is read where it is needed."""

    session_key: Path
    admin_token: Path
    gateway_token: Path
    encryption_keys: Path
    client_secret: Path

    def vm_environment(self) -> dict[str, str]:
        """The variables of the filter's VM."""
        return {
            "GATELATCH_SESSION_KEY": self.session_key.read_text().strip(),
            "GATELATCH_GATEWAY_TOKEN": self.gateway_token.read_text().strip(),
            "GATELATCH_CLIENT_SECRET": self.client_secret.read_text().strip(),
        }


def prepare_keys(options: Options) -> Keys:
    """Makes what is missing. A client secret from the environment replaces the kept one."""
    directory = options.run_dir
    keys = Keys(
        session_key=kept(directory / "session-key", lambda: secrets.token_urlsafe(48)),
        admin_token=kept(directory / "admin-token", lambda: secrets.token_urlsafe(32)),
        gateway_token=kept(directory / "gateway-token", lambda: secrets.token_urlsafe(32)),
        encryption_keys=kept(directory / "encryption-keys", encryption_key),
        client_secret=kept(directory / "client-secret", lambda: secrets.token_urlsafe(32)),
    )
    if options.client_secret is not None:
        write_private(keys.client_secret, options.client_secret)
    return keys


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner reads; it is whole or not there."""
    new = path.with_name(path.name + ".new")
    new.unlink(missing_ok=True)
    with os.fdopen(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text + "\n")
    new.replace(path)


def kept(path: Path, make) -> Path:
    if not path.is_file() or path.stat().st_size == 0:
        write_private(path, make())
    return path


def encryption_key() -> str:
    return f"e1 {base64.b64encode(secrets.token_bytes(32)).decode()}"
