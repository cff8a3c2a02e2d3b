"""A search space as a file."""

from __future__ import annotations

from rayseg.config import read_config_file
from rayseg.space import Space, space_from

__all__ = ["read_space"]


def read_space(path: str) -> Space:
    """A search space from a file: dotted config key to ``{log_uniform: [low, high]}`` and the like.

    Args:
        path: a ``.yaml``, ``.json`` or ``.toml`` file.

    Raises:
        ConfigError: with every key whose part is none.

    Example:
        >>> import pathlib, tempfile
        >>> from rayseg.space import describe
        >>> path = pathlib.Path(tempfile.mkdtemp()) / "space.yaml"
        >>> _ = path.write_text("{optim.lr: {log_uniform: [1e-4, 1e-2]}, losses.dice.weight: {choice: [0, 1, 3]}}")
        >>> print(describe(read_space(str(path))))
        optim.lr            0.0001 to 0.01, log
        losses.dice.weight  one of 0, 1, 3
    """
    return space_from(read_config_file(path), path)
