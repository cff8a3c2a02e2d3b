"""A data set written as torchvision's are."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

__all__ = ["Pairs"]


class Pairs:
    """PNGs below ``split`` and their masks below ``splitannot``; without lists of files."""

    def __init__(self, root: str, split: str = "train", transform: None = None) -> None:
        assert transform is None
        self._pairs = [(path, Path(root, f"{split}annot", path.name)) for path in sorted(Path(root, split).glob("*.png"))]

    def __len__(self) -> int:
        return len(self._pairs)

    def __getitem__(self, index: int) -> tuple[Image.Image, Image.Image]:
        image, mask = (Image.open(path) for path in self._pairs[index])
        return image, mask
