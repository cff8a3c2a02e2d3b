"""What is left of the input for a GPU: bytes of pixels to normalised images there, beside the floor of what that must move.

``copied`` sends the bytes of a batch from pinned memory and does nothing else; ``batch`` is what rayseg does with them: labels
to int64, images normalised and padded; ``colours`` with a change of colours of each image's own, as one affine map;
``torchvision`` is as ``batch``, by its transforms ``v2``. ``floor`` is what reading four bytes of a pixel and writing three
numbers and a label takes at the bandwidth of a large copy in the same run; ``floors`` how many times as long a way takes, less
the copy from the host:

    python experiments/benchmarks/input_cuda.py --out experiments/benchmarks/results/input_cuda.json

Without a card ``--smoke`` runs a tiny case on the CPU.
"""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import torch
from card import bytes_per_ms, rows_of_turns, turns_on
from measuring import Row, arguments, finish, goal, result
from torch import Tensor

from rayseg.data.delivery import Parcel, Recipient

#: Images, height, width.
CASES, SMOKE = {"streets": (8, 512, 1024), "camvid": (16, 360, 480)}, {"smoke": (2, 16, 24)}
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)
MOST, TOLERANCE = 1.5, 1e-5


def parcel_of(case: tuple[int, int, int]) -> Parcel:
    """Noise."""
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (case[0], 3, *case[1:]), generator=generator, dtype=torch.uint8)
    masks = torch.randint(0, 19, case, generator=generator, dtype=torch.uint8)
    return Parcel(images, masks, torch.tensor([case[1:]] * case[0]), torch.arange(case[0]))


def torchvisions(pixels: Tensor) -> Tensor:
    """Its transforms, of bytes ``(N, 3, H, W)`` on the device."""
    functional = import_module("torchvision.transforms.v2.functional")
    scaled = functional.to_dtype(pixels, torch.float32, scale=True)
    found: Tensor = functional.normalize(scaled, [each / 255 for each in MEAN], [each / 255 for each in STD])
    return found


def rows(case: str, parcel: Parcel, device: torch.device, rounds: int) -> list[Row]:
    """A row for each way, ratios to torchvision's; all take turns."""
    recipient = Recipient(MEAN, STD, device)
    sent = Parcel(*(each.pin_memory() for each in parcel)) if device.type == "cuda" else parcel

    def copied() -> list[Tensor]:
        return [each.to(device, non_blocking=True) for each in sent]

    def peer() -> tuple[Tensor, Tensor]:
        pixels, masks, *_ = copied()
        return torchvisions(pixels), masks.long()

    twisted = sent._replace(twists=torch.eye(3, 4).expand(len(parcel.images), 3, 4).contiguous())
    ways: dict[str, Callable[[], object]] = {"torchvision": peer, "copied": copied}
    ways |= {"batch": lambda: recipient.batch(sent), "colours": lambda: recipient.batch(twisted)}
    torch.testing.assert_close(recipient.batch(twisted).images, peer()[0], rtol=TOLERANCE, atol=TOLERANCE)
    torch.testing.assert_close(recipient.batch(sent).images, peer()[0], rtol=TOLERANCE, atol=TOLERANCE)
    pixels, width = parcel.masks.numel(), recipient.batch(sent).images.element_size()
    floor_ms = pixels * (3 + 3 * width + 1 + 8) / bytes_per_ms(device)
    found = rows_of_turns(case, turns_on(device, ways, rounds), {}, floor_ms)
    copied_ms = next(row["gpu_ms"] for row in found if row["way"] == "copied")
    return [{**row, "floors": (row["gpu_ms"] - copied_ms) / floor_ms} for row in found]


def main() -> None:
    """Measure, and write what was found."""
    options = arguments(__doc__).parse_args()
    if not torch.cuda.is_available() and not options.smoke:
        raise SystemExit("no CUDA device; --smoke runs a tiny case on the CPU")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    found: list[Row] = []
    for name, case in (SMOKE if options.smoke else CASES).items():
        found += rows(name, parcel_of(case), device, 1 if options.smoke else options.rounds)
    reached = [
        goal(f"input on a GPU, {row['case']}: bytes to images ({row['way']}) over what must be moved", row["floors"], most=MOST)
        for row in found
        if row["way"] in {"batch", "colours"} and device.type == "cuda" and not options.smoke
    ]
    finish(result("input_cuda", found, reached, device.type), options, what=("gpu_ratio",))


if __name__ == "__main__":
    main()
