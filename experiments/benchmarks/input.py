"""What a training sample costs, from its file to the normalised tensor: images a second and core.

The recipe is that of most configs of MMSegmentation: decode, resize by 0.5 to 2, crop (no class fills three quarters of it),
flip, change the colours, normalise, pad. ``mmseg`` is MMSegmentation's own transforms and its preprocessor over JPEG and PNG
files (``--reference DIR`` names a directory with mmsegmentation 1.2, mmengine and mmcv-lite); without it the first way is
``plain``, which is rayseg without its compiled part. ``files`` reads the same files with it, ``arrow`` what ``rayseg data
convert`` makes of them, ``kept`` what ``data.cache`` gives from the second epoch on; these give the same tensors to the bit,
which are those of resizing whole images and cutting then. ``affine`` is ``arrow`` with ``data.colours: affine``, whose
colours are others; its device is the CPU here, and counted. Everything is counted, normalisation and int64 labels too, in CPU
time of one thread; a batch is let go before the next is made, as in training:

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

#: Height, width, crop, images, samples in a turn, samples in a batch.
CASES = {
    "2048x1024": (1024, 2048, (512, 1024), 12, 32, 1),
    "2048x1024, batches of 8": (1024, 2048, (512, 1024), 12, 32, 8),
    "480x360": (360, 480, (360, 480), 40, 60, 1),
}
SMOKE = {"smoke": (60, 80, (32, 48), 3, 4, 2)}
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
CLASSES = SyntheticStreets("train", length=1).class_names
VOID = 255

Case = tuple[int, int, tuple[int, int], int, int, int]
Pairs = Iterator[tuple[torch.Tensor, torch.Tensor]]
Way = Callable[[], Pairs]


def write_images(root: Path, case: Case) -> None:
    """Street scenes with the grain of photographs, so that JPEGs have their size; masks as indices."""
    height, width, _, number, *_ = case
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


def batches(dataset: Dataset, case: Case, colours: bool, affine: bool) -> Iterator[list[Batch]]:
    """As training gets them."""
    return train_batches(
        dataset,
        recipe(case, colours),
        seed=0,
        batch_size=case[5],
        num_micro=1,
        start_step=0,
        stop_step=case[4] // case[5],
        rank=0,
        world_size=1,
        num_classes=len(CLASSES),
        ignore_index=VOID,
        mean=MEAN,
        std=STD,
        pad_size=case[2],
        affine_colours=affine,
    )


def ours(dataset: Dataset, case: Case, colours: bool, affine: bool = False) -> Way:
    """Tensors of a turn, batch by batch."""
    return lambda: ((batch.images, batch.masks) for (batch,) in batches(dataset, case, colours, affine))


def plain(dataset: Dataset, case: Case, colours: bool, affine: bool = False) -> Way:
    """The same without the compiled part."""

    def turn() -> Pairs:
        with plainly():
            yield from ours(dataset, case, colours, affine)()

    return turn


def whole(dataset: Dataset, case: Case, colours: bool) -> Way:
    """What should come out: every transform on the whole decoded sample, one after the other."""

    def one(key: int) -> tuple[torch.Tensor, torch.Tensor]:
        index, rng = sample_of(0, key, len(dataset))
        sample = dataset[index]
        for transform in recipe(case, colours):
            sample = transform(sample, rng)
        image, mask = pad_to(normalize(sample.image, MEAN, STD), sample.mask, case[2], VOID)
        return torch.from_numpy(image)[None], torch.from_numpy(mask.astype(np.int64))[None]

    def turn() -> Pairs:
        with plainly():
            yield from (one(key) for key in range(case[4]))

    return turn


def of_mmseg(root: Path, case: Case, colours: bool, reference: str) -> Way:
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

    def transformed(key: int) -> Any:
        index, _ = sample_of(0, key, case[3])
        paths = (root / "train" / f"{index:03}.jpg", root / "trainannot" / f"{index:03}.png")
        found: Any = {"img_path": str(paths[0]), "seg_map_path": str(paths[1]), "reduce_zero_label": False}
        found |= {"label_map": None, "seg_fields": []}
        for step in chain:
            found = step(found)
        return found

    def batch(first: int) -> tuple[torch.Tensor, torch.Tensor]:
        found = [transformed(key) for key in range(first, first + case[5])]
        packed = {name: [each[name] for each in found] for name in ("inputs", "data_samples")}
        ready = preprocessor(packed, training=True)
        return ready["inputs"], torch.stack([each.gt_sem_seg.data[0] for each in ready["data_samples"]])

    return lambda: map(batch, range(0, case[4], case[5]))


def agree(ways: dict[str, Way], *, atol: float = 0) -> None:
    """To the bit, or nearly; batches hold the samples of the first way, which has one at a time, in order."""
    first, *others = ways
    expected = list(ways[first]())
    for way in others:
        found = [sample for images, masks in ways[way]() for sample in zip(images, masks, strict=True)]
        for (image, mask), (pixels, labels) in zip(found, expected, strict=True):
            same = torch.equal(image, pixels[0]) if atol == 0 else torch.allclose(image, pixels[0], rtol=0, atol=atol)
            assert same, f"{way}: other pixels than {first}"
            assert torch.equal(mask, labels[0]), f"{way}: other labels than {first}"


def spent(way: Way) -> Callable[[], None]:
    """All batches of a turn, each let go before the next is made."""

    def run() -> None:
        for _ in way():
            pass

    return run


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
        for colours in (True, False) if case[5] == 1 else (True,):
            own = (case, colours)
            same = {
                "plain": plain(files, *own),
                "files": ours(files, *own),
                "arrow": ours(arrow, *own),
                "kept": ours(kept, *own),
            }
            agree({"whole": whole(files, *own), **same})
            ways = {"mmseg": of_mmseg(root / "files", *own, reference), **same} if reference else same
            if reference:
                shapes = {tuple(each.shape) for pair in ways["mmseg"]() for each in pair}
                assert shapes == {(case[5], 3, *case[2]), (case[5], *case[2])}, shapes
            if colours:
                one = (*case[:5], 1)
                agree({"plain": plain(arrow, one, True, True), "affine": ours(arrow, *own, True)}, atol=1e-4)
                ways["affine"] = ours(arrow, *own, True)
            taken = turns({way: spent(each) for way, each in ways.items()}, rounds)
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
