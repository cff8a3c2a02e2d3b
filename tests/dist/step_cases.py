"""Three optimizer steps of a small net on any number of workers, in cases that differ in what could break the sum."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rayseg.collective import rank, world_size
from rayseg.data import step_keys
from rayseg.engine import LossScaler, backward, clip_gradients, wrap
from rayseg.kernels import Strips, compiled_backend
from rayseg.losses import (
    Boundary,
    Dice,
    DiceFlat,
    DiceMmseg0x,
    DiceMmseg1x,
    FocalTversky,
    Jaccard,
    Lovasz,
    LovaszHinge,
    Tversky,
    boundaries,
    cross_entropy,
)
from rayseg.mix import Head, Mix, Term, fused
from rayseg.models import Freeze, Freezing, NormKind, mmseg, prepare
from rayseg.sampling import Ramp, ohem, ohem_mmseg, top_k
from rayseg.types import Batch

NUM_CLASSES, BATCH, HEIGHT, WIDTH, STEPS, VOID = 4, 7, 12, 16, 3, 255
CLASS_WEIGHT = torch.tensor([0.4, 1.0, 3.0, 1.7], dtype=torch.float64)
SGD = partial(torch.optim.SGD, lr=0.1)
BOTH = (torch.float64, torch.float32)
SAMPLER = partial(ohem, thresh=0.25, min_kept=11)

Values = dict[str, Tensor]


class TwoHeads(nn.Module):
    """Convolutions, normalisation, dropout, and logits at strides 2 and 4; with channels for it, a head for edges."""

    def __init__(self, channels: int = NUM_CLASSES, detail_channels: int = 0) -> None:
        super().__init__()
        self.backbone = nn.Sequential(
            nn.Conv2d(3, 6, 3, 2, 1, bias=False), nn.BatchNorm2d(6), nn.ReLU(), nn.Dropout2d(0.2), nn.Conv2d(6, 8, 3, 1, 1)
        )
        self.decode_head = nn.Sequential(nn.BatchNorm2d(8), nn.ReLU(), nn.Dropout(0.2), nn.Conv2d(8, channels, 1))
        self.auxiliary_head = nn.Conv2d(8, channels, 3, 2, 1)
        self.detail_head = nn.Conv2d(8, detail_channels, 1) if detail_channels else None

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        features = self.backbone(images)
        logits = {"main": self.decode_head(features), "auxiliary": self.auxiliary_head(features)}
        return logits if self.detail_head is None else {**logits, "detail": self.detail_head(features)}


@dataclass(frozen=True)
class Case:
    """What a run of three steps is made of."""

    terms: Mapping[str, Term]
    sampler: Any = None
    norm: NormKind = "sync"
    num_micro: int = 1
    optimizer: Any = SGD
    auxiliary: Mapping[str, Term] | None = None
    auxiliary_sampler: Any = None
    detail: Mapping[str, Term] = field(default_factory=dict)
    detail_channels: int = 1
    schedule: Mapping[str, Ramp] = field(default_factory=dict)
    dtypes: tuple[torch.dtype, ...] = (torch.float64,)
    freeze: Mapping[str, Freeze] = field(default_factory=dict)
    clip: Mapping[str, float] = field(default_factory=dict)
    scaler: Callable[[], LossScaler] | None = None
    channels: int = NUM_CLASSES
    network: Callable[[], nn.Module] | None = None
    fused: bool = False


CE = Term(cross_entropy, class_weight=CLASS_WEIGHT, returns_map=True)
TWO_WEIGHTS = torch.tensor([0.7, 2.0], dtype=torch.float64)
EDGES = {
    "boundary": Term(Boundary(), class_weight=TWO_WEIGHTS),
    "boundary per image": Term(Boundary("all", per_image=True)),
    "flat": Term(DiceFlat()),
    "tversky": Term(FocalTversky(activation="sigmoid")),
    "1.x": Term(DiceMmseg1x()),
    "dice": Term(Dice(), class_weight=TWO_WEIGHTS),
    "hinge": Term(LovaszHinge(), class_weight=TWO_WEIGHTS),
    "lovasz": Term(Lovasz()),
}
DECAYING = partial(torch.optim.AdamW, lr=0.01, eps=1e-3, weight_decay=0.1)
STEM = Freeze(r"^backbone\.[01]\.")
MIXED = {"ce": CE, "dice": Term(Dice(), weight=2.0, class_weight=CLASS_WEIGHT)}
#: Gradients of such terms at such a scale are above what float64 can hold; the scale comes down twice until they are not.
OVERFLOWING = {name: replace(term, weight=2.0**20) for name, term in MIXED.items()}
HUGE = partial(LossScaler, scale=2.0**1020, backoff=2.0**-12)

SMOOTH = {"smooth": Term(partial(cross_entropy, label_smoothing=0.1), normalize="valid")}
BY_LOSS = partial(ohem, thresh=0.25, min_kept=11, by="loss")

HEADS: list[dict[str, Any]] = [
    {"type": "PSPHead", "channels": 4, "pool_scales": (1, 2), "dropout_ratio": 0.2},
    {"type": "DepthwiseSeparableASPPHead", "channels": 8, "dilations": (1, 2), "c1_channels": 6, "dropout_ratio": 0.2},
    {"type": "UPerHead", "channels": 4, "pool_scales": (1, 2), "dropout_ratio": 0.2},
]


_STAGES = {"num_stages": 2, "strides": (1, 2), "dilations": (1, 2), "out_indices": (0, 1), "zero_init_residual": False}
RESNET: dict[str, Any] = {"type": "ResNetV1d", "depth": 18, "stem_channels": 4, "base_channels": 4, **_STAGES}
UNET: dict[str, Any] = {
    "type": "UNet",
    "base_channels": 4,
    "num_stages": 2,
    "strides": (1, 1),
    "enc_num_convs": (1, 2),
    "dec_num_convs": (1,),
    "downsamples": (True,),
    "enc_dilations": (1, 1),
    "dec_dilations": (1,),
}
STDC: dict[str, Any] = {
    "type": "STDCContextPathNet",
    "backbone_cfg": {"type": "STDCNet", "channels": (4, 4, 8, 8, 8)},
    "out_channels": 4,
    "ffm_cfg": {"out_channels": 8, "scale_factor": 2},
}
MIT: dict[str, Any] = {
    "type": "MixVisionTransformer",
    "embed_dims": 4,
    "num_stages": 2,
    "num_layers": (1, 1),
    "num_heads": (1, 2),
    "patch_sizes": (3, 3),
    "strides": (4, 2),
    "sr_ratios": (2, 1),
    "out_indices": (0, 1),
    "drop_rate": 0.1,
    "drop_path_rate": 0.5,
    "with_cp": True,
}
SEGFORMER = {"type": "SegformerHead", "channels": 4, "dropout_ratio": 0.2}
FCN_HEAD: dict[str, Any] = {"type": "FCNHead", "channels": 4, "in_index": 0, "num_convs": 1, "align_corners": True}


class Enlarged(nn.Module):
    """Images four times as large; where one pixel is left, norms take every shift away, and gradients are rounding alone."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> dict[str, Tensor]:
        logits: dict[str, Tensor] = self.model(F.interpolate(images, scale_factor=4))
        return logits


