"""Every name in a config, resolved: nothing is opened, allocated or started here."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from rayseg.build.datasets import knows_void, resolve_dataset
from rayseg.build.distillation import Distillation
from rayseg.build.networks import resolve_network
from rayseg.build.resolve import Problems, Resolved, bind, find
from rayseg.build.samplers import resolve_sampler
from rayseg.build.schedule_parts import resolve_schedule
from rayseg.config import ExperimentConfig, HeadConfig, LossTerm, SamplingConfig, Spec
from rayseg.data import TRANSFORMS
from rayseg.engine import HOOKS
from rayseg.engine.hooks import POINTS
from rayseg.losses import CLASS_WEIGHT_RULES, LOSSES, PIXEL_LOSSES, SOFT_TARGETS, TAKE_SOFT_TARGETS, TARGETS
from rayseg.optim import CONSTRUCTORS, OPTIMIZERS, refused_optimizer, resolve_optimizer
from rayseg.sampling import all_pixels
from rayseg.types import MAIN_HEAD

__all__ = ["Components", "HeadParts", "Parts", "is_built_in", "is_of_sums", "is_region", "not_sampled", "resolve_parts"]

#: Names given by value, for what the workers could not import.
Components = Mapping[str, Callable[..., Any]]

#: What the mix offers to a loss or a sampler by name; a user's own argument cannot have these names.
_OFFERED = ("ignore_index", "log_probs", "nll", "mean_nll", "pixel_weight", "class_weight", "extent", "images")

_BUILT_IN = (*LOSSES.values(), Distillation)
_OF_SUMS = tuple(loss for name, loss in LOSSES.items() if name not in PIXEL_LOSSES)
_TAKE_SOFT = tuple(LOSSES[name] for name in TAKE_SOFT_TARGETS)


@dataclass(frozen=True)
class HeadParts:
    """One head: what is absent in its config is inherited from the main head.

    Args:
        weight: factor of the whole head.
        ignore_index: its void label.
        terms: name -> what the user wrote, and the loss.
        rules: term's name -> the rule that makes its class weights.
        sampling: what the user wrote, if anything.
        sampler: pixel sampler.
        target: makes the head's own target of the masks.
        losses_path: where the losses are written: ``losses`` where they are inherited.
        sampling_path: where the sampling is written.
        targets: term's name -> what makes a target of labels for this loss alone.
    """

    weight: float
    ignore_index: int
    terms: Mapping[str, tuple[LossTerm, Resolved]]
    rules: Mapping[str, Resolved]
    sampling: SamplingConfig | None
    sampler: Resolved | None
    target: Resolved | None
    losses_path: str
    sampling_path: str
    targets: Mapping[str, Resolved] = field(default_factory=dict)


@dataclass
class Parts:
    """Every callable of an experiment; None, or left out, where a fault was found."""

    dataset: Resolved | None = None
    transforms: dict[str, Resolved] = field(default_factory=dict)
    model: Resolved | None = None
    heads: dict[str, HeadParts] = field(default_factory=dict)
    optimizer: Resolved | None = None
    constructor: Resolved | None = None
    schedule: Mapping[str, Resolved] | None = None
    momentum: Mapping[str, Resolved] | None = None
    hooks: dict[str, Resolved] = field(default_factory=dict)

    def calls(self) -> dict[str, Resolved]:
        """Every callable by the dotted path of its node."""
        single = {
            "data.dataset": self.dataset,
            "model": self.model,
            "optim": self.optimizer,
            "optim.constructor": self.constructor,
        }
        found = {path: call for path, call in single.items() if call is not None}
        found |= {**(self.schedule or {}), **(self.momentum or {})}
        found |= {f"data.transforms.{name}": call for name, call in self.transforms.items()}
        for name, head in self.heads.items():
            found |= dict(_head_calls(name, head))
        return found | {f"hooks.{name}": call for name, call in self.hooks.items()}


def _head_calls(name: str, head: HeadParts) -> Iterator[tuple[str, Resolved]]:
    for term, (_, loss) in head.terms.items():
        yield f"{head.losses_path}.{term}", loss
    for term, rule in head.rules.items():
        yield f"{head.losses_path}.{term}.class_weight", rule
    for term, target in head.targets.items():
        yield f"{head.losses_path}.{term}.target", target
    if head.sampler is not None:
        yield head.sampling_path, head.sampler
    if head.target is not None:
        yield f"heads.{name}.target", head.target


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
        target = find(spec.type, path, self.problems, {**table, **self.components})
        if target is None:
            return None
        return bind(target, spec, path, self.problems, given=given, num_positional=num_positional)

    def loss(self, spec: Spec, path: str) -> Resolved | None:
        """A function is called with (logits, target); a class is made from its own arguments only."""
        target = self.loss_target(spec, path, self.problems)
        if target is None:
            return None
        given, num_positional = ((), 0) if inspect.isclass(target) else (_OFFERED, 2)
        return bind(target, spec, path, self.problems, given=given, num_positional=num_positional)

    def loss_target(self, spec: Spec, path: str, problems: Problems) -> Callable[..., Any] | None:
        return find(spec.type, path, problems, {**LOSSES, "distillation": Distillation, **self.components})


def resolve_parts(config: ExperimentConfig, components: Components, problems: Problems) -> Parts:
    """Resolve every name and check every argument against its signature.

    Args:
        config: the experiment.
        components: name -> callable, given by value.
        problems: every fault is added here.
    """
    one = _Resolver(components, problems)
    momentum = config.schedule.momentum
    return Parts(
        dataset=resolve_dataset(config, one, problems),
        transforms=_transforms(one, config),
        model=resolve_network(config.model, components, "model", problems),
        heads=_heads(one, config),
        optimizer=_optimizer(one, config),
        constructor=_constructor(one, config),
        schedule=resolve_schedule(config.schedule, "schedule", components, problems),
        momentum=None if momentum is None else resolve_schedule(momentum, "schedule.momentum", components, problems),
        hooks=_hooks(one, config),
    )


def _optimizer(one: _Resolver, config: ExperimentConfig) -> Resolved | None:
    name = config.optim.type
    if name not in one.components and (why := refused_optimizer(name)):
        one.problems.add("optim.type", f"{name!r} {why}; choose another one, such as sgd or adamw")
        return None
    found = resolve_optimizer(name)
    optimizers = {**OPTIMIZERS, **({} if found is None else {name: found})}
    return one(config.optim, "optim", optimizers, given=("lr", "weight_decay"), num_positional=1)


def _constructor(one: _Resolver, config: ExperimentConfig) -> Resolved | None:
    """What makes groups of the model; it is given the base values."""
    spec = config.optim.constructor
    if spec is None:
        return None
    if config.optim.lr is None:
        one.problems.add("optim.constructor", "set, but optim.lr is null; give a rate, or remove it")
    return one(spec, "optim.constructor", CONSTRUCTORS, given=("lr", "weight_decay"), num_positional=1)


def _transforms(one: _Resolver, config: ExperimentConfig) -> dict[str, Resolved]:
    found: dict[str, Resolved] = {}
    for name, spec in config.data.transforms.items():
        transform = knows_void(one(spec, f"data.transforms.{name}", TRANSFORMS), config.data.ignore_index)
        found |= {} if transform is None else {name: transform}
    return found


def _hooks(one: _Resolver, config: ExperimentConfig) -> dict[str, Resolved]:
    found: dict[str, Resolved] = {}
    for name, spec in config.hooks.items():
        hook = one(spec, f"hooks.{name}", HOOKS)
        if hook is not None and inspect.isclass(hook.target) and not any(hasattr(hook.target, point) for point in POINTS):
            message = f"{spec.type!r} would never be called; give it at least one of the methods {', '.join(POINTS)}"
            one.problems.add(f"hooks.{name}", message)
        found |= {} if hook is None else {name: hook}
    return found


def _heads(one: _Resolver, config: ExperimentConfig) -> dict[str, HeadParts]:
    main = HeadConfig(weight=1.0, losses=config.losses, sampling=config.sampling)
    if MAIN_HEAD in config.heads:
        message = "the main head is described by 'losses' and 'sampling' at the top; move them there and remove this"
        one.problems.add(f"heads.{MAIN_HEAD}", message)
    others = {name: head for name, head in config.heads.items() if name != MAIN_HEAD}
    heads = {MAIN_HEAD: _resolve_head(one, config, main, "")}
    return heads | {name: _resolve_head(one, config, head, f"heads.{name}.") for name, head in others.items()}


def _resolve_head(one: _Resolver, config: ExperimentConfig, head: HeadConfig, path: str) -> HeadParts:
    losses, losses_path = (config.losses, "losses") if head.losses is None else (head.losses, f"{path}losses")
    sampling, sampling_path = (config.sampling, "sampling") if head.sampling is None else (head.sampling, f"{path}sampling")
    terms, rules = _terms(one, losses, losses_path)
    sampler = None if sampling is None else resolve_sampler(sampling, sampling_path, one.components, one.problems)
    if sampler is not None and head.sampling is not None and sampler.target is not all_pixels:
        _check_sampled(one, sampling_path, losses)
    target = None
    if head.target is not None:
        target = one(head.target, f"{path}target", TARGETS, given=("ignore_index",), num_positional=1)
    ignore_index = config.data.ignore_index if head.ignore_index is None else head.ignore_index
    targets = _term_targets(one, losses, losses_path)
    return HeadParts(head.weight, ignore_index, terms, rules, sampling, sampler, target, losses_path, sampling_path, targets)


def _terms(
    one: _Resolver, losses: Mapping[str, LossTerm], path: str
) -> tuple[dict[str, tuple[LossTerm, Resolved]], dict[str, Resolved]]:
    terms: dict[str, tuple[LossTerm, Resolved]] = {}
    rules: dict[str, Resolved] = {}
    if not losses:
        one.problems.add(path, f"no terms; give at least one, such as {path}.ce: {{type: cross_entropy}}")
    for name, term in losses.items():
        found = one.loss(term, f"{path}.{name}")
        if found is not None:
            terms[name] = (term, found)
        if found is not None and is_region(found.target) and term.normalize is not None:
            message = f"{term.type!r} is a function of class sums and is not divided by pixels; remove it"
            one.problems.add(f"{path}.{name}.normalize", message)
        if isinstance(term.class_weight, Spec):
            rule = one(term.class_weight, f"{path}.{name}.class_weight", CLASS_WEIGHT_RULES, num_positional=2)
            rules |= {} if rule is None else {name: rule}
    return terms, rules


def _term_targets(one: _Resolver, losses: Mapping[str, LossTerm], path: str) -> dict[str, Resolved]:
    """Of the terms that have one, which must be able to take it."""
    found: dict[str, Resolved] = {}
    for name, term in losses.items():
        loss = one.loss_target(term, "", Problems())
        if term.target is None or loss is None:
            continue
        if is_region(loss) or (is_built_in(loss) and loss not in _TAKE_SOFT):
            message = f"{term.type!r} is a function of labels and takes no other target; remove it, or use another loss"
            one.problems.add(f"{path}.{name}.target", message)
            continue
        target = one(
            term.target, f"{path}.{name}.target", SOFT_TARGETS, given=("ignore_index", "num_classes"), num_positional=1
        )
        found |= {} if target is None else {name: target}
    return found


def is_built_in(target: Callable[..., Any]) -> bool:
    """Whether a loss is one of rayseg's."""
    return target in _BUILT_IN


def is_region(target: Callable[..., Any] | None) -> bool:
    """Whether a loss is a function of class sums: a class whose instances have ``from_sums``."""
    return inspect.isclass(target) and hasattr(target, "from_sums")


def is_of_sums(target: Callable[..., Any] | None) -> bool:
    """Whether a loss is known to take no pixel weights: a function of class sums, or of the order of all pixels."""
    return is_region(target) or target in _OF_SUMS


def _check_sampled(one: _Resolver, path: str, losses: Mapping[str, LossTerm]) -> None:
    """Also where a term has faults of its own: those are noted elsewhere."""
    if losses and all(is_of_sums(one.loss_target(term, "", Problems())) for term in losses.values()):
        one.problems.add(path, not_sampled(losses))


def not_sampled(terms: Iterable[str]) -> str:
    """What is said about a sampler that no term listens to."""
    return f"set, but no loss term takes pixel weights (terms: {', '.join(terms)}); add a per-pixel loss or remove it"
