"""How a process is let in by a tracking server: MLflow's own variables, handed from process to process and shown nowhere."""

from __future__ import annotations

import base64
import configparser
import os
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Access", "access_of", "authorization", "other_ways_in", "tls", "who"]

#: Beginnings of the names that MLflow and its artifact stores read.
_PREFIXES = (
    "MLFLOW_TRACKING_USERNAME",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "MLFLOW_TRACKING_AUTH",
    "MLFLOW_TRACKING_AWS_SIGV4",
    "MLFLOW_TRACKING_INSECURE_TLS",
    "MLFLOW_TRACKING_SERVER_CERT_PATH",
    "MLFLOW_TRACKING_CLIENT_CERT_PATH",
    "MLFLOW_HTTP_",
    "MLFLOW_S3_",
    "AWS_",
    "AZURE_",
    "DATABRICKS_",
    "GOOGLE_",
)


@dataclass(frozen=True, repr=False)
class Access:
    """Variables that let a process in. Its text tells how many they are, not what they say.

    Args:
        variables: name -> value.

    Example:
        >>> Access({"MLFLOW_TRACKING_PASSWORD": "secret"})
        Access(1 variable)
    """

    variables: Mapping[str, str]

    def __repr__(self) -> str:
        """Nothing of their values."""
        return f"Access({len(self.variables)} variable{'' if len(self.variables) == 1 else 's'})"

    def grant(self) -> None:
        """Set them in this process; MLflow reads them at each request."""
        os.environ.update(self.variables)


def access_of(environ: Mapping[str, str]) -> Access:
    """What must be handed to another process that speaks to the store.

    Args:
        environ: of a process that is let in.

    Example:
        >>> sorted(access_of({"MLFLOW_TRACKING_TOKEN": "secret", "HOME": "/root"}).variables)
        ['MLFLOW_TRACKING_TOKEN']
    """
    return Access({name: value for name, value in environ.items() if name.startswith(_PREFIXES)})


def _user_and_password(environ: Mapping[str, str]) -> tuple[str, str]:
    """From the variables, or else from MLflow's file."""
    kept = configparser.ConfigParser()
    kept.read(Path(environ.get("HOME", "~")).expanduser() / ".mlflow" / "credentials")
    of_file = dict(kept["mlflow"]) if kept.has_section("mlflow") else {}
    names = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")
    user, password = (environ.get(name) or of_file.get(name.lower(), "") for name in names)
    return user, password


def authorization(environ: Mapping[str, str]) -> dict[str, str]:
    """The header with which MLflow's own client asks; nothing where no variable says who asks.

    Args:
        environ: environment variables.

    Example:
        >>> authorization({"MLFLOW_TRACKING_USERNAME": "ray", "MLFLOW_TRACKING_PASSWORD": "secret", "HOME": "/nowhere"})
        {'Authorization': 'Basic cmF5OnNlY3JldA=='}
        >>> authorization({"MLFLOW_TRACKING_TOKEN": "abc", "HOME": "/nowhere"})
        {'Authorization': 'Bearer abc'}
    """
    user, password = _user_and_password(environ)
    if user and password:
        return {"Authorization": f"Basic {base64.standard_b64encode(f'{user}:{password}'.encode()).decode()}"}
    token = environ.get("MLFLOW_TRACKING_TOKEN")
    return {"Authorization": f"Bearer {token}"} if token else {}


def who(environ: Mapping[str, str]) -> str:
    """As whom a process asks, in words that may be shown.

    Example:
        >>> who({"MLFLOW_TRACKING_USERNAME": "ray", "MLFLOW_TRACKING_PASSWORD": "secret", "HOME": "/nowhere"})
        "as 'ray'"
        >>> who({"HOME": "/nowhere"})
        'without a name'
    """
    user, password = _user_and_password(environ)
    if user and password:
        return f"as {user!r}"
    return "with a token" if environ.get("MLFLOW_TRACKING_TOKEN") else "without a name"


def other_ways_in(environ: Mapping[str, str]) -> bool:
    """Whether MLflow's client is let in by what only it knows: a plug-in, a signature, a certificate of its own.

    Example:
        >>> other_ways_in({"MLFLOW_TRACKING_AUTH": "corporate"})
        True
    """
    names = ("MLFLOW_TRACKING_AUTH", "MLFLOW_TRACKING_AWS_SIGV4", "MLFLOW_TRACKING_CLIENT_CERT_PATH")
    return any(environ.get(name) for name in names)


def tls(environ: Mapping[str, str]) -> ssl.SSLContext | None:
    """How a server's certificate is looked at, as MLflow's variables have it; None: as usual.

    Example:
        >>> tls({}) is None, tls({"MLFLOW_TRACKING_INSECURE_TLS": "true"}).verify_mode
        (True, <VerifyMode.CERT_NONE: 0>)
    """
    if environ.get("MLFLOW_TRACKING_INSECURE_TLS", "").lower() in {"1", "true"}:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        return context
    certificate = environ.get("MLFLOW_TRACKING_SERVER_CERT_PATH")
    return ssl.create_default_context(cafile=certificate) if certificate else None
