"""``rayseg data convert``: the data set of a config as Parquet or as memory-mapped Arrow."""

from __future__ import annotations

import sys
from argparse import Namespace
from pathlib import Path

from rayseg.build.data import open_split, palette_of
from rayseg.build.resolve import Problems
from rayseg.cli.loading import loaded
from rayseg.cli.output import say, table
from rayseg.data import Progress, convert_split
from rayseg.errors import ConfigError, Problem

__all__ = ["run"]

_MB = 1e6


def run(args: Namespace) -> int:
    """Convert each split; what is there already, with the right checksum, is kept.

    Raises:
        ConfigError: with every fault of the data, or of the words.
        DataError: a sample is not what the config says, or the directory holds another conversion.
    """
    if args.images_per_file < 1:
        message = f"must be 1 or more, got {args.images_per_file}"
        raise ConfigError([Problem("--images-per-file", message)], "the command line")
    config = loaded(args)
    out = Path(args.out).expanduser()
    rows = [["split", "images", "files", "kept", "MB"]]
    for split in dict.fromkeys(args.split or (config.data.train_split, config.data.val_split)):
        dataset, names = open_split(config, split)
        done = convert_split(
            dataset,
            split,
            out,
            form=args.format,
            ignore_index=config.data.ignore_index,
            class_names=names,
            palette=palette_of(config, dataset, names, Problems()),
            images_per_file=args.images_per_file,
            num_workers=config.data.num_workers or None,
            on_progress=Progress(f"{split} images", sys.stderr),
        )
        rows.append([split, f"{done.images:,}", str(len(done.files)), str(done.num_kept), f"{done.num_bytes / _MB:,.1f}"])
    say(table(rows))
    say(f"\nto use them: data.dataset={{type: {args.format}, path: {out}}}")
    return 0
