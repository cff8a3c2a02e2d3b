"""What a training sample costs, from its file to the normalised tensor: images a second and core.

The recipe is that of most configs of MMSegmentation: decode, resize by 0.5 to 2, crop (no class fills three quarters of it),
flip, change the colours, normalise, pad. ``mmseg`` is MMSegmentation's own transforms and its preprocessor over JPEG and PNG
files (``--reference DIR`` names a directory with mmsegmentation 1.2, mmengine and mmcv-lite); without it the first way is
``plain``, which is rayseg without its compiled part. ``files`` reads the same files with it, ``arrow`` what ``rayseg data
convert`` makes of them, ``kept`` what ``data.cache`` gives from the second epoch on. All of these must give the same tensors
to the bit, and the same as resizing whole images and cutting
then. Everything is counted, normalisation and int64 labels too, in CPU time of one thread:

    python experiments/benchmarks/input.py --reference /path/to/packages --out input.json --png input.png
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from measuring import Row, arguments, finish, goal, result, rows_of, turns
from PIL import Image
from reference import mmseg

from rayseg.data import (
    ArrowSegmentation,
    Dataset,
    FolderSegmentation,
    KeptSegmentation,
    Photometric,
    RandomCrop,
    RandomFlip,
    RandomResize,
    SyntheticStreets,
    Transform,
    convert_split,
    keeping_place,
    normalize,
    pad_to,
    sample_of,
    train_batches,
)
from rayseg.data._native import plainly
from rayseg.types import Batch

#: Height, width, crop, images, samples in a turn.
CASES = {"2048x1024": (1024, 2048, (512, 1024), 12, 16), "480x360": (360, 480, (360, 480), 40, 60)}
SMOKE = {"smoke": (60, 80, (32, 48), 3, 3)}
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
CLASSES = SyntheticStreets("train", length=1).class_names
VOID = 255

Case = tuple[int, int, tuple[int, int], int, int]
Turn = Callable[[], list[tuple[torch.Tensor, torch.Tensor]]]


def write_images(root: Path, case: Case) -> None:
    """Street scenes with the grain of photographs, so that JPEGs have their size; masks as indices."""
    height, width, _, number, _ = case
    rng = np.random.default_rng(0)
    streets = SyntheticStreets("train", length=number, size=(height, width))
    for folder in ("train", "trainannot"):
        (root / folder).mkdir(parents=True)
    for index in range(number):
        sample = streets[index]
        grain = rng.normal(0, 3, (height, width, 1))
        image = np.clip(sample.image + grain, 0, 255).astype(np.uint8)
        Image.fromarray(image).save(root / "train" / f"{index:03}.jpg", quality=90)
        Image.fromarray(sample.mask).save(root / "trainannot" / f"{index:03}.png")


def recipe(case: Case, colours: bool) -> list[Transform]:
    """Of rayseg."""
    chain: list[Transform] = [RandomResize(), RandomCrop(size=case[2], cat_max_ratio=0.75), RandomFlip()]
    return [*chain, Photometric()] if colours else chain


def batches(dataset: Dataset, case: Case, colours: bool) -> Iterator[list[Batch]]:
    """Samples one by one, as training gets them."""
    return train_batches(
        dataset,
        recipe(case, colours),
        seed=0,
        batch_size=1,
        num_micro=1,
        start_step=0,
        stop_step=case[4],
        rank=0,
        world_size=1,
        num_classes=len(CLASSES),
        ignore_index=VOID,
        mean=MEAN,
        std=STD,
        pad_size=case[2],
    )


def ours(dataset: Dataset, case: Case, colours: bool) -> Turn:
    """Tensors of a turn."""
    return lambda: [(batch.images, batch.masks) for (batch,) in batches(dataset, case, colours)]


def plain(dataset: Dataset, case: Case, colours: bool) -> Turn:
    """The same without the compiled part."""

    def turn() -> list[tuple[torch.Tensor, torch.Tensor]]:
        with plainly():
            return ours(dataset, case, colours)()

    return turn


def whole(dataset: Dataset, case: Case, colours: bool) -> Turn:
    """What should come out: every transform on the whole decoded sample, one after the other."""

    def one(key: int) -> tuple[torch.Tensor, torch.Tensor]:
        index, rng = sample_of(0, key, len(dataset))
        sample = dataset[index]
        for transform in recipe(case, colours):
            sample = transform(sample, rng)
        image, mask = pad_to(normalize(sample.image, MEAN, STD), sample.mask, case[2], VOID)
        return torch.from_numpy(image)[None], torch.from_numpy(mask.astype(np.int64))[None]

    def turn() -> list[tuple[torch.Tensor, torch.Tensor]]:
        with plainly():
            return [one(key) for key in range(case[4])]

    return turn


def of_mmseg(root: Path, case: Case, colours: bool, reference: str) -> Turn:
    """MMSegmentation's pipeline and its preprocessor, over the same images in the same order."""
    transforms = mmseg(reference, "mmseg.datasets.transforms"), mmseg(reference, "mmcv.transforms")
    registry, scope = mmseg(reference, "mmseg.registry"), mmseg(reference, "mmengine.registry")
    assert transforms
    scope.init_default_scope("mmseg")
    size = {"size": case[2], "seg_pad_val": VOID}
    steps: list[dict[str, Any]] = [
        {"type": "LoadImageFromFile"},
        {"type": "LoadAnnotations"},
        {"type": "RandomResize", "scale": (case[1], case[0]), "ratio_range": (0.5, 2.0), "keep_ratio": True},
        {"type": "RandomCrop", "crop_size": case[2], "cat_max_ratio": 0.75},
        {"type": "RandomFlip", "prob": 0.5},
        *([{"type": "PhotoMetricDistortion"}] if colours else []),
        {"type": "PackSegInputs"},
    ]
    chain = [registry.TRANSFORMS.build(step) for step in steps]
    models = mmseg(reference, "mmseg.models.data_preprocessor")
    preprocessor = models.SegDataPreProcessor(mean=MEAN, std=STD, bgr_to_rgb=True, **size)
    random.seed(0)
    np.random.seed(0)  # noqa: NPY002  of which MMSegmentation draws

    def one(key: int) -> tuple[torch.Tensor, torch.Tensor]:
        index, _ = sample_of(0, key, case[3])
        paths = (root / "train" / f"{index:03}.jpg", root / "trainannot" / f"{index:03}.png")
        found: Any = {"img_path": str(paths[0]), "seg_map_path": str(paths[1]), "reduce_zero_label": False}
        found |= {"label_map": None, "seg_fields": []}
        for step in chain:
            found = step(found)
        ready = preprocessor({"inputs": [found["inputs"]], "data_samples": [found["data_samples"]]}, training=True)
        return ready["inputs"], ready["data_samples"][0].gt_sem_seg.data

    return lambda: [one(key) for key in range(case[4])]


