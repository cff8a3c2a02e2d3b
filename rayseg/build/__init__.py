"""Config to objects, and every complaint about a config."""

from rayseg.build.adopting import adopt
from rayseg.build.applied import applied_values, check_applied
from rayseg.build.check import check, hidden_arguments, worker_counts
from rayseg.build.class_weights import read_weight_files, with_weight_files
from rayseg.build.counting import counts_of, same_labels
from rayseg.build.data import data_digests, open_split
from rayseg.build.experiment import Evaluator, Experiment, assemble, pick_device
from rayseg.build.exporting import Exported, export
from rayseg.build.image_scores import ImageScores, evaluate_images
from rayseg.build.keeping import keeping
from rayseg.build.lengths import plan_of
from rayseg.build.measuring import Decision, decide
from rayseg.build.parts import Components
from rayseg.build.settings import torch_settings
from rayseg.build.speed import open_choices
from rayseg.build.start import Start
from rayseg.build.trained import Trained, evaluate, load_trained, predict, trained_config

__all__ = [
    "Components",
    "Decision",
    "Evaluator",
    "Experiment",
    "Exported",
    "ImageScores",
    "Start",
    "Trained",
    "adopt",
    "applied_values",
    "assemble",
    "check",
    "check_applied",
    "counts_of",
    "data_digests",
    "decide",
    "evaluate",
    "evaluate_images",
    "export",
    "hidden_arguments",
    "keeping",
    "load_trained",
    "open_choices",
    "open_split",
    "pick_device",
    "plan_of",
    "predict",
    "read_weight_files",
    "same_labels",
    "torch_settings",
    "trained_config",
    "with_weight_files",
    "worker_counts",
]
