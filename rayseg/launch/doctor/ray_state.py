"""What `ray job submit` and a run would meet: authentication and addresses, without starting or joining a cluster."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from rayseg.launch.doctor.finding import Finding

__all__ = ["look_at_addresses", "look_at_authentication"]

_TOPIC = "ray auth"
_TIMEOUT_S = 2.0
_MODE = "export RAY_AUTH_MODE=token"
_PORTS = {"": 6379, "ray": 10001, "http": 80, "https": 443}
#: Words that are no address: Ray looks for a cluster on this machine, or starts one.
_WORDS = ("auto", "local")


def look_at_authentication(environ: Mapping[str, str], home: Path) -> Finding:
    """What `ray start` and `ray job submit` do with the token that is there, or is not.

    Any local ``ray.init()`` leaves a token behind; `ray start` then asks for it, and `ray job submit` sends it only where
    ``RAY_AUTH_MODE`` says so.

    Example:
        >>> look_at_authentication({"RAY_AUTH_MODE": "disabled"}, Path("/nowhere")).todo
    """
    mode = environ.get("RAY_AUTH_MODE")
    token = _token(environ, home)
    if mode is None and token is None:
        told = "off, and no token: `ray job submit` works, and anyone who reaches the port may run code"
        return Finding(_TOPIC, told)
    if mode is None:
        told = f"RAY_AUTH_MODE is not set, but {token} is there: `ray start` asks for it, `ray job submit` does not send it"
        return Finding(_TOPIC, f"{told} and is refused", f"{_MODE}  (in every terminal)")
    if mode.lower() == "token":
        if token is None:
            told = "RAY_AUTH_MODE=token, but there is no token: `ray start` and `ray job submit` will refuse to work"
            return Finding(_TOPIC, told, "ray get-auth-token --generate  (once; on every machine the same token)")
        return Finding(_TOPIC, f"on, by {token}: `ray job submit` works")
    if mode.lower() == "disabled":
        return Finding(_TOPIC, "RAY_AUTH_MODE=disabled: anyone who reaches the port may run code")
    return Finding(_TOPIC, f"RAY_AUTH_MODE={mode} is no mode that rayseg knows", f"{_MODE}, or disabled")


def _token(environ: Mapping[str, str], home: Path) -> str | None:
    """Where the token is, in Ray's order: variable, the file that a variable names, the file at home."""
    if environ.get("RAY_AUTH_TOKEN"):
        return "RAY_AUTH_TOKEN"
    named = environ.get("RAY_AUTH_TOKEN_PATH")
    path = Path(named).expanduser() if named else home / ".ray" / "auth_token"
    return str(path) if path.is_file() else None


def look_at_addresses(environ: Mapping[str, str], timeout_s: float = _TIMEOUT_S) -> list[Finding]:
    """Whether somebody listens where runs (``RAY_ADDRESS``) and jobs (``RAY_API_SERVER_ADDRESS``) would go.

    Args:
        environ: environment variables.
        timeout_s: longest wait for each.

    Example:
        >>> look_at_addresses({})[0].told
        'RAY_ADDRESS is not set: a run starts a Ray of its own on this machine'
    """
    found = [_look_at_address(name, environ[name], timeout_s) for name in _VARIABLES if environ.get(name)]
    if environ.get("RAY_ADDRESS"):
        return found
    return [Finding("ray cluster", "RAY_ADDRESS is not set: a run starts a Ray of its own on this machine"), *found]


#: Variable -> what is there.
_VARIABLES = {"RAY_ADDRESS": "ray cluster", "RAY_API_SERVER_ADDRESS": "ray jobs"}


def _look_at_address(name: str, address: str, timeout_s: float) -> Finding:
    topic = _VARIABLES[name]
    if address in _WORDS:
        return Finding(topic, f"{name}={address}: the cluster on this machine")
    try:
        parts = urlsplit(address if "://" in address else f"//{address}")
        where = (parts.hostname or "", parts.port or _PORTS.get(parts.scheme, 6379))
    except ValueError:
        return Finding(topic, f"{name}={address} is no address", f"export {name}=HOST:PORT, or unset it")
    try:
        socket.create_connection(where, timeout=timeout_s).close()
    except OSError as error:
        told = f"{name}={address}: nobody answers within {timeout_s:g} s ({error})"
        return Finding(topic, told, f"start the cluster (ray start --head), correct the address, or unset {name}")
    return Finding(topic, f"{name}={address}: answers")