def network(backbone: Mapping[str, Any], decode_head: Mapping[str, Any]) -> nn.Module:
    """Of mmseg; the auxiliary head's logits are brought to full size in the network."""
    return Enlarged(mmseg(NUM_CLASSES, backbone=backbone, decode_head=decode_head, auxiliary_head=FCN_HEAD))


CASES = {
    "ohem, dice, class weights": Case(MIXED, SAMPLER, dtypes=BOTH),
    "the same in two micro-batches": Case(MIXED, SAMPLER, num_micro=2, dtypes=BOTH),
    "only the hardest, over all labelled pixels": Case(
        {"ce": Term(cross_entropy, normalize="valid")},
        partial(ohem, thresh=None, min_kept=0.1),
        auxiliary={"ce": CE},
        dtypes=BOTH,
    ),
    "cross-entropy over all pixels": Case({"ce": Term(cross_entropy, normalize="all", class_weight=CLASS_WEIGHT)}),
    "cross-entropy in two micro-batches": Case({"ce": CE}, num_micro=2, dtypes=BOTH),
    "cross-entropy in one pass": Case({"ce": CE}, auxiliary=SMOOTH, fused=True, dtypes=BOTH),
    "cross-entropy in one pass, in two micro-batches": Case({"ce": CE}, fused=True, num_micro=2, dtypes=BOTH),
    "region losses per image": Case({"tversky": Term(Tversky(per_image=True)), "jaccard": Term(Jaccard(classes="all"))}),
    "every Dice": Case(
        {
            "sigmoid": Term(Dice(activation="sigmoid", divide_by="classes"), class_weight=CLASS_WEIGHT),
            "0.x": Term(DiceMmseg0x(), class_weight=CLASS_WEIGHT),
            "1.x": Term(DiceMmseg1x(), class_weight=CLASS_WEIGHT),
            "flat": Term(DiceFlat(), class_weight=CLASS_WEIGHT),
            "focal": Term(FocalTversky(), class_weight=CLASS_WEIGHT),
        }
    ),
    "every Dice in two micro-batches": Case(
        {
            "1.x": Term(DiceMmseg1x("softmax", naive=True)),
            "flat": Term(DiceFlat()),
            "focal": Term(FocalTversky(per_image=True)),
        },
        num_micro=2,
    ),
    "lovasz": Case({"lovasz": Term(Lovasz(), class_weight=CLASS_WEIGHT)}, dtypes=BOTH),
    "lovasz in two micro-batches, with ohem": Case({"ce": CE, "lovasz": Term(Lovasz("all"))}, SAMPLER, num_micro=2),
    "lovasz per image": Case({"lovasz": Term(Lovasz((0, 2), per_image=True), class_weight=CLASS_WEIGHT)}),
    "edges in one channel": Case({"ce": CE}, detail=EDGES),
    "edges in one channel, in two micro-batches": Case({"ce": CE}, detail=EDGES, num_micro=2),
    "edges in two channels": Case({"ce": CE}, detail=EDGES, detail_channels=2),
    "another loss on the auxiliary head": Case(MIXED, SAMPLER, auxiliary={"ce": CE}),
    "ohem by loss": Case(MIXED, BY_LOSS),
    "ohem by loss in two micro-batches": Case(MIXED, BY_LOSS, num_micro=2, norm="group"),
    "top k": Case({"ce": CE}, partial(top_k, ratio=0.3), dtypes=BOTH),
    "top k by loss, other losses and sampler on the auxiliary head": Case(
        MIXED, partial(top_k, ratio=0.3, by="loss"), auxiliary=SMOOTH, auxiliary_sampler=partial(ohem, thresh=None, min_kept=7)
    ),
    "mmseg's ohem": Case(
        {"ce": Term(cross_entropy, normalize="all")}, partial(ohem_mmseg, thresh=0.3, min_kept=9), dtypes=BOTH
    ),
    "mmseg's ohem, more than there are": Case({"ce": CE}, partial(ohem_mmseg, thresh=0.1, min_kept=10_000)),
    "mmseg's ohem by loss, for the batch": Case(
        {"ce": Term(cross_entropy, normalize="kept", class_weight=CLASS_WEIGHT)}, partial(ohem_mmseg, min_kept=31, per="batch")
    ),
    "ohem by loss beside a loss of the order of all pixels": Case({**MIXED, "lovasz": Term(Lovasz())}, BY_LOSS),
    "a share that falls from all to a tenth": Case(
        MIXED, partial(top_k), num_micro=2, schedule={"ratio": Ramp(1.0, 0.1, begin=0, end=2)}
    ),
    "a count that grows": Case(
        MIXED, partial(ohem, thresh=None), schedule={"min_kept": Ramp(2, 60, begin=0, end=3, shape="exp")}
    ),
    "sgd with momentum": Case(MIXED, SAMPLER, optimizer=partial(torch.optim.SGD, lr=0.1, momentum=0.9, weight_decay=0.01)),
    "clipped by norm": Case(MIXED, SAMPLER, clip={"max_norm": 0.1}, dtypes=BOTH),
    "clipped by the largest element and by value": Case(
        MIXED, SAMPLER, clip={"max_norm": 0.05, "norm_type": math.inf, "max_value": 0.01}, num_micro=2
    ),
    "a loss scale that overflows twice": Case(OVERFLOWING, SAMPLER, scaler=HUGE, clip={"max_norm": 0.1}),
    "the same scale in two micro-batches": Case(OVERFLOWING, SAMPLER, scaler=HUGE, num_micro=2),
    "the same scale, cross-entropy in two micro-batches": Case(
        {"ce": OVERFLOWING["ce"]}, scaler=HUGE, num_micro=2, norm="group"
    ),
    "adamw": Case(MIXED, SAMPLER, optimizer=partial(torch.optim.AdamW, lr=0.01, eps=1e-3), dtypes=BOTH),
    "fused adamw": Case(MIXED, SAMPLER, optimizer=partial(torch.optim.AdamW, lr=0.01, eps=1e-3, fused=True)),
    "group norm": Case(MIXED, SAMPLER, norm="group"),
    "group norm in two micro-batches": Case(MIXED, SAMPLER, norm="group", num_micro=2),
    "group norm, cross-entropy": Case({"ce": CE}, norm="group"),
    "group norm, cross-entropy in two micro-batches": Case({"ce": CE}, norm="group", num_micro=2),
    "a frozen backbone, released": Case(MIXED, SAMPLER, optimizer=DECAYING, freeze={"backbone": Freeze("^backbone", 2)}),
    "the same with its statistics moving": Case(
        MIXED, SAMPLER, optimizer=DECAYING, freeze={"backbone": Freeze("^backbone", 2, statistics=False)}
    ),
    "a frozen head in two micro-batches": Case(
        MIXED, SAMPLER, num_micro=2, optimizer=DECAYING, freeze={"aux": Freeze("^backbone|auxiliary", 1), "stem": STEM}
    ),
    "a frozen stem, cross-entropy in two micro-batches": Case(
        {"ce": CE}, num_micro=2, optimizer=DECAYING, freeze={"stem": STEM}
    ),
    "a transformer": Case({"ce": CE}, norm="group", network=partial(network, MIT, SEGFORMER), dtypes=BOTH),
    "a transformer in two micro-batches": Case({"ce": CE}, norm="group", num_micro=2, network=partial(network, MIT, SEGFORMER)),
    "a transformer that drops attention": Case(
        {"ce": CE}, norm="group", network=partial(network, {**MIT, "attn_drop_rate": 0.2, "with_cp": False}, SEGFORMER)
    ),
    **{f"a {head['type']}": Case({"ce": CE}, network=partial(network, RESNET, head)) for head in HEADS},
    **{
        f"a {body['type']}": Case({"ce": CE}, network=partial(network, body, {**FCN_HEAD, "in_index": -1}))
        for body in (UNET, STDC)
    },
}


