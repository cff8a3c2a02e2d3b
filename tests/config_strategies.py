"""Random experiments for property tests."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

__all__ = ["experiments", "leaves", "names"]

_KEYWORDS = {
    "priority",
    "type",
    "args",
    "weight",
    "normalize",
    "scope",
    "class_weight",
    "schedule",
    "start",
    "norm",
    "lr",
    "weight_decay",
    "groups",
    "constructor",
    "warmup",
    "phases",
    "momentum",
    "by_epoch",
    "length",
    "target",
    "binary",
}

names = st.text(st.characters(categories=("L", "N"), include_characters="_- "), min_size=1, max_size=8)
_words = st.text(st.characters(codec="utf-8"), max_size=12) | st.sampled_from(
    [
        "1e-3",
        "no",
        "null",
        "~",
        "1:30",
        "0x1f",
        "true",
        "2024-01-01",
        "a: b",
        "# c",
        ".5",
        "",
        " ",
        "=",
        "<<",
        "\n",
        "a\n b",
        "\u2028",
    ]
)
_finite = st.floats(allow_nan=False, allow_infinity=False)


def _is_a_directory(name: str) -> bool:
    return bool(name.strip()) and name not in {".", ".."} and not set(name) & set("/\\\0")


leaves = st.none() | st.booleans() | st.integers(-(10**20), 10**20) | _finite | _words
_data = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_words, inner, max_size=3), max_leaves=5
)
_arguments = st.dictionaries(names.filter(lambda name: name not in _KEYWORDS), _data, max_size=3)
_positive = st.floats(1e-6, 1e6)
_length = st.one_of(st.builds(lambda n: {"steps": n}, st.integers(1, 10**6)), st.builds(lambda x: {"epochs": x}, _positive))


def _spec(**declared: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    fixed = st.fixed_dictionaries({"type": st.sampled_from(["dice", "my_pkg.losses:topo"])}, optional=declared)
    return st.builds(lambda own, keys: {**own, **keys}, _arguments, fixed)


_class_weight = (
    st.sampled_from(["w.json", "there/w.npy"])
    | st.lists(_positive, max_size=3)
    | st.dictionaries(names, _positive, max_size=3).filter(lambda d: "type" not in d)
)
_losses = st.dictionaries(
    names,
    _spec(
        weight=_positive,
        normalize=st.sampled_from([None, "kept", "all"]),
        class_weight=st.none() | _class_weight | _spec(),
        target=st.none() | _spec(),
        args=st.dictionaries(st.sampled_from(["weight", "scope"]), _data, max_size=2),
    ),
    max_size=2,
)
_ramp = st.fixed_dictionaries(
    {"from": st.floats(0, 1), "to": st.floats(0, 1)},
    optional={
        "end": st.none() | _length,
        "begin": st.builds(lambda n: {"steps": n}, st.integers(0, 9)),
        "shape": st.sampled_from(["linear", "exp"]),
    },
) | st.fixed_dictionaries({"from": st.integers(1, 10**6), "to": st.integers(1, 10**6)})
_sides = st.lists(st.integers(1, 999), min_size=2, max_size=2)
_views = {"resize": [512, 2048], "tta": {"scales": [0.5, 1.0], "flip": True}}
_eval: st.SearchStrategy[dict[str, Any]] = st.just({}) | st.builds(
    lambda crop, view: {"mode": "slide", "crop_size": crop, "stride": [1 + crop[0] // 2, crop[1]], **view},
    _sides,
    st.sampled_from([{}, _views]),
)
_rule = st.fixed_dictionaries(
    {"match": _words, "lr_mult": _positive},
    optional={
        "final": st.booleans(),
        "kind": st.sampled_from([None, "norm", "flat"]),
        "settings": st.dictionaries(names, _data, max_size=2),
    },
)

_init = st.fixed_dictionaries(
    {"checkpoint": _words.filter(bool)},
    optional={"skip": st.none() | _words, "rename": st.dictionaries(_words, _words, max_size=2)},
)
_freeze = st.fixed_dictionaries(
    {"match": _words.filter(bool)}, optional={"until": st.none() | _length, "statistics": st.booleans()}
)


_options = st.sampled_from(
    [{}, {"precision": "fp16", "loss_scale": 512.0}, {"precision": "fp16", "loss_scale": "dynamic"}]
) | st.builds(lambda norm, kind: {"clip_norm": norm, "clip_norm_type": kind}, _positive, st.sampled_from([1.0, 2, "inf"]))
_averages = st.one_of(
    st.just({}),
    st.builds(lambda **own: {"ema": own}, gamma=st.none() | _positive, every=st.integers(1, 9), start=st.none() | _length),
    st.builds(lambda **own: {"swa": own}, start=_length, every=_length, batches=st.integers(1, 9)),
)
_warmup = st.builds(lambda length: {"length": length}, _length)


def _schedule(**more: st.SearchStrategy[Any]) -> st.SearchStrategy[dict[str, Any]]:
    return _spec(warmup=_warmup, by_epoch=st.booleans(), **more)


_phases = st.builds(
    lambda first, length, last, momentum: {"phases": {"a": {**first, "length": length}, "b": last}, "momentum": momentum},
    _spec(),
    _length,
    _spec(),
    st.none() | _schedule(),
)


def experiments() -> st.SearchStrategy[dict[str, Any]]:
    """Trees that hold a valid experiment, most of it left out."""
    return st.fixed_dictionaries(
        {},
        optional={
            "seed": st.integers(0, 2**31 - 1),
            "data": st.fixed_dictionaries({}, optional={"mean": st.tuples(_finite, _finite, _finite), "dataset": _spec()}),
            "model": _spec(norm=st.sampled_from(["auto", "keep"]), binary=st.booleans()),
            "init": st.none() | _init,
            "freeze": st.dictionaries(names, _freeze, max_size=2),
            "losses": _losses,
            "sampling": st.none() | _spec(start=_length, schedule=st.dictionaries(names, _ramp, max_size=2)),
            "heads": st.dictionaries(names, st.fixed_dictionaries({}, optional={"losses": st.none() | _losses}), max_size=2),
            "optim": _spec(
                lr=st.none() | _positive, groups=st.dictionaries(names, _rule, max_size=2), constructor=st.none() | _spec()
            ),
            "schedule": _schedule(momentum=st.none() | _schedule()) | _phases,
            "eval": _eval,
            "train": st.builds(lambda length, more, average: {**length, **more, **average}, _length, _options, _averages),
            "hooks": st.dictionaries(names, _spec(priority=st.sampled_from([None, "HIGHEST", "LOW", 0, 35])), max_size=2),
            "checkpoint": st.fixed_dictionaries({}, optional={"optimizer": st.sampled_from(["all", "newest", "none"])}),
            "scaling": st.fixed_dictionaries({"workers": st.integers(0, 9) | st.sampled_from([[1, 3], (2, 2)])}),
            "tracking": st.fixed_dictionaries(
                {}, optional={"name": st.none() | _words.filter(_is_a_directory), "mlflow": st.none()}
            ),
        },
    )
