"""Videos in and out of ``rayseg predict``, frames as they were; what is no video is told."""

from __future__ import annotations

import sys
from fractions import Fraction
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import rayseg
from rayseg.cli import main
from rayseg.data import frame_rate, video_frames, video_writer
from rayseg.errors import DataError
from rayseg.launch import TrainResult

needs_av = pytest.mark.skipif(find_spec("av") is None, reason="needs rayseg[video]")
RATE = Fraction(24000, 1001)


@pytest.fixture
def video(tmp_path: Path) -> Path:
    """Three grey frames of odd size, each brighter."""
    with video_writer(tmp_path / "grey.mp4", RATE) as write:
        for level in (40, 120, 200):
            write(np.full((33, 47, 3), level, np.uint8))
    return tmp_path / "grey.mp4"


@needs_av
def test_what_is_written_is_read_again_with_its_rate(video: Path) -> None:
    frames = list(video_frames(video))
    assert [frame.shape for frame in frames] == [(34, 48, 3)] * 3
    assert [frame.dtype for frame in frames] == [np.uint8] * 3
    assert all(abs(frame.astype(int) - level).max() <= 3 for frame, level in zip(frames, (40, 120, 200), strict=True))
    assert frame_rate(video) == RATE


@needs_av
def test_the_command_predict_gives_a_mask_for_each_frame_and_a_video_of_overlays(
    trained: TrainResult, video: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "out"
    words = ["predict", str(trained.checkpoint), str(tmp_path), "--out", str(out), "--overlay", "--legend"]
    assert main(words) == 0
    assert "3 masks in" in capsys.readouterr().out
    frames = list(video_frames(video))
    assert trained.checkpoint is not None
    for index, expected in enumerate(rayseg.predict(trained.checkpoint, frames)):
        with Image.open(out / "grey" / f"{index:08d}.png") as mask:
            np.testing.assert_array_equal(np.asarray(mask), expected)
    drawn = list(video_frames(out / "grey_overlay.mp4"))
    assert len(drawn) == 3
    assert drawn[0].shape[1] == 240
    assert drawn[0].shape[0] > 34
    assert frame_rate(out / "grey_overlay.mp4") == RATE
    assert drawn[2][:34, :48].mean() > drawn[0][:34, :48].mean() + 40


@needs_av
def test_what_is_no_video_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_bytes(b"no video")
    with pytest.raises(DataError, match=r"a\.mp4: cannot be read as a video"):
        next(video_frames(tmp_path / "a.mp4"))
    with pytest.raises(DataError, match=r"gone\.mp4: cannot be read"):
        frame_rate(tmp_path / "gone.mp4")
    with (
        pytest.raises(DataError, match=r"cannot be written as a video.*NAME\.mp4"),
        video_writer(tmp_path / "a.nothing", RATE) as write,
    ):
        write(np.zeros((2, 2, 3), np.uint8))


def test_a_video_without_its_package_is_refused_before_the_checkpoint_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "av", None)
    (tmp_path / "a.mp4").write_bytes(b"")
    assert main(["predict", str(tmp_path / "gone"), str(tmp_path / "a.mp4"), "--out", str(tmp_path / "out")]) == 2
    assert "videos need the package av; install rayseg[video]" in capsys.readouterr().err


def test_patterns_that_no_shell_has_replaced_are_understood(
    trained: TrainResult, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("a.png", "b.png", "b.jpg"):
        Image.new("RGB", (32, 32)).save(tmp_path / name)
    out = tmp_path / "out"
    words = ["predict", str(trained.checkpoint), str(tmp_path / "*.png"), "--out", str(out), "--overlay", "--legend"]
    assert main(words) == 0
    assert sorted(path.name for path in out.iterdir()) == ["a.png", "a_overlay.png", "b.png", "b_overlay.png"]
    with Image.open(out / "a_overlay.png") as drawn:
        assert drawn.width == 240
    assert main(["predict", str(trained.checkpoint), str(tmp_path / "*.bmp"), "--out", str(out)]) == 2
    assert main([*words[:-2], "--legend"]) == 2
    assert "add --overlay" in capsys.readouterr().err
