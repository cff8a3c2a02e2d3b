"""Small data sets on disk, the same images and masks in every form."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray
from PIL import Image

Array = NDArray[np.uint8]


def png(array: Array, palette: bool = False) -> bytes:
    image = Image.fromarray(array)
    if palette:
        image.putpalette([value for level in range(256) for value in (level, 255 - level, 7)])
    file = io.BytesIO()
    image.save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def scenes() -> list[tuple[Array, Array]]:
    """Five images ``(12, 10, 3)`` and masks of classes 0..2 and void."""
    rng = np.random.default_rng(7)
    masks = [rng.choice(np.array([0, 1, 2, 255], np.uint8), (12, 10)) for _ in range(5)]
    return [(rng.integers(0, 256, (12, 10, 3), dtype=np.uint8), mask) for mask in masks]


@pytest.fixture
def parquet_dir(tmp_path: Path, scenes: list[tuple[Array, Array]]) -> Path:
    """``train.parquet`` with all scenes (palette masks), and ``all.parquet`` with a split column."""
    root = tmp_path / "parquet"
    root.mkdir()
    columns = {
        "name": [f"scene{i}" for i in range(5)],
        "split": ["train", "val", "train", "val", "train"],
        "image": [png(image) for image, _ in scenes],
        "mask": [png(mask, palette=True) for _, mask in scenes],
    }
    pq.write_table(pa.table(columns), root / "train.parquet", row_group_size=2)
    pq.write_table(pa.table(columns), root / "all.parquet")
    return root


@pytest.fixture
def folder_root(tmp_path: Path, scenes: list[tuple[Array, Array]]) -> Path:
    """``train/`` and ``trainannot/`` as in SegNet's CamVid."""
    root = tmp_path / "folders"
    for index, (image, mask) in enumerate(scenes):
        write(root / "train" / f"scene{index}.png", png(image))
        write(root / "trainannot" / f"scene{index}.png", png(mask))
    return root


def write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


@pytest.fixture
def write_file() -> Callable[[Path, bytes], None]:
    return write


@pytest.fixture
def to_png() -> Callable[[Array], bytes]:
    return png
