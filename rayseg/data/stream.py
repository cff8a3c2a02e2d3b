"""The sample stream: what the k-th sample of a run is, and who loads it. Pure functions, no state.

Letters: k global sample number, n images in the training set, B batch of an optimizer step, W workers, m micro-batches.

::

    step s        [s*B ............................ (s+1)*B)      the same for every W
    micro-batch   [ j = 0 )[ j = 1 ) ... [ j = m-1 )              m contiguous ranges, the same for every W
    worker r      the k of each range with (k - s*B) % W == r

So resuming needs the step only, in the middle of an epoch too, with any number of workers.
"""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache
from itertools import pairwise
from math import ceil

import numpy as np
from numpy.typing import NDArray

from rayseg.errors import ShapeError

__all__ = ["micro_batches", "permutation", "sample_of", "step_keys", "steps_of"]

_ORDER, _AUGMENTATION = 1, 2


@lru_cache(maxsize=4)
def permutation(seed: int, epoch: int, n: int) -> NDArray[np.int64]:
    """The order ``(n,)`` in which epoch number ``epoch`` visits the images; read-only.

    Example:
        >>> sorted(permutation(0, 3, 5).tolist())
        [0, 1, 2, 3, 4]
    """
    order = np.random.default_rng([_ORDER, seed, epoch]).permutation(n)
    order.setflags(write=False)
    return order


def sample_of(seed: int, k: int, n: int) -> tuple[int, np.random.Generator]:
    """Index of the k-th sample's image, and the generator that augments it.

    Example:
        >>> index, rng = sample_of(seed=0, k=7, n=5)
        >>> index == int(permutation(0, 1, 5)[2])
        True
    """
    epoch, place = divmod(k, n)
    return int(permutation(seed, epoch, n)[place]), np.random.default_rng([_AUGMENTATION, seed, k])


def step_keys(step: int, batch_size: int, *, rank: int, world_size: int, num_micro: int) -> list[list[int]]:
    """The sample numbers of one worker in one step: ``num_micro`` lists.

    Example:
        >>> step_keys(1, 8, rank=0, world_size=3, num_micro=2)
        [[8, 11], [14]]
        >>> step_keys(1, 8, rank=1, world_size=3, num_micro=2)
        [[9], [12, 15]]
    """
    start = step * batch_size
    edges = [j * batch_size // num_micro for j in range(num_micro + 1)]
    return [[start + k for k in range(low, high) if k % world_size == rank] for low, high in pairwise(edges)]


def micro_batches(batch_size: int, world_size: int, micro_batch: int | None) -> int:
    """The fewest micro-batches with which no worker holds more than ``micro_batch`` images at once.

    Args:
        batch_size: B, images in one optimizer step over all workers.
        world_size: W.
        micro_batch: most images in one forward pass of one worker; None: no bound.

    Raises:
        ShapeError: some worker would have no image in some micro-batch.

    Example:
        >>> micro_batches(16, 2, 4), micro_batches(16, 1, 4), micro_batches(16, 2, None)
        (2, 4, 1)
    """
    most = batch_size if micro_batch is None else micro_batch
    num_micro = next(m for m in range(1, batch_size + 1) if ceil(ceil(batch_size / m) / world_size) <= most)
    if batch_size // num_micro < world_size:
        raise ShapeError(
            f"train.batch_size {batch_size} in {num_micro} micro-batch{'es' if num_micro > 1 else ''} leaves some of "
            f"{world_size} workers without an image; expected at least one image per worker and micro-batch: "
            f"use fewer workers, a larger train.batch_size (a multiple of {world_size}) or a larger train.micro_batch"
        )
    return num_micro


def steps_of(steps: int | None, epochs: float | None, num_images: int, batch_size: int) -> int:
    """A length in steps: ``steps`` itself, or ``ceil(epochs * num_images / batch_size)`` in exact decimal arithmetic.

    Example:
        >>> steps_of(None, 1.1, num_images=100, batch_size=10), steps_of(None, 0.5, 7, 2), steps_of(40, None, 7, 2)
        (11, 2, 40)
    """
    if (steps is None) == (epochs is None):
        raise ShapeError(f"a length is steps or epochs, exactly one; got steps={steps}, epochs={epochs}")
    return steps if steps is not None else ceil(Fraction(repr(float(epochs or 0))) * num_images / batch_size)
