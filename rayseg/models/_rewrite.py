"""Exchange modules inside a module tree."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

__all__ = ["rewrite"]


def rewrite(model: nn.Module, convert: Callable[[str, nn.Module], nn.Module]) -> nn.Module:
    """The model with each module replaced by what ``convert(dotted name, module)`` returns, parents first.

    A module that appears under several names is converted once, under the first, and stays shared.
    """
    done: dict[nn.Module, nn.Module] = {}

    def visit(name: str, module: nn.Module) -> nn.Module:
        if module in done:
            return done[module]
        replaced = convert(name, module)
        done[module] = done[replaced] = replaced
        for child_name, child in list(replaced._modules.items()):  # noqa: SLF001  (named_children hides shared modules)
            if child is not None:
                setattr(replaced, child_name, visit(f"{name}.{child_name}" if name else child_name, child))
        return replaced

    return visit("", model)