def global_batch(step: int, dtype: torch.dtype) -> Batch:
    """The seven images of a step: one all void, one nearly, the others by chance."""
    generator = torch.Generator().manual_seed(step)
    images = torch.randn(BATCH, 3, HEIGHT, WIDTH, generator=generator, dtype=torch.float64).to(dtype)
    smooth = F.interpolate(images[:, :1].double(), scale_factor=0.25)
    masks = (F.interpolate(smooth, (HEIGHT, WIDTH))[:, 0] * 2).long().abs().clamp(max=NUM_CLASSES - 1)
    void = (
        torch.rand(BATCH, HEIGHT, WIDTH, generator=generator)
        < torch.tensor([0.1, 1.1, 0.97, 0.5, 0.0, 0.8, 0.3])[:, None, None]
    )
    return Batch(images, masks.where(~void, VOID), torch.arange(step * BATCH, (step + 1) * BATCH))


def share(step: int, num_micro: int, dtype: torch.dtype, device: str = "cpu") -> list[Batch]:
    """This worker's micro-batches of a step."""
    whole = global_batch(step, dtype)
    keys = step_keys(step, BATCH, rank=rank(), world_size=world_size(), num_micro=num_micro)
    return [Batch(*(tensor[torch.tensor(each) - step * BATCH].to(device) for tensor in whole)) for each in keys]


def foreground(masks: Tensor, *, ignore_index: int) -> Tensor:
    """Two classes of four, for heads with one channel."""
    return (masks > 0).long().masked_fill(masks == ignore_index, ignore_index)


def make_mix(case: Case) -> Mix:
    main = Head(case.terms, case.sampler, sampler_schedule=case.schedule, target=foreground if case.channels == 1 else None)
    auxiliary = main if case.auxiliary is None else Head(case.auxiliary, case.auxiliary_sampler)
    detail = {"detail": Head(case.detail, target=boundaries)} if case.detail else {}
    heads = {"main": main, "auxiliary": replace(auxiliary, weight=0.4), **detail}
    backend = (compiled_backend() or Strips()) if case.fused else None
    return Mix(heads if backend is None else {name: fused(head, backend) for name, head in heads.items()})


def three_steps(case: Case, dtype: torch.dtype, device: str = "cpu") -> Values:
    """Loss and parts, gradients, weights and statistics after each step."""
    torch.manual_seed(0)
    small = partial(TwoHeads, case.channels, case.detail_channels if case.detail else 0)
    plain = prepare((case.network or small)(), norm=case.norm).to(device, dtype)
    mix, optimizer = make_mix(case), case.optimizer(plain.parameters())
    scaler = None if case.scaler is None else case.scaler()
    freezing, wrapped, model = Freezing(plain, case.freeze), [False], plain
    values: Values = {}
    for step in range(STEPS):
        freezing.apply(plain, step)
        if wrapped != (trainable := [each.requires_grad for each in plain.parameters()]):
            model, wrapped = wrap(plain, share(0, case.num_micro, dtype, device)[0], seed=0), trainable
        freezing.hold_statistics(plain.train(), step)
        parts = backward(model, mix, share(step, case.num_micro, dtype, device), step=step, seed=0, scaler=scaler)
        finite = scaler is None or scaler.unscale(plain.parameters())
        values |= {} if scaler is None else {f"{step} scale": torch.tensor([scaler.scale, scaler.skipped], dtype=dtype).log1p()}
        parts |= clip_gradients(plain.parameters(), **case.clip) if finite else {}
        values |= {f"{step} {name}": value for name, value in parts.items()}
        values |= {
            f"{step} gradient {name}": each.grad.clone()
            for name, each in plain.named_parameters()
            if finite and each.grad is not None
        }
        if finite:
            optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        values |= {f"{step} state {name}": value.clone() for name, value in plain.state_dict().items()}
    return values


def all_cases() -> dict[tuple[str, torch.dtype], Values]:
    """Every case in both precisions, in one group."""
    return {(name, dtype): three_steps(case, dtype) for name, case in CASES.items() for dtype in case.dtypes}


def drift(ours: Values, theirs: Values) -> dict[str, float]:
    """``max |difference| / max |value|`` of each tensor."""
    assert ours.keys() == theirs.keys()
    return {name: _relative(ours[name].cpu().double(), theirs[name].cpu().double()) for name in ours}


def _relative(ours: Tensor, theirs: Tensor) -> float:
    largest = float(theirs.abs().max())
    return float((ours - theirs).abs().max()) / (largest if largest > 0 else 1.0)
