"""Datasets, joint transforms, the sample stream, loaders and label counts.

::

    dataset[index] -> Sample      synthetic, synthetic_vessels, parquet, arrow, folders, torchvision, concat, or your own
    transforms                    (sample, rng) -> sample, on uint8
    picture, view                 what is not decoded yet, and which part of it, at which scale, is wanted
    stream                        which sample is the k-th of a run, and whose it is
    loader                        batches of one worker: check, transforms, normalise, pad, stack
    kept                          decoded samples in memory that processes share
    counts                        how often each class occurs
    convert                       any data set to Parquet or memory-mapped Arrow
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from rayseg.data._cache import cache_directory
from rayseg.data._layouts import LAYOUTS, colours_of
from rayseg.data._progress import Progress
from rayseg.data.arrow import ArrowSegmentation
from rayseg.data.concat import ConcatSegmentation
from rayseg.data.convert import Converted, Format, convert_split
from rayseg.data.counts import LabelCounts, count_labels
from rayseg.data.dataset import Dataset, Palette, check_sample
from rayseg.data.folders import FolderSegmentation
from rayseg.data.kept import KeptSegmentation
from rayseg.data.labels import label_table
from rayseg.data.loader import eval_batches, train_batches, training_sample
from rayseg.data.parquet import ParquetSegmentation
from rayseg.data.photometric import Photometric
from rayseg.data.picture import Decoded, Picture, encoded_picture, picture_of
from rayseg.data.pixels import normalize, pad_to
from rayseg.data.stream import micro_batches, permutation, sample_of, step_keys, steps_of
from rayseg.data.synthetic import SyntheticStreets
from rayseg.data.torchvision_datasets import TorchvisionSegmentation
from rayseg.data.transforms import TRANSFORMS, RandomCrop, RandomFlip, RandomResize, Transform, asks_for_pixels, transformed
from rayseg.data.vessels import SyntheticVessels
from rayseg.data.video import VIDEOS, frame_rate, require_video, video_frames, video_writer
from rayseg.data.view import View
from rayseg.keeping import KeepingPlace, keeping_place, keeping_room, kept_bytes

__all__ = [
    "DATASETS",
    "LAYOUTS",
    "TRANSFORMS",
    "VIDEOS",
    "ArrowSegmentation",
    "ConcatSegmentation",
    "Converted",
    "Dataset",
    "Decoded",
    "FolderSegmentation",
    "Format",
    "KeepingPlace",
    "KeptSegmentation",
    "LabelCounts",
    "Palette",
    "ParquetSegmentation",
    "Photometric",
    "Picture",
    "Progress",
    "RandomCrop",
    "RandomFlip",
    "RandomResize",
    "SyntheticStreets",
    "SyntheticVessels",
    "TorchvisionSegmentation",
    "Transform",
    "View",
    "asks_for_pixels",
    "cache_directory",
    "check_sample",
    "colours_of",
    "convert_split",
    "count_labels",
    "encoded_picture",
    "eval_batches",
    "frame_rate",
    "keeping_place",
    "keeping_room",
    "kept_bytes",
    "label_table",
    "micro_batches",
    "normalize",
    "pad_to",
    "permutation",
    "picture_of",
    "require_video",
    "sample_of",
    "step_keys",
    "steps_of",
    "train_batches",
    "training_sample",
    "transformed",
    "video_frames",
    "video_writer",
]

#: Built-in datasets by the names that a config uses; each is called as ``(split, **own)``.
DATASETS: Mapping[str, Callable[..., Dataset]] = {
    "arrow": ArrowSegmentation,
    "concat": ConcatSegmentation,
    "folders": FolderSegmentation,
    "parquet": ParquetSegmentation,
    "synthetic": SyntheticStreets,
    "synthetic_vessels": SyntheticVessels,
    "torchvision": TorchvisionSegmentation,
}
