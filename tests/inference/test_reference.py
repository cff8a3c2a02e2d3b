"""Against MMSegmentation itself, where it can be imported (1.2.2 with mmcv and mmengine; they are no dependency)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from rayseg.inference import Inference, scaled_size

mmseg_models = pytest.importorskip(
    "mmseg.models.segmentors", reason="needs mmsegmentation, mmcv and mmengine", exc_type=ImportError
)


def network(channels: int) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.Tanh(), nn.Conv2d(4, channels, 3, 4, 1)).double().eval()


IMAGES = torch.randn(2, 3, 45, 62, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def segmentor(model: nn.Module, channels: int, crop: tuple[int, int], stride: tuple[int, int]) -> Any:
    """As much of an ``EncoderDecoder`` as its inference looks at."""

    def encode_decode(images: Tensor, metas: Any) -> Tensor:
        return F.interpolate(model(images), size=images.shape[2:], mode="bilinear", align_corners=False)

    test_cfg = SimpleNamespace(mode="slide", crop_size=crop, stride=stride)
    return SimpleNamespace(test_cfg=test_cfg, out_channels=channels, encode_decode=encode_decode)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("crop", "stride"), [((16, 24), (11, 17)), ((64, 32), (42, 32)), ((64, 64), (42, 42))])
def test_windows_are_those_of_slide_inference(channels: int, crop: tuple[int, int], stride: tuple[int, int]) -> None:
    model = network(channels)
    with torch.no_grad():
        slide = mmseg_models.EncoderDecoder.slide_inference
        expected = slide(segmentor(model, channels, crop, stride), IMAGES, [{}, {}])
    torch.testing.assert_close(Inference(crop, stride, batch_size=5)(model, IMAGES), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("size", [(375, 500), (500, 333), (512, 2048), (100, 3000), (1, 7)])
def test_sizes_of_resized_images_are_those_of_its_resize(size: tuple[int, int]) -> None:
    from mmcv.transforms import Resize  # type: ignore[import-not-found, unused-ignore]

    array = torch.zeros(*size, 3).numpy()
    assert Resize(scale=(2048, 512), keep_ratio=True)({"img": array})["img"].shape[:2] == scaled_size(size, 1.0, (512, 2048))


def test_views_are_those_of_its_test_time_augmentation() -> None:
    from mmcv.transforms import Resize  # type: ignore[import-not-found, unused-ignore]
    from mmseg.structures import SegDataSample  # type: ignore[import-not-found, unused-ignore]

    model, image, samples = network(3), IMAGES[:1], []
    for scale in (0.5, 0.75, 1.25):
        array = image[0].permute(1, 2, 0).numpy()
        view = torch.from_numpy(Resize(scale_factor=scale, keep_ratio=True)({"img": array})["img"]).permute(2, 0, 1)[None]
        assert view.shape[2:] == scaled_size(image.shape[2:], scale)
        for flip in (False, True):
            height, width = view.shape[2:]
            meta = {"ori_shape": image.shape[2:], "img_shape": (height, width), "flip": flip, "flip_direction": "horizontal"}
            sample = SegDataSample(metainfo={**meta, "img_path": ""})
            with torch.no_grad():
                logits = segmentor(model, 3, (16, 24), (11, 17)).encode_decode(view.flip(3) if flip else view, None)
            owner = SimpleNamespace(align_corners=False, out_channels=3)
            samples += mmseg_models.BaseSegmentor.postprocess_result(owner, logits, [sample])
    owner = SimpleNamespace(module=SimpleNamespace(out_channels=3))
    expected = mmseg_models.SegTTAModel.merge_preds(owner, [samples])[0].pred_sem_seg.data
    mean = torch.stack([sample.seg_logits.data.softmax(0) for sample in samples]).mean(0)
    found = Inference(scales=(0.5, 0.75, 1.25), flip=True)(model, image)[0]
    torch.testing.assert_close(found.softmax(0), mean, rtol=1e-6, atol=1e-6)
    assert torch.equal(found.argmax(0), expected[0])
