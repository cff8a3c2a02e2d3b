"""Commands of words: one chooses another, the last has arguments."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

__all__ = ["Command", "arguments_of", "chooser"]


@dataclass(frozen=True)
class Command:
    """One word of the command line.

    Args:
        summary: one line for ``rayseg --help``.
        add_arguments: declares its arguments.
        actions: its second words; a command that has them has no arguments of its own.
    """

    summary: str
    add_arguments: Callable[[argparse.ArgumentParser], None] = lambda _: None
    actions: Mapping[str, Command] = field(default_factory=dict)


def arguments_of(command: Command, names: tuple[str, ...], words: Sequence[str]) -> argparse.Namespace:
    """Arguments of a command, or of the one that its second word names; ``command`` is their words, joined by ``_``.

    Args:
        command: that was named.
        names: the words that named it.
        words: that come after them.

    Raises:
        SystemExit: after ``--help`` (0); with an unknown word (2), after saying so on stderr.

    Example:
        >>> both = Command("either", actions={"greet": Command("say hello", lambda own: own.add_argument("name") and None)})
        >>> vars(arguments_of(both, ("say",), ["greet", "Ada"]))
        {'name': 'Ada', 'command': 'say_greet'}
    """
    prog = " ".join(("rayseg", *names))
    if command.actions:
        found = chooser(prog, f"{command.summary}.", command.actions).parse_args(words)
        return arguments_of(command.actions[found.command], (*names, found.command), found.rest)
    own = argparse.ArgumentParser(prog=prog, description=f"{command.summary}.", allow_abbrev=False)
    command.add_arguments(own)
    args = own.parse_intermixed_args(words)
    args.command = "_".join(names)
    return args


def chooser(prog: str, description: str, commands: Mapping[str, Command]) -> argparse.ArgumentParser:
    """A parser that takes one of several words as ``command``, and leaves the others as ``rest``.

    Args:
        prog: what stands before the word.
        description: of all of them.
        commands: word -> command.

    Example:
        >>> chooser("rayseg", "A description.", {"ui": Command("pages")}).parse_args(["ui", "--port", "1"]).rest
        ['--port', '1']
    """
    width = max(map(len, commands))
    listed = [f"  {name:<{width}}  {command.summary}" for name, command in commands.items()]
    parser = argparse.ArgumentParser(
        prog=prog,
        usage=f"{prog} COMMAND ... | --help",
        description=description,
        epilog="\n".join(["commands:", *listed, "", f"{prog} COMMAND --help tells the rest."]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("command", choices=commands, metavar="COMMAND", help=argparse.SUPPRESS)
    parser.add_argument("rest", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser
