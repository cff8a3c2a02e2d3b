"""What is in force under a config key, asked of the objects that were built.

The config is consulted for the shape only: whether a schedule has a warm-up, which unit a length was given in.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import nn

from rayseg.build.averages import average_in_force
from rayseg.build.experiment import Experiment
from rayseg.build.kernels import kernel_in_force
from rayseg.build.optim_readers import read_optim
from rayseg.build.parts import HeadParts
from rayseg.build.reading import UnreadableError
from rayseg.build.reading import agreed as _agreed
from rayseg.build.reading import argument as _argument
from rayseg.build.resolve import Resolved
from rayseg.build.schedule_readers import read_schedule
from rayseg.build.start_readers import read_freeze, read_init
from rayseg.engine.hooks import in_order, priority_of
from rayseg.losses import RegionLoss
from rayseg.mix import Head, Term
from rayseg.models import SyncBatchNorm2d, named_logits
from rayseg.types import MAIN_HEAD

__all__ = ["UnreadableError", "read"]

Names = Sequence[str]


def read(experiment: Experiment, key: str) -> Any:
    """The value in force under a dotted key; a length in steps, None for a part that is not there.

    Raises:
        UnreadableError: nothing that was built tells it.
    """
    section, *names = key.split(".")
    if section not in _READERS:
        raise UnreadableError(f"{section!r} leaves no trace in the objects of a run")
    if names[-1:] in (["steps"], ["epochs"]) and len(names) > 1:
        names = names[:-1]
    try:
        return _READERS[section](experiment, names)
    except (LookupError, AttributeError) as error:
        raise UnreadableError(f"what was built has no {error}") from error


def _losses(experiment: Experiment, names: Names, path: str = "losses") -> Any:
    """Heads that inherit the losses must have the same."""
    parts = experiment.parts.heads
    heads = [name for name, part in parts.items() if part.losses_path == path]
    return _agreed([_term(experiment, parts[head], experiment.fit.mix.heads[head], names) for head in heads])


def _term(experiment: Experiment, part: HeadParts, head: Head, names: Names) -> Any:
    name, *rest = names
    if name not in head.terms and not rest:
        return None
    term, call = head.terms[name], part.terms[name][1]
    if rest[:1] == ["class_weight"]:
        return _class_weight(experiment, part.rules.get(name), term, rest[1:])
    if rest == ["normalize"]:
        return None if isinstance(term.loss, RegionLoss) else term.normalize
    if rest[:1] == ["target"]:
        target = part.targets.get(name)
        return None if target is None and not rest[1:] else _argument(target, term.target, rest[1:])
    if rest in (["weight"], ["scope"]):
        return getattr(term, rest[0])
    return _argument(call, term.loss, rest)


def _class_weight(experiment: Experiment, rule: Resolved | None, term: Term, names: Names) -> Any:
    """Of a rule only if the weights in the mix are those that the rule makes of the counted labels; else a tensor."""
    weights = term.class_weight
    if rule is not None:
        if weights is None or not torch.equal(weights, _weights_of(rule, experiment)):
            raise UnreadableError(f"the weights in the loss are not those that {rule.name!r} makes of the labels")
        return _argument(rule, None, names)
    if not names or weights is None:
        return weights
    return weights[experiment.data.class_names.index(names[0])]


def _weights_of(rule: Resolved, experiment: Experiment) -> torch.Tensor:
    """Made anew, on a path of its own."""
    assert experiment.counts is not None
    pixels, image_pixels = torch.tensor(experiment.counts.pixels), torch.tensor(experiment.counts.image_pixels)
    weights: torch.Tensor = rule.target(pixels, image_pixels, **rule.kwargs)
    return weights


def _sampling(experiment: Experiment, names: Names, path: str = "sampling") -> Any:
    parts = experiment.parts.heads
    heads = [name for name, part in parts.items() if part.sampling_path == path]
    return _agreed([_sampler(parts[head], experiment.fit.mix.heads[head], names) for head in heads])


def _sampler(part: HeadParts, head: Head, names: Names) -> Any:
    if head.sampler is None and not names:
        return None
    if names == ["start"]:
        return None if part.sampling is None or part.sampling.start is None else head.sampler_start
    if names[:1] == ["schedule"]:
        return _sampler_schedule(part, head, names[1:])
    return _argument(part.sampler, head.sampler, names)


def _sampler_schedule(part: HeadParts, head: Head, names: Names) -> Any:
    """A part of the ramp of an argument, None where it was left to its default; the shape of a ramp; all shapes."""
    if len(names) < 2:
        shapes = {name: getattr(ramp, "shape", None) for name, ramp in head.sampler_schedule.items()}
        return shapes.get(names[0]) if names else shapes
    (name, *rest), written = names, part.sampling
    assert written is not None
    if getattr(written.schedule[name], rest[0]) is None:
        return None
    return getattr(head.sampler_schedule[name], {"from": "first"}.get(rest[0], rest[0]))


def _heads(experiment: Experiment, names: Names) -> Any:
    name, *rest = names
    head = experiment.fit.mix.heads.get(name)
    if not rest:
        return None if head is None else {}
    path = f"heads.{name}.{rest[0]}"
    if head is None:
        raise UnreadableError("there is no such head")
    if rest[0] == "losses":
        return _losses(experiment, rest[1:], path) if rest[1:] else None
    if rest[0] == "sampling":
        return _sampling(experiment, rest[1:], path)
    if rest[0] == "target":
        target = experiment.parts.heads[name].target
        return None if head.target is None and not rest[1:] else _argument(target, head.target, rest[1:])
    inherits = getattr(experiment.config.heads[name], rest[0]) is None
    return None if inherits else getattr(head, rest[0])


def _train(experiment: Experiment, names: Names) -> Any:
    train, plan, stream = experiment.config.train, experiment.fit.plan, experiment.stream
    if names[0] in {"ema", "swa"}:
        values = average_in_force(experiment.fit.state, names[0])
        return values[names[1]] if names[1:] else (values or None)
    if names[0] == "speed":
        return _speed(experiment, names[1:])
    known: dict[str, Any] = {
        "batch_size": stream.batch_size,
        "micro_batch": stream.micro_batch,
        "steps": None if train.steps is None else plan.total_steps,
        "epochs": None if train.epochs is None else plan.total_steps,
        "precision": plan.precision,
        "loss_scale": _loss_scale(experiment),
        "clip_norm": plan.clip_norm,
        "clip_norm_type": "inf" if math.isinf(plan.clip_norm_type) else plan.clip_norm_type,
        "clip_value": plan.clip_value,
        "log_every": plan.log_every,
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "kernels": kernel_in_force(experiment.fit.mix, experiment.config),
        "threads": None if train.threads is None else torch.get_num_threads(),
    }
    return known[names[0]]


def _speed(experiment: Experiment, names: Names) -> Any:
    state = experiment.fit.state
    weights = [each for each in state.model.parameters() if each.dim() == 4 and each.shape[1] > 1 and each[0, 0].numel() > 1]
    last = bool(weights) and all(each.is_contiguous(memory_format=torch.channels_last) for each in weights)
    known = {
        "memory_format": "channels_last" if last else "contiguous",
        "fused_optimizer": state.optimizer.defaults.get("fused") is True,
        "compile": experiment.fit.compiled,
    }
    return known[names[0]] if names else known


def _loss_scale(experiment: Experiment) -> float | str | None:
    scaler = experiment.fit.state.scaler
    if scaler is None or (scaler.dynamic and experiment.config.train.loss_scale is None):
        return None
    return "dynamic" if scaler.dynamic else scaler.scale


def _seed(experiment: Experiment, names: Names) -> Any:  # noqa: ARG001
    return _agreed([experiment.stream.seed, experiment.fit.plan.seed])


def _data(experiment: Experiment, names: Names) -> Any:
    stream, parts = experiment.stream, experiment.parts
    if names[0] == "transforms":
        _, name, *rest = names
        made = stream.transforms.get(name)
        return None if made is None and not rest else _argument(parts.transforms.get(name), made, rest)
    if names[0] == "dataset":
        return _argument(parts.dataset, stream.data.train, names[1:])
    known = {
        "mean": stream.mean,
        "std": stream.std,
        "ignore_index": stream.ignore_index,
        "num_workers": stream.num_workers,
        "colours": "affine" if stream.affine_colours else "exact",
        "pad_size": stream.data.pad_size,
        "class_names": stream.data.class_names,
        "palette": stream.data.palette,
    }
    return known[names[0]]


_NORMS: Mapping[str, type[nn.Module]] = {"sync": SyncBatchNorm2d, "batch": nn.BatchNorm2d, "group": nn.GroupNorm}


def _model(experiment: Experiment, names: Names) -> Any:
    model = experiment.fit.state.model
    if names == ["binary"]:
        return _num_channels(model) == 1
    if names != ["norm"]:
        return _argument(experiment.parts.model, model, names)
    found = {name for name, kind in _NORMS.items() if any(type(layer) is kind for layer in model.modules())}
    if len(found) != 1:
        raise UnreadableError(f"the layers of the model are of {len(found)} kinds: {', '.join(sorted(found))}")
    return found.pop()


def _num_channels(model: nn.Module) -> int:
    """Of the main head's logits, seen on an image of zeros."""
    parameter, was_training = next(model.parameters()), model.training
    images = torch.zeros(1, 3, 64, 64, dtype=parameter.dtype, device=parameter.device)
    with torch.no_grad():
        channels = named_logits(model.eval()(images))[MAIN_HEAD].shape[1]
    model.train(was_training)
    return channels


def _eval(experiment: Experiment, names: Names) -> Any:
    plan, written, asked = experiment.fit.plan, experiment.config.eval, experiment.evaluator.inference
    scored = experiment.evaluator.config.eval
    known: dict[str, Any] = {
        "every": None if written.every is None else plan.eval_every,
        "batch_size": scored.batch_size,
        "at_end": plan.eval_at_end,
        "metrics": scored.metrics,
        "beta": scored.beta,
        "boundary_ratio": scored.boundary_ratio,
        "mode": "whole" if asked.crop_size is None else "slide",
        "crop_size": asked.crop_size,
        "stride": asked.stride,
        "resize": asked.resize,
        "tta": {"scales": asked.scales, "flip": asked.flip},
    }
    value = known[names[0]]
    return value[names[1]] if names[1:] else value


def _checkpoint(experiment: Experiment, names: Names) -> Any:
    plan = experiment.fit.plan
    known: dict[str, Any] = {
        "every": plan.checkpoint_every,
        "best": plan.best,
        "mode": plan.mode,
        "optimizer": plan.resume_state,
    }
    return known[names[0]]


def _hooks(experiment: Experiment, names: Names) -> Any:
    name, *rest = names
    hooks = experiment.fit.state.hooks
    made = hooks.get(name)
    if rest == ["priority"] and made is not None:
        written = {each: experiment.config.hooks[each].priority for each in hooks}
        in_place = in_order(hooks, {each: priority_of(written[each], hook) for each, hook in hooks.items()})
        if list(in_place) != list(hooks):
            raise UnreadableError(f"hooks are called in the order {', '.join(hooks)}")
        return written[name]
    return None if made is None and not rest else _argument(experiment.parts.hooks.get(name), made, rest)


_READERS: Mapping[str, Callable[[Experiment, list[str]], Any]] = {
    "checkpoint": _checkpoint,
    "data": _data,
    "eval": _eval,
    "freeze": read_freeze,
    "heads": _heads,
    "hooks": _hooks,
    "init": read_init,
    "losses": _losses,
    "model": _model,
    "optim": read_optim,
    "sampling": _sampling,
    "schedule": read_schedule,
    "seed": _seed,
    "train": _train,
}
