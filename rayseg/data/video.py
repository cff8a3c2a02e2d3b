"""Frames of video files, in and out, by FFmpeg (the package ``av``, which is optional).

Letters: H x W pixels of a frame.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rayseg.errors import DataError

__all__ = ["VIDEOS", "frame_rate", "require_video", "video_frames", "video_writer"]

#: Endings of video files, in lower case.
VIDEOS = frozenset({".avi", ".m4v", ".mkv", ".mov", ".mp4", ".mpeg", ".mpg", ".webm"})
_CODECS = ("libx264", "mpeg4")
_ANY_RATE = Fraction(25)


def require_video() -> Any:
    """The package that reads and writes videos.

    Raises:
        DataError: it is not installed.

    Example:
        >>> require_video().open("street.mp4")  # doctest: +SKIP
    """
    try:
        return importlib.import_module("av")
    except ImportError as error:
        raise DataError("videos need the package av; install rayseg[video], or give the frames as pictures") from error


def video_frames(path: str | Path) -> Iterator[NDArray[np.uint8]]:
    """Each frame of a video's first picture track: ``(H, W, 3)`` uint8 RGB, turned as players show it.

    Raises:
        DataError: the file is no video, or it is damaged; ``av`` is not installed.

    Example:
        >>> sum(1 for _ in video_frames("street.mp4"))  # doctest: +SKIP
        250
    """
    with _opened(path) as (container, stream):
        for frame in container.decode(stream):
            yield np.ascontiguousarray(np.rot90(frame.to_ndarray(format="rgb24"), int(frame.rotation) // 90))


def frame_rate(path: str | Path) -> Fraction:
    """Frames in a second, on average; 25 where the file does not tell.

    Raises:
        DataError: the file is no video; ``av`` is not installed.

    Example:
        >>> frame_rate("street.mp4")  # doctest: +SKIP
        Fraction(30000, 1001)
    """
    with _opened(path) as (_, stream):
        return stream.average_rate or stream.guessed_rate or _ANY_RATE


@contextmanager
def video_writer(path: str | Path, rate: Fraction) -> Iterator[Callable[[NDArray[np.uint8]], None]]:
    """A function that puts one more frame ``(H, W, 3)`` uint8 RGB into a video; the file is whole when the context ends.

    H.264 where this FFmpeg has it, else MPEG-4. Both halve colours: odd sides get another row or column, a copy of the last.

    Args:
        path: of the file; its ending chooses the container.
        rate: frames in a second.

    Raises:
        DataError: the file cannot be written; ``av`` is not installed.

    Example:
        >>> with video_writer("grey.mp4", Fraction(25)) as write:  # doctest: +SKIP
        ...     write(np.full((48, 64, 3), 128, np.uint8))
    """
    av = require_video()
    try:
        container = av.open(str(path), "w")
    except (av.error.FFmpegError, OSError, ValueError) as error:
        raise DataError(f"{path}: cannot be written as a video ({error}); choose another name, such as NAME.mp4") from error
    streams: list[Any] = []

    def write(frame: NDArray[np.uint8]) -> None:
        even = np.pad(frame, ((0, frame.shape[0] % 2), (0, frame.shape[1] % 2), (0, 0)), mode="edge")
        if not streams:
            streams.append(container.add_stream(next(name for name in _CODECS if name in av.codecs_available), rate=rate))
            streams[0].height, streams[0].width, streams[0].pix_fmt = *even.shape[:2], "yuv420p"
        container.mux(streams[0].encode(av.VideoFrame.from_ndarray(even, format="rgb24")))

    with container:
        yield write
        for stream in streams:
            container.mux(stream.encode())


@contextmanager
def _opened(path: str | Path) -> Iterator[tuple[Any, Any]]:
    av = require_video()
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise DataError(f"{path}: has no pictures; name a video, or picture files")
            yield container, container.streams.video[0]
    except (av.error.FFmpegError, OSError) as error:
        raise DataError(f"{path}: cannot be read as a video ({error}); convert it, or give its frames as pictures") from error
