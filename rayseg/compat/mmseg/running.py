"""Lengths, evaluation, checkpoints, records, seeds."""

from __future__ import annotations

import math

from rayseg.compat.mmseg.clocks import Length, length
from rayseg.compat.mmseg.hooks import hook
from rayseg.compat.mmseg.sections import Section

__all__ = ["run_length", "running"]

_METRICS = ("mIoU", "mDice", "mFscore")
_RUNNERS = ("IterBasedRunner", "EpochBasedRunner", "IterBasedTrainLoop", "EpochBasedTrainLoop")
_SILENT_HOOKS = {
    "DistSamplerSeedHook", "IterTimerHook", "ParamSchedulerHook", "RuntimeInfoHook", "SegVisualizationHook", "SyncBuffersHook",
}  # fmt: skip


def run_length(root: Section) -> tuple[Length | None, bool]:
    """Length of the run, and whether it counts epochs; the sections that say so count as read.

    Example:
        >>> from rayseg.compat.mmseg.sections import Report
        >>> run_length(Section({"runner": {"type": "IterBasedRunner", "max_iters": 40000}}, "", Report("0.x")))
        (40000, False)
    """
    runner = root.section("train_cfg" if root.report.generation == "1.x" else "runner")
    kind = str(runner.values.get("type", ""))
    every = runner.take("val_interval")
    by_epoch = "Epoch" in kind or runner.take("by_epoch", False)
    total = runner.take("max_epochs", root.take("total_epochs")) if by_epoch or "max_epochs" in runner else None
    by_epoch = by_epoch or total is not None
    total = runner.take("max_iters", root.take("total_iters")) if total is None else total
    if every is not None:
        root.report.config["eval.every"] = length(every, by_epoch)
    if runner.take("val_begin", 1) != 1:
        runner.lose("val_begin", "evaluations have no beginning of their own; remove it", "eval.every")
    runner.expect("type", _RUNNERS, "is not carried; write train.steps or train.epochs", "train.steps")
    runner.finish()
    if total is None:
        return None, by_epoch
    key, other = ("epochs", "steps") if by_epoch else ("steps", "epochs")
    root.report.config[f"train.{key}"] = float(total) if by_epoch else int(total)
    root.report.config[f"train.{other}"] = None
    return length(total, by_epoch), by_epoch


def running(root: Section, total: Length | None, by_epoch: bool, modules: list[str]) -> None:
    """``eval``, ``checkpoint``, ``tracking``, ``hooks``, ``seed``; their sections of the config count as read.

    Args:
        root: the config.
        total: length of the run.
        by_epoch: whether it counts epochs.
        modules: of ``custom_imports``.

    Example:
        >>> from rayseg.compat.mmseg.sections import Report
        >>> report = Report("0.x")
        >>> running(Section({"evaluation": {"interval": 4000, "metric": "mIoU"}}, "", report), 40000, False, [])
        >>> report.config
        {'eval.every': 4000, 'eval.metrics': ['mIoU'], 'checkpoint.best': 'val/mIoU'}
    """
    defaults = root.section("default_hooks")
    _evaluation(root.section("evaluation"), by_epoch)
    _evaluators(root)
    for section in (root.section("checkpoint_config"), defaults.section("checkpoint")):
        _checkpoint(section, total, by_epoch)
    _logs(root, defaults.section("logger"))
    for name in list(defaults.values):
        own = defaults.section(name)
        if own.values.get("type") not in _SILENT_HOOKS | {None}:
            hook(own, name, modules)
    for index, written in enumerate(root.take("custom_hooks") or ()):
        hook(Section(written, f"custom_hooks.{index}", root.report), "", modules)
    _seed(root)
    _places(root)


def _evaluators(root: Section) -> None:
    written = root.take("val_evaluator") or []
    listed = written if isinstance(written, list | tuple) else [written]
    for index, each in enumerate(listed):
        own = Section(each, f"val_evaluator.{index}" if len(listed) > 1 else "val_evaluator", root.report)
        if own.values.get("type", "IoUMetric") != "IoUMetric" or index > 0:
            message = "is not carried: one IoUMetric is; write eval.metrics, or hooks.NAME: {type: 'module:name'}"
            own.expect("type", (), message, "eval.metrics")
            continue
        _metrics(own, "iou_metrics")
        own.drop("type", "nan_to_num")
        own.finish(instead="eval.metrics")


def _evaluation(section: Section, by_epoch: bool) -> None:
    if not section.values:
        return
    config = section.report.config
    by_epoch = section.take("by_epoch", by_epoch)
    config["eval.every"] = length(section.take("interval", 1), by_epoch)
    _metrics(section, "metric")
    _best(section)
    section.drop("pre_eval", "efficient_test", "gpu_collect", "broadcast_bn_buffer", "classwise")
    section.finish(instead="eval")


