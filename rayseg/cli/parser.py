"""The words of the command line, and what each of them takes. Nothing heavy is imported here."""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from types import MappingProxyType

from rayseg import __version__
from rayseg.cli.grammar import Command, arguments_of, chooser

__all__ = ["COMMANDS", "parse"]

_OVERRIDES = "key=value"


def _overrides(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("overrides", nargs="*", metavar=_OVERRIDES, help="such as optim.lr=0.02; the values are YAML")


def _foreign(parser: argparse.ArgumentParser) -> None:
    foreign = parser.add_argument_group("configs of MMSegmentation")
    foreign.add_argument("--cfg-options", nargs="+", default=[], metavar="KEY=VALUE", help="its own keys, over its file")
    foreign.add_argument("--not-strict", action="store_true", help="warn of what cannot be carried over, and leave it out")


def _config(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", metavar="CONFIG", help="a .yaml, .json, .toml or .py file")
    _overrides(parser)
    _foreign(parser)


def _show(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("words", nargs="*", metavar=f"CONFIG {_OVERRIDES}", help="without CONFIG the defaults")
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--yaml", action="store_true", help="the whole config as a file that runs as it is; always so for MMSegmentation's"
    )
    form.add_argument("--init", action="store_true", help="which weights the run would start from, every name")
    form.add_argument("--groups", action="store_true", help="parameter groups: rates, decay, settings, every parameter's name")
    form.add_argument("--schedule", action="store_true", help="learning rate and momentum over the run, as a plot")
    form.add_argument("--schema", action="store_true", help="the JSON Schema of config files, for editors")
    parser.add_argument("--png", metavar="PATH", help="with --schedule: also as a picture")
    _foreign(parser)


def _train(parser: argparse.ArgumentParser) -> None:
    _config(parser)
    parser.add_argument("--schedule", metavar="FILE", help="recipes by step, such as the schedule.yaml of a population")


def _sweep(parser: argparse.ArgumentParser) -> None:
    _config(parser)
    parser.add_argument("--space", required=True, metavar="FILE", help="such as {optim.lr: {log_uniform: [1e-4, 1e-2]}}")
    parser.add_argument("--samples", type=int, metavar="N", help="trials besides the baseline; default: 8, 200 with a budget")
    parser.add_argument("--time-budget", metavar="TIME", help="of all trials, such as 30m or 2h; a larger one goes on")
    parser.add_argument("--gpu-hours", type=float, metavar="H", help="of all trials together; of workers where there is no GPU")
    parser.add_argument("--searcher", choices=("random", "grid", "optuna", "gp"), default="random", help="default random")
    parser.add_argument("--warm-start", nargs="+", default=[], metavar="SWEEP", help="earlier searches that optuna learns from")
    parser.add_argument("--metric", metavar="NAME", nargs="+", help="to compare by; default: checkpoint.best of the config")
    parser.add_argument("--mode", choices=("max", "min"), nargs="+", help="default: checkpoint.mode of the config")
    parser.add_argument("--concurrent", type=int, metavar="N", help="trials at a time; default: as many as fit")
    ends = parser.add_mutually_exclusive_group()
    ends.add_argument("--no-early-stop", action="store_true", help="run every trial to its end")
    ends.add_argument(
        "--scheduler", choices=("asha", "median", "pbt", "pb2"), default="asha", help="pbt, pb2: a population (default asha)"
    )
    parser.add_argument(
        "--grace-steps", type=int, metavar="STEPS", help="no trial is ended before (default: a fifth of the run)"
    )
    parser.add_argument("--perturb-every", type=int, metavar="STEPS", help="between comparisons of a population")
    parser.add_argument("--quantile", type=float, metavar="Q", help="share of a population that is replaced (default 0.25)")
    parser.add_argument("--resample", type=float, metavar="P", help="how often pbt draws a value anew (default 0.25)")
    parser.add_argument("--confirm", type=int, metavar="TOP", help="then train so many recipes again: rayseg confirm")
    parser.add_argument("--register", metavar="NAME[@ALIAS]", help="then register the winner, if it is better: rayseg register")


def _confirm(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweep", metavar="SWEEP", help="the directory of a sweep that has ended, such as runs/recipes")
    parser.add_argument("--top", type=int, default=2, metavar="N", help="recipes beside the baseline (default 2)")
    parser.add_argument("--seeds", type=int, default=5, metavar="N", help="of every recipe (default 5)")
    parser.add_argument("--max-seeds", type=int, default=10, metavar="N", help="of any recipe (default 10)")
    parser.add_argument(
        "--smallest", type=float, default=0.005, metavar="D", help="a difference that matters (default 0.005: half a point)"
    )
    parser.add_argument("--concurrent", type=int, metavar="N", help="runs at a time; default: as many as fit")


def _report(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("sweep", metavar="SWEEP", help="the directory of a sweep that has ended, such as runs/recipes")


def _checkpoint(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("checkpoint", metavar="CHECKPOINT", help="a directory, such as runs/NAME/checkpoints/step_00000300")


def _adopt(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("config", metavar="CONFIG", help="of the network, such as MMSegmentation's .py file")
    parser.add_argument("weights", metavar="WEIGHTS", help="such as its .pth file")
    _overrides(parser)
    parser.add_argument("--out", required=True, metavar="DIR", help="for the checkpoint")
    _foreign(parser)


def _eval(parser: argparse.ArgumentParser) -> None:
    _checkpoint(parser)
    _overrides(parser)
    parser.add_argument("--split", metavar="NAME", help="val, test, ...; default: data.val_split of the config")
    parser.add_argument("--workers", type=int, default=0, metavar="N", help="of Ray, which share the images; default: none")
    parser.add_argument("--all", action="store_true", help="every metric, that of borders too; default: eval.metrics")
    parser.add_argument("--json", action="store_true", help="as JSON, for programs")


def _predict(parser: argparse.ArgumentParser) -> None:
    _checkpoint(parser)
    parser.add_argument("images", nargs="+", metavar="IMAGES", help="pictures, videos, or folders of them")
    parser.epilog = "Among IMAGES also key=value, such as eval.tta.flip=true: how the model is asked."
    parser.add_argument(
        "--out", required=True, metavar="DIR", help="for the masks: palette PNGs whose values are class indices"
    )
    parser.add_argument("--overlay", action="store_true", help="also NAME_overlay.png, or .mp4: the classes over the picture")
    parser.add_argument("--legend", action="store_true", help="with --overlay: names and colours of the classes below")


def _export(parser: argparse.ArgumentParser) -> None:
    _checkpoint(parser)
    _overrides(parser)
    parser.add_argument("--output", "--out", required=True, metavar="FILE", help="such as street.onnx or street.pt2")
    parser.add_argument(
        "--format",
        choices=("onnx", "torch_export", "mmseg", "state_dict"),
        help="programs, or weights as MMSegmentation or torch lays them out; default: by the suffix, .onnx or .pt2",
    )
    program = parser.add_argument_group("programs: images (N, 3, H, W) float32 RGB 0-255 to one tensor")
    program.add_argument(
        "--returns", choices=("logits", "probabilities", "classes"), help="of every pixel of the image (default logits)"
    )
    program.add_argument(
        "--size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"), help="one size, px; default: as many as the network permits"
    )
    program.add_argument(
        "--images", nargs="+", default=[], metavar="IMAGES", help="on which it is checked; default: of the validation split"
    )
    program.add_argument(
        "--tolerance",
        type=float,
        metavar="SHARE",
        help="largest difference from the model, of the largest value (default 0.001)",
    )


def _data_stats(parser: argparse.ArgumentParser) -> None:
    _config(parser)
    parser.add_argument(
        "--split", action="append", metavar="NAME", help="may be given more than once; default: those to train and to validate"
    )
    parser.add_argument("--json", action="store_true", help="as JSON, for programs")


def _data_preview(parser: argparse.ArgumentParser) -> None:
    _config(parser)
    parser.add_argument("--out", default="preview.png", metavar="PNG", help="default preview.png")
    parser.add_argument("--split", metavar="NAME", help="default: the training split, as training sees it; others as they are")
    parser.add_argument("--samples", type=int, default=12, metavar="N", help="default 12")
    parser.add_argument("--first", type=int, default=0, metavar="K", help="number of the first sample of the run (default 0)")
    parser.add_argument("--columns", type=int, default=3, metavar="N", help="samples side by side (default 3)")
    parser.add_argument("--tile", type=int, default=256, metavar="PX", help="longest side of a picture (default 256)")
    parser.add_argument("--raw", action="store_true", help="without data.transforms")


def _data_convert(parser: argparse.ArgumentParser) -> None:
    _config(parser)
    parser.add_argument("--out", required=True, metavar="DIR", help="for the files; a conversion that was interrupted goes on")
    parser.add_argument(
        "--format", choices=("parquet", "arrow"), default="parquet", help="to exchange, or to train from (default parquet)"
    )
    parser.add_argument(
        "--split", action="append", metavar="NAME", help="may be given more than once; default: those to train and to validate"
    )
    parser.add_argument("--images-per-file", type=int, default=512, metavar="N", help="default 512")


#: Second words of ``rayseg data``.
_DATA: Mapping[str, Command] = MappingProxyType(
    {
        "stats": Command("labels of each split, and the class weights that each rule makes of them", _data_stats),
        "preview": Command("a picture of samples as training sees them, with their labels and a legend", _data_preview),
        "convert": Command("the data set as Parquet or as memory-mapped Arrow", _data_convert),
    }
)


def _store(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--storage", default="runs", metavar="DIR", help="tracking.storage of the runs (default runs)")
    parser.add_argument("--uri", metavar="URI", help="of the MLflow store; default: MLFLOW_TRACKING_URI, else mlflow.db in DIR")


def _ui(parser: argparse.ArgumentParser) -> None:
    _store(parser)
    parser.add_argument("--port", type=int, default=5000, metavar="N", help="default 5000")


def _register(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("place", metavar="DIR", help="of a search that has ended, a run, or a checkpoint")
    parser.add_argument("name", metavar="NAME[@ALIAS]", help="of the registered model, such as streets@champion")
    parser.add_argument("--uri", metavar="URI", help="of the MLflow store; default: the one in which the run was recorded")
    parser.add_argument(
        "--size", type=int, nargs=2, metavar=("HEIGHT", "WIDTH"), help="one size, px; default: as many as the network permits"
    )


def _doctor(parser: argparse.ArgumentParser) -> None:
    _store(parser)
    parser.add_argument("--fix", action="store_true", help="close open runs whose process is dead")


#: Every command, in the order of ``rayseg --help``.
COMMANDS: Mapping[str, Command] = MappingProxyType(
    {
        "check": Command("every problem of a config, at once, before anything starts", _config),
        "show": Command("every effective value of a config and where it came from", _show),
        "train": Command("train one experiment", _train),
        "sweep": Command("search recipes around an experiment", _sweep),
        "confirm": Command("train a sweep's best recipes again over paired seeds, and say what is better", _confirm),
        "report": Command("make the page of a sweep again, from what the sweep wrote", _report),
        "adopt": Command("weights trained elsewhere as a checkpoint, for eval, predict and export", _adopt),
        "eval": Command("scores of a checkpoint over a split", _eval),
        "predict": Command("masks of pictures and videos", _predict),
        "export": Command("a checkpoint for other programs: ONNX, torch.export, MMSegmentation's layout", _export),
        "register": Command("the winner of a search, or a run's best, as a model in MLflow's registry", _register),
        "data": Command("look at the data of a config: stats, preview, convert", actions=_DATA),
        "ui": Command("MLflow's pages on the store of the runs; Ctrl-C ends them", _ui),
        "doctor": Command("what is wrong with this installation, and what to do", _doctor),
    }
)


def parse(words: Sequence[str]) -> argparse.Namespace:
    """Arguments of one command, whose name is ``command``.

    Options may stand anywhere after the command. Abbreviations are off.

    Args:
        words: as the shell gives them.

    Raises:
        SystemExit: after ``--help`` and ``--version`` (0); with an unknown word (2), after saying so on stderr.

    Example:
        >>> args = parse(["eval", "runs/a/checkpoints/step_00000300", "--split", "test", "data.num_workers=2"])
        >>> args.command, args.split, args.overrides
        ('eval', 'test', ['data.num_workers=2'])
    """
    top = chooser("rayseg", "Distributed semantic-segmentation training and recipe search on Ray.", COMMANDS)
    top.usage = "rayseg COMMAND ... | --help | --version"
    top.add_argument("--version", action="version", version=f"rayseg {__version__}")
    found = top.parse_args(words)
    return arguments_of(COMMANDS[found.command], (found.command,), found.rest)
