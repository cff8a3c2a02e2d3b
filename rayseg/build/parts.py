"""Every name in a config, resolved: nothing is opened, allocated or started here."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from rayseg.build.resolve import Problems, Resolved, resolve
from rayseg.config import ExperimentConfig, HeadConfig, LossTerm, SamplingConfig, Spec
from rayseg.data import DATASETS, TRANSFORMS
from rayseg.losses import CLASS_WEIGHT_RULES, LOSSES
from rayseg.models import MODELS
from rayseg.optim import OPTIMIZERS, SCHEDULES, resolve_optimizer
from rayseg.sampling import SAMPLERS
from rayseg.types import MAIN_HEAD

__all__ = ["Components", "HeadParts", "Parts", "is_region", "resolve_parts"]

#: Names given by value, for what the workers could not import.
Components = Mapping[str, Callable[..., Any]]

#: What the mix offers to a loss or a sampler by name; a user's own argument cannot have these names.
OFFERED = ("ignore_index", "log_probs", "nll", "pixel_weight", "class_weight")


@dataclass(frozen=True)
class HeadParts:
    """One head: what is absent in its config is inherited from the main head."""

    weight: float
    ignore_index: int
    terms: Mapping[str, tuple[LossTerm, Resolved]]
    rules: Mapping[str, Resolved]
    sampling: SamplingConfig | None
    sampler: Resolved | None
    target: Resolved | None


@dataclass
class Parts:
    """Every callable of an experiment; None where a fault was found."""

    dataset: Resolved | None = None
    transforms: list[Resolved] = field(default_factory=list)
    model: Resolved | None = None
    heads: dict[str, HeadParts] = field(default_factory=dict)
    optimizer: Resolved | None = None
    schedule: Resolved | None = None
    momentum: Resolved | None = None
    hooks: dict[str, Resolved] = field(default_factory=dict)


@dataclass(frozen=True)
class _Resolver:
    components: Components
    problems: Problems

    def __call__(
        self,
        spec: Spec,
        path: str,
        table: Mapping[str, Callable[..., Any]],
        *,
        given: tuple[str, ...] = (),
        num_positional: int = 0,
    ) -> Resolved | None:
        return resolve(
            spec, path, self.problems, table=table, components=self.components, given=given, num_positional=num_positional
        )


def resolve_parts(config: ExperimentConfig, components: Components, problems: Problems) -> Parts:
    """Resolve every name and check every argument against its signature.

    Args:
        config: the experiment.
        components: name -> callable, given by value.
        problems: every fault is added here.
    """
    one = _Resolver(components, problems)
    optimizers = {**OPTIMIZERS}
    if config.optim.type not in optimizers and (found := resolve_optimizer(config.optim.type)) is not None:
        optimizers[config.optim.type] = found
    parts = Parts(
        dataset=one(config.data.dataset, "data.dataset", DATASETS, num_positional=1),
        model=one(config.model, "model", MODELS, num_positional=1),
        optimizer=one(config.optim, "optim", optimizers, given=("lr", "weight_decay"), num_positional=1),
        schedule=one(config.schedule, "schedule", SCHEDULES),
    )
    if config.schedule.momentum is not None:
        parts.momentum = one(config.schedule.momentum, "schedule.momentum", SCHEDULES)
    for name, spec in config.data.transforms.items():
        transform = _resolve_transform(one, spec, f"data.transforms.{name}", config.data.ignore_index)
        parts.transforms += [] if transform is None else [transform]
    for name, spec in config.hooks.items():
        hook = one(spec, f"hooks.{name}", {})
        parts.hooks |= {} if hook is None else {name: hook}
    main = HeadConfig(weight=1.0, losses=config.losses, sampling=config.sampling)
    for name, head in {MAIN_HEAD: main, **config.heads}.items():
        parts.heads[name] = _resolve_head(one, config, head, "" if name == MAIN_HEAD else f"heads.{name}.")
    return parts


def _resolve_transform(one: _Resolver, spec: Spec, path: str, ignore_index: int) -> Resolved | None:
    """A transform whose signature has ``ignore_index`` gets the data's, unless the user gave one."""
    found = one(spec, path, TRANSFORMS)
    if found is not None and "ignore_index" in inspect.signature(found.target).parameters:
        return Resolved(found.target, {"ignore_index": ignore_index, **found.kwargs})
    return found


def _resolve_head(one: _Resolver, config: ExperimentConfig, head: HeadConfig, path: str) -> HeadParts:
    losses = config.losses if head.losses is None else head.losses
    loss_path = f"{path}losses" if path == "" or head.losses is not None else "losses"
    sampling = config.sampling if head.sampling is None else head.sampling
    terms: dict[str, tuple[LossTerm, Resolved]] = {}
    rules: dict[str, Resolved] = {}
    if not losses:
        one.problems.add(loss_path, "no terms; give at least one, such as losses.ce: {type: cross_entropy}")
    for name, term in losses.items():
        found = one(term, f"{loss_path}.{name}", LOSSES, given=OFFERED, num_positional=_num_loss_inputs(term, one.components))
        if found is not None:
            terms[name] = (term, found)
            _check_term(one.problems, f"{loss_path}.{name}", term, found)
        if isinstance(term.class_weight, Spec):
            rule = one(term.class_weight, f"{loss_path}.{name}.class_weight", CLASS_WEIGHT_RULES, num_positional=2)
            rules |= {} if rule is None else {name: rule}
    sampler = None if sampling is None else _resolve_sampler(one, sampling, f"{path}sampling", terms)
    target = None if head.target is None else one(head.target, f"{path}target", {}, given=("ignore_index",), num_positional=1)
    ignore_index = config.data.ignore_index if head.ignore_index is None else head.ignore_index
    return HeadParts(head.weight, ignore_index, terms, rules, sampling, sampler, target)


def _num_loss_inputs(term: LossTerm, components: Components) -> int:
    """A function is called with (logits, target); a class is made from its own arguments only."""
    target = components.get(term.type) or LOSSES.get(term.type)
    if target is None and ":" in term.type:
        probe = Problems()
        found = resolve(Spec(type=term.type), "", probe, table={}, components={}, num_positional=2)
        target = None if found is None else found.target
    return 0 if inspect.isclass(target) else 2


def _check_term(problems: Problems, path: str, term: LossTerm, found: Resolved) -> None:
    """Options of the mix that cannot apply to this loss."""
    if not is_region(found):
        return
    if term.normalize is not None:
        problems.add(f"{path}.normalize", f"{term.type!r} is a function of class sums and is not divided by pixels; remove it")


def is_region(found: Resolved) -> bool:
    """Whether a loss is a function of class sums: a class whose instances have ``from_sums``."""
    return inspect.isclass(found.target) and hasattr(found.target, "from_sums")


def _resolve_sampler(
    one: _Resolver, sampling: SamplingConfig, path: str, terms: Mapping[str, tuple[LossTerm, Resolved]]
) -> Resolved | None:
    found = one(sampling, path, SAMPLERS, given=("ignore_index", "nll", "log_probs", "scope"), num_positional=2)
    if terms and all(is_region(loss) for _, loss in terms.values()):
        one.problems.add(
            path, f"set, but no loss term takes pixel weights (terms: {', '.join(terms)}); add a per-pixel loss or remove it"
        )
    if found is None:
        return None
    if "scope" in inspect.signature(found.target).parameters:
        return Resolved(found.target, {**found.kwargs, "scope": sampling.scope})
    return found