def _metrics(section: Section, key: str) -> None:
    written = section.take(key, "mIoU")
    metrics = [written] if isinstance(written, str) else list(written)
    for metric in metrics:
        if metric not in _METRICS:
            section.lose(key, f"{metric!r} is no metric here; there are {', '.join(_METRICS)}", "eval.metrics")
    known = [metric for metric in metrics if metric in _METRICS] or ["mIoU"]
    config = section.report.config
    config["eval.metrics"] = known
    config.setdefault("checkpoint.best", "val/IoU".replace("IoU", known[0]))
    if "beta" in section:
        config["eval.beta"] = float(section.take("beta"))


def _best(section: Section) -> None:
    """``save_best``: auto is the first metric, which is aAcc."""
    best, rule = section.take("save_best"), section.take("rule")
    if isinstance(best, list | tuple):
        section.lose("save_best", "one metric chooses the best checkpoint here; write checkpoint.best", "checkpoint.best")
    elif best is not None:
        section.report.config["checkpoint.best"] = "val/aAcc" if best == "auto" else f"val/{best.replace('.', '/', 1)}"
    if rule is not None:
        section.report.config["checkpoint.mode"] = "min" if rule == "less" else "max"


def _checkpoint(section: Section, total: Length | None, by_epoch: bool) -> None:
    if not section.values:
        return
    config = section.report.config
    section.expect("type", ("CheckpointHook",), "is not carried; write hooks.NAME: {type: 'module:name'}", "checkpoint")
    by_epoch, every = section.take("by_epoch", by_epoch), section.take("interval", -1)
    keep = section.take("max_keep_ckpts", -1)
    if every > 0:
        config["checkpoint.every"] = length(every, by_epoch)
        run = total["epochs"] if isinstance(total, dict) else total
        same_unit = isinstance(total, dict) == by_epoch
        keep = math.ceil(run / every) if keep < 1 and run and same_unit else keep
    if keep >= 1:
        config["checkpoint.keep"] = int(keep)
    if section.take("save_optimizer", True) is False:
        config["checkpoint.optimizer"] = "none"
    _best(section)
    section.drop("create_symlink", "filename_tmpl", "meta", "save_last", "save_param_scheduler", "sync_buffer")
    section.finish(instead="checkpoint")


def _logs(root: Section, logger: Section) -> None:
    config, old = root.report.config, root.section("log_config")
    every = old.take("interval", 10 if old.values else None) or logger.take("interval", 10 if logger.values else None)
    if every is not None:
        config["train.log_every"] = int(every)
    logger.expect("type", ("LoggerHook",), "is not carried; write hooks.NAME: {type: 'module:name'}", "train.log_every")
    logger.drop("log_metric_by_epoch", "ignore_last", "interval_exp_name")
    backends = [*(old.take("hooks") or ()), *(root.take("vis_backends") or ())]
    for index, written in enumerate(backends):
        _backend(
            Section(
                written, f"{'log_config.hooks' if old.path and 'vis_backends' not in root else 'logs'}.{index}", root.report
            )
        )
    for section in (old, logger):
        section.finish()


def _backend(section: Section) -> None:
    config, kind = section.report.config, str(section.take("type"))
    section.drop("by_epoch", "interval", "ignore_last", "reset_flag", "save_dir", "commit", "with_step", "log_model")
    match kind:
        case "TextLoggerHook" | "LocalVisBackend":
            config["tracking.text"] = True
        case "TensorboardLoggerHook" | "TensorboardVisBackend":
            config["tracking.tensorboard"] = True
        case "MlflowLoggerHook" | "MLflowVisBackend":
            own = {"experiment": section.take("exp_name"), "uri": section.take("tracking_uri")}
            config["tracking.mlflow"] = {key: value for key, value in own.items() if value is not None}
            config["tracking.tags"] = {key: str(value) for key, value in (section.take("tags") or {}).items()}
        case "WandbLoggerHook" | "WandbVisBackend":
            init = section.section("init_kwargs")
            config["tracking.wandb"] = {key: init.take(key) for key in ("project", "entity", "group", "mode") if key in init}
            init.finish(instead="tracking.wandb")
        case _:
            section.lose("type", f"{kind!r} is not carried; text, TensorBoard, MLflow and W&B are", "tracking")
    section.finish(instead="tracking")


def _seed(root: Section) -> None:
    config, chance = root.report.config, root.section("randomness")
    seed = chance.take("seed", root.take("seed"))
    if seed is not None:
        config["seed"] = int(seed)
    if "deterministic" in chance:
        config["train.deterministic"] = bool(chance.take("deterministic"))
    if chance.take("diff_rank_seed", False):
        chance.lose("diff_rank_seed", "chance does not depend on the worker here; remove it", "seed")
    chance.finish()
    root.drop("seed")


def _places(root: Section) -> None:
    """Where results go."""
    if (place := root.take("work_dir")) is not None:
        root.report.config["tracking.storage"] = place
    if root.values.get("auto_scale_lr", {}).get("enable"):
        root.lose("auto_scale_lr", "the rate does not follow the number of workers, nor does the batch; remove it", "optim.lr")
    workflow = [tuple(each) for each in root.take("workflow") or ()]
    if any(mode != "train" for mode, _ in workflow):
        root.report.note("workflow", "the validation loss is part of every evaluation here, and of no other moment")
