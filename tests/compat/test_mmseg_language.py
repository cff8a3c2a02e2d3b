"""The language of MMSegmentation's config files: expressions, bases, variables, options, names of old."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rayseg.compat import is_mmseg_config, parse_cfg_options, read_mmseg_config
from rayseg.compat.mmseg.expressions import evaluate
from rayseg.compat.mmseg.merging import merged
from rayseg.compat.mmseg.options import with_cfg_options
from rayseg.compat.mmseg.places import config_trees, same_config
from rayseg.errors import ConfigError

scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8)
keys = st.text("abcdef", min_size=1, max_size=3)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple) | st.dictionaries(keys, inner, max_size=3)
    ),
    max_leaves=8,
)
trees = st.dictionaries(keys, values, max_size=4)

EXPRESSIONS = """\
dict(a=1, **dict(b=2), c=[*range(3), 9])
[1.0] * 3 + [0.1]
sum([18, 36, 72, 144]) // 4 - 2**5 % 7
[dict(type='Resize', scale_factor=r, keep_ratio=True) for r in (0.5, 1.75) if r > 1]
{f'blocks.{i}.{j:02d}.norm': i * j for i, n in enumerate((2, 3)) for j in range(n - 1)}
[int(512 * x * 0.1) for x in range(5, 21)]
(0.85 / 0.95, -1, not True, 3 if 1 < 2 <= 2 else 4, 'a' in 'abc' and 5, None or 6)
[[1, 2, 3][1:], [1, 2, 3][-1], {'a': 1}['a'], len('abc'), max(1, 2), f'{1.5!r}', f'{7:>3}']
dict(zip('ab', sorted([2, 1]))) | {'c': {1, 2}}
'x/y'.split('/') + [' a '.strip()]""".splitlines()


def refusal(call: Callable[..., Any], *args: Any) -> str:
    with pytest.raises(ConfigError) as caught:
        call(*args)
    return str(caught.value)


def written(place: Path, **files: str) -> Path:
    for name, text in files.items():
        (place / f"{name}.py").write_text(text, encoding="utf-8")
    return place / f"{next(iter(files))}.py"


@given(trees)
def test_what_python_writes_is_read_back(tree: dict[str, Any]) -> None:
    assert evaluate(f"model = {tree!r}", {}, "a.py") == {"model": tree}


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_expressions_are_worth_what_they_are_in_python(expression: str) -> None:
    assert evaluate(f"a = {expression}", {}, "a.py")["a"] == eval(expression)


def test_values_change_in_place_as_in_python() -> None:
    code = "a = dict(x=1)\nb = [a, a]\na.update({'y': 2})\nb.append(3)\na['z'], (c, d) = 4, (5, 6)\nc += 1\n'text'"
    names: dict[str, Any] = {}
    exec(code, {}, names)
    assert evaluate(code, {}, "a.py") == names


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("a = 1\nimport os", "line 2: imports"),
        ("a = dict(\n  b=open('x'))", "line 2: open() is not called"),
        ("a = ().__class__", "'().__class__' is code"),
        ("a = 'x'.format(1)", "'x'.format() is not called"),
        ("a = lambda: 1", "is code"),
        ("for i in range(3):\n  a = i", "is a loop"),
        ("if True:\n  a = 1", "is a condition"),
        ("def f():\n  pass", "defines a function"),
        ("class A:\n  pass", "defines a class"),
        ("with read_base():\n  pass", "only read_base is one, at the top of the file"),
        ("[('train', 1)]", "a value without a name has no effect"),
        ("a = dict(b=missing)", "'missing' has no value here"),
        ("a = [", "is no Python"),
        ("a = 1\nb = a['x']", "line 2: TypeError"),
        ("a = 9 ** 999", "too large"),
        ("a = [0] * 10**9", "too large"),
        ("a = sum(range(10**9))", "too large"),
        ("dict = print\na = dict(1)", "no value here"),
        ("a = 'data/(_base_.root)'", "inside a longer text"),
    ],
)
def test_code_is_refused_with_its_line_and_what_to_write_instead(code: str, message: str) -> None:
    assert message in refusal(evaluate, code, {}, "a.py")


@given(trees, trees)
def test_a_child_wins_over_its_base_leaf_by_leaf(child: dict[str, Any], base: dict[str, Any]) -> None:
    result = merged(child, base, [])
    assert set(result) == set(child) | set(base)
    assert all(result[key] == child[key] for key in child if not isinstance(child[key], dict) or key not in base)
    assert all(result[key] == base[key] for key in base if key not in child)
    assert merged(result, result, []) == result
    assert merged({key: {"_delete_": True, **value} for key, value in child.items() if isinstance(value, dict)}, base, []) == {
        **base, **{key: value for key, value in child.items() if isinstance(value, dict)}
    }  # fmt: skip


def test_a_dict_over_something_else_needs_delete(tmp_path: Path) -> None:
    path = written(
        tmp_path, a="_base_ = 'b.py'\nmodel = dict(x=dict(y=1))\nfp16 = dict(z=1)", b="model = dict(x=3)\nfp16 = None"
    )
    message = refusal(read_mmseg_config, path)
    assert "model.x: is a dict, and the base has int there; add _delete_=True" in message
    assert "fp16: is a dict, and the base has null there" in message
    path.write_text("_base_ = 'b.py'\nmodel = dict(x=dict(_delete_=True, y=1))\ndata = [dict(_delete_=True, q=1)]")
    assert read_mmseg_config(path) == {"model": {"x": {"y": 1}}, "fp16": None, "data": [{"q": 1}]}


def test_two_bases_may_not_say_the_same(tmp_path: Path) -> None:
    path = written(tmp_path, a="_base_ = ['b.py', './c.py']", b="model = dict()\nseed = 1", c="model = dict()\nseed = 1")
    message = refusal(read_mmseg_config, path)
    assert "2 problems" in message
    assert "model: two bases of one file have it, b.py and ./c.py" in message


def test_variables_stand_for_the_file_the_environment_and_the_base(tmp_path: Path) -> None:
    text = (
        """_base_ = [
        'b.py',
    ]
    """.replace("\n    ", "\n")
        + """
