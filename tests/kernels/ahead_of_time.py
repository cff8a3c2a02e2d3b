"""Compiles the kernels in Triton for sm_90, without a card; in a process of its own, as the interpreter replaces them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import triton
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource

from rayseg.kernels.gpu import kernels

FLOATS, AXIS = "*fp32", ("i32",) * 6
GEOMETRY = dict.fromkeys(("ignore_index", "classes", "tiles_down", "tiles_across"), "i32") | {
    "lines": AXIS,
    "columns": AXIS,
}
SIZES = {"P": 4, "Q": 4, "B": 32, "VOID": True}
KERNELS: Mapping[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "forward": (
        {"logits": "*bf16", "target": "*i64", **dict.fromkeys(("nll", "log_sum", "mean_nll", "partial"), FLOATS), **GEOMETRY},
        SIZES,
    ),
    "backward": (
        {
            "logits": "*bf16",
            "target": "*i64",
            "odd_row": "i32",
            "odd_column": "i32",
            **dict.fromkeys(("log_sum", "of_nll", "of_mean_nll", "of_sums", "gradient"), FLOATS),
            **GEOMETRY,
        },
        SIZES,
    ),
    "total": ({"partial": FLOATS, "sums": "*fp64", "programs": "i32", "width": "i32"}, {"LINES": 64, "B": 32}),
    "confusion": (
        {
            "logits": FLOATS,
            "target": "*i64",
            "prediction": "*i64",
            "counts": "*i32",
            "replicas": "i32",
            **GEOMETRY,
        },
        {"P": 4, "Q": 4, "B": 32},
    ),
    "digits": (
        {"bits": "*i32", "counts": "*i64", "found": "*i64", "size": "i32", "shift": "i32"},
        {"DIGIT_BITS": 11, "B": 1024, "PIECES": 8},
    ),
}


def compiled(name: str, types: dict[str, Any], sizes: dict[str, Any]) -> Any:
    """What comes out of Triton's compiler; an argument that is not named is None."""
    kernel = getattr(kernels(), name)
    signature = {argument: types.get(argument, "constexpr") for argument in kernel.arg_names}
    fixed = {(place,): sizes.get(argument) for place, argument in enumerate(kernel.arg_names) if argument not in types}
    source = ASTSource(fn=kernel, signature=signature, constexprs=fixed)
    options = {"num_warps": 4 if name == "digits" else 1, "enable_fp_fusion": True}
    return triton.compile(source, target=GPUTarget("cuda", 90, 32), options=options)


def main() -> None:
    """Compile each."""
    for name, (types, sizes) in KERNELS.items():
        assert compiled(name, types, sizes).asm["cubin"]
        print(name)  # noqa: T201  read by the test


if __name__ == "__main__":
    main()
