"""What a step asks of every module. torch's own walk makes all their dotted names, which takes longer than the rest."""

from __future__ import annotations

from torch import nn

__all__ = ["is_training", "modules_of", "which_learn"]


def modules_of(model: nn.Module) -> list[nn.Module]:
    """The model and all that is in it, those on top first; one that is in two places is there twice.

    Example:
        >>> [type(module).__name__ for module in modules_of(nn.Sequential(nn.Sequential(nn.ReLU()), nn.Identity()))]
        ['Sequential', 'Sequential', 'Identity', 'ReLU']
    """
    found = [model]
    for module in found:  # grows meanwhile
        if children := module._modules:  # noqa: SLF001  (children() remembers which it has had)
            found.extend(child for child in children.values() if child is not None)
    return found


def which_learn(model: nn.Module) -> list[bool]:
    """Of each parameter, whether it gets a gradient; in the order of :func:`modules_of`.

    Example:
        >>> which_learn(nn.Linear(2, 1).requires_grad_(False))
        [False, False]
    """
    return [
        parameter.requires_grad
        for module in modules_of(model)
        for parameter in module._parameters.values()  # noqa: SLF001  (parameters() remembers which it has had)
        if parameter is not None
    ]


def is_training(model: nn.Module) -> bool:
    """Whether ``model.train()`` would change nothing: every module trains, and none has a ``train`` of its own.

    Example:
        >>> is_training(nn.Sequential(nn.ReLU())), is_training(nn.Sequential(nn.ReLU().eval()))
        (True, False)
    """
    return all(
        module.training and type(module).train is nn.Module.train and "train" not in module.__dict__
        for module in modules_of(model)
    )