work_dir = '{{ fileDirname }}/{{fileBasenameNoExtension}}{{ fileExtname }}'
data = dict(root='{{$ROOT:/data}}', workers={{ $WORKERS:4 }}, name='{{ fileBasename }}')
model = dict(head=dict(norm={{ _base_.model.norm }}, again='{{_base_.model.norm.type}}', twice=_base_.depth * 2))
"""
    )
    path = written(tmp_path, a=text, b="model = dict(norm=dict(type='BN'))\ndepth = 9")
    found = read_mmseg_config(path, environ={"WORKERS": "2"})
    assert found["work_dir"] == f"{tmp_path}/a.py"
    assert found["data"] == {"root": "/data", "workers": 2, "name": "a.py"}
    assert found["model"] == {"norm": {"type": "BN"}, "head": {"norm": {"type": "BN"}, "again": "BN", "twice": 18}}


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a": "_base_ = 'nowhere.py'"}, "nowhere.py: no such file in"),
        ({"a": "_base_ = 'bse.py'", "base": "seed = 1"}, "Nearest names: base.py"),
        ({"a": "_base_ = 'b.py'", "b": "_base_ = 'a.py'"}, "goes in a circle: a.py -> b.py -> a.py"),
        ({"a": "_base_ = 3"}, "expected the name of a file or a list of them, got 3"),
        (
            {"a": "_base_ = 'b.py'\nmodel = dict(norm=norm_cfg)", "b": "norm_cfg = dict()"},
            "a base has it: write _base_.norm_cfg",
        ),
        ({"a": "_base_ = 'b.py'\nmodel = _base_.modl", "b": "model = dict()"}, "_base_ has no 'modl'; it has model"),
        ({"a": "work_dir = '{{ $NOWHERE_AT_ALL: }}'"}, "the environment has no variable 'NOWHERE_AT_ALL'"),
        ({"a": "models = dict(sampler=1)"}, "models: nothing reads it"),
    ],
)
def test_faults_of_files_say_what_to_do(files: dict[str, str], message: str, tmp_path: Path) -> None:
    assert message in refusal(read_mmseg_config, written(tmp_path, **files))


def test_a_base_is_found_in_the_trees_also_under_its_newer_name(tmp_path: Path) -> None:
    tree = tmp_path / "configs"
    (tree / "pspnet").mkdir(parents=True)
    written(tree / "pspnet", **{"pspnet_r50-d8_4xb2-40k_cityscapes-512x1024": "seed = 1"})
    environ = {"RAYSEG_MMSEG_CONFIGS": str(tree)}
    names = ["./pspnet_r50-d8_512x1024_40k_cityscapes.py", "mmseg::pspnet/pspnet_r50-d8_4xb2-40k_cityscapes-512x1024.py"]
    for name in names:
        assert read_mmseg_config(written(tmp_path, a=f"_base_ = {name!r}"), environ=environ) == {"seed": 1}
    assert read_mmseg_config("pspnet_r50-d8_4xb2-40k_cityscapes-512x1024.py", environ=environ) == {"seed": 1}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("fcn_unet_s5-d16_64x64_40k_drive", "unet-s5-d16_fcn_4xb4-40k_drive-64x64"),
        ("fcn_unet_s5-d16_4x4_512x1024_160k_cityscapes", "unet-s5-d16_fcn_4xb4-160k_cityscapes-512x1024"),
        ("fcn_m-v2-d8_512x1024_80k_cityscapes", "mobilenet-v2-d8_fcn_4xb2-80k_cityscapes-512x1024"),
        ("deeplabv3plus_r50-d8_480x480_40k_pascal_context_59", "deeplabv3plus_r50-d8_4xb4-40k_pascal-context-59-480x480"),
    ],
)
def test_old_names_mean_new_files(old: str, new: str) -> None:
    assert same_config(f"{old}.py", f"{new}.py")
    assert not same_config(f"{old}.py", f"{new.replace('0k', '1k')}.py")


options = st.recursive(st.integers(-99, 99), lambda inner: st.lists(inner, min_size=1, max_size=3), max_leaves=6)


@given(options, st.sampled_from([list, tuple]))
def test_options_give_back_lists_and_tuples_of_numbers(value: Any, kind: type) -> None:
    def of_kind(node: Any) -> Any:
        return kind(map(of_kind, node)) if isinstance(node, list) else node

    wanted = of_kind(value)
    text = repr(wanted).replace(",)", ")")
    assert parse_cfg_options([f"a.b={text}"]) == {"a.b": wanted}


def test_options_reach_into_lists_and_merge_dicts() -> None:
    tree: dict[str, Any] = {
        "data": {"train": {"pipeline": ({"type": "A"}, {"type": "B"})}},
        "optimizer": {"type": "SGD", "lr": 1},
    }
    changed = with_cfg_options(tree, {"data.train.pipeline.1.type": "C", "optimizer": {"lr": 2}, "new.deep": None})
    assert changed["data"]["train"]["pipeline"] == ({"type": "A"}, {"type": "C"})
    assert changed["optimizer"] == {"type": "SGD", "lr": 2}
    assert changed["new"] == {"deep": None}
    assert tree["data"]["train"]["pipeline"][1] == {"type": "B"}
    assert with_cfg_options(tree, {"optimizer": {"_delete_": True, "lr": 2}})["optimizer"] == {"lr": 2}
    message = refusal(with_cfg_options, tree, {"data.train.pipeline.5.type": 1, "optimizer.lr.x": 2})
    assert "write a place from 0 to 1" in message
    assert "optimizer.lr.x: there is 1, which has no keys; replace optimizer.lr whole" in message
    assert "2 problems" in refusal(parse_cfg_options, ["a", "b=[1"])


@pytest.mark.parametrize(
    ("text", "is_one"),
    [
        ("model = dict()", True),
        ("_base_ = 'a.py'", True),
        ("optimizer=dict(lr=1)", True),
        ("def config():\n    model = {}\n    return model", False),
        ("from recipes import config\nmodel = 1", False),
        ("x = 1", False),
    ],
)
def test_files_of_mmsegmentation_are_told_from_ours(text: str, is_one: bool, tmp_path: Path) -> None:
    assert is_mmseg_config(written(tmp_path, a=text)) is is_one


@pytest.mark.examples  # minutes, where the packages are
def test_every_config_that_is_installed_is_read_as_mmengine_reads_it() -> None:
    mmengine = pytest.importorskip("mmengine", reason="no mmengine; it and mmsegmentation's config files are needed to compare")
    found = [file for tree in config_trees(os.environ) for file in sorted(tree.rglob("*.py"))]
    if not found:
        pytest.skip("no config files of mmsegmentation; set RAYSEG_MMSEG_CONFIGS to a directory of them")
    assert "mmengine" in sys.modules
    for file in found:
        theirs = mmengine.Config.fromfile(file, import_custom_modules=False).to_dict()
        if "models" not in theirs:  # one file has this slip, and we say so
            assert read_mmseg_config(file) == theirs, file