def agree(found: dict[str, list[tuple[torch.Tensor, torch.Tensor]]]) -> None:
    """To the bit."""
    first = next(iter(found))
    for way, pairs in found.items():
        for (image, mask), (expected, labels) in zip(pairs, found[first], strict=True):
            assert torch.equal(image, expected), f"{way}: other pixels than {first}"
            assert torch.equal(mask, labels), f"{way}: other labels than {first}"


def measured(name: str, case: Case, reference: str | None, rounds: int) -> list[Row]:
    """A row for each way, with and without colours."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as folder, keeping_place() as place:
        root = Path(folder)
        write_images(root / "files", case)
        files = FolderSegmentation("train", root=str(root / "files"), classes=CLASSES, image_suffix=".jpg", mask_suffix=".png")
        convert_split(files, "train", root / "arrow", form="arrow")
        arrow = ArrowSegmentation("train", path=str(root / "arrow"))
        kept = KeptSegmentation(files, place, "kept", num_classes=len(CLASSES), ignore_index=VOID)
        assert all(kept[index].name == files[index].name for index in range(len(files)))
        for colours in (True, False):
            own = (case, colours)
            same = {"whole": whole(files, *own), "plain": plain(files, *own)}
            same |= {"files": ours(files, *own), "arrow": ours(arrow, *own), "kept": ours(kept, *own)}
            agree({way: turn() for way, turn in same.items()})
            del same["whole"]
            ways = {"mmseg": of_mmseg(root / "files", *own, reference), **same} if reference else same
            if reference:
                shapes = {tuple(each.shape) for pair in ways["mmseg"]() for each in pair}
                assert shapes == {(1, 3, *case[2]), (1, *case[2])}, shapes
            taken = turns(ways, rounds, {"files": 2, "arrow": 2, "kept": 2})
            for row in rows_of(name if colours else f"{name}, colours off", taken):
                rate = 1e3 * case[4] / row["cpu_ms"]
                row["cpu_ms"], row["wall_ms"] = row["cpu_ms"] / case[4], row["wall_ms"] / case[4]
                rows.append({**row, "images_per_core_second": rate})
    return rows


LEAST = {"2048x1024": (3.8, 4.5), "480x360": (2.8, 4.5)}


def goals(rows: list[Row]) -> list[dict[str, Any]]:
    """Against MMSegmentation, where that was there."""
    found = []
    for row in rows:
        if row["way"] == "arrow" and row["case"] in LEAST and rows[0]["way"] == "mmseg":
            what = f"input, {row['case']}: Arrow against MMSegmentation, images a second and core"
            found += [goal(what, row["cpu_ratio"][1], least=least) for least in LEAST[row["case"]]]
    return found


def main() -> None:
    """Measure, and write what was found."""
    options = arguments(__doc__).parse_args()
    torch.set_num_threads(1)
    rows = []
    for name, case in (SMOKE if options.smoke else CASES).items():
        rows += measured(name, case, options.reference, 1 if options.smoke else options.rounds)
    finish(result("input", rows, goals(rows)), options)


if __name__ == "__main__":
    main()
