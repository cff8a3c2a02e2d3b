"""The sample stream is the same whatever the number of workers and micro-batches."""

from __future__ import annotations

from math import ceil

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rayseg.data import micro_batches, permutation, sample_of, step_keys, steps_of
from rayseg.errors import ShapeError

quick = settings(deadline=None, max_examples=80, database=None)
steps, batches, worlds, micros = st.integers(0, 10**6), st.integers(1, 64), st.integers(1, 9), st.integers(1, 8)


def _all_keys(step: int, batch_size: int, world_size: int, num_micro: int) -> list[list[list[int]]]:
    return [step_keys(step, batch_size, rank=r, world_size=world_size, num_micro=num_micro) for r in range(world_size)]


@quick
@given(steps, batches, worlds, micros)
def test_the_workers_share_exactly_the_samples_of_a_step(step: int, batch: int, world: int, micro: int) -> None:
    keys = sorted(k for worker in _all_keys(step, batch, world, micro) for part in worker for k in part)
    assert keys == list(range(step * batch, (step + 1) * batch))


@quick
@given(steps, batches, worlds, micros)
def test_a_micro_batch_holds_the_same_images_for_any_number_of_workers(step: int, batch: int, world: int, micro: int) -> None:
    alone = _all_keys(step, batch, 1, micro)[0]
    shared = _all_keys(step, batch, world, micro)
    assert [sorted(k for worker in shared for k in worker[j]) for j in range(micro)] == alone


@quick
@given(steps, batches, worlds, micros)
def test_a_worker_takes_every_world_size_th_sample(step: int, batch: int, world: int, micro: int) -> None:
    for rank, worker in enumerate(_all_keys(step, batch, world, micro)):
        assert len(worker) == micro
        assert all((k - step * batch) % world == rank for part in worker for k in part)


@quick
@given(batches, worlds, st.integers(1, 16))
def test_micro_batches_bound_the_images_of_a_worker_and_leave_none_empty(batch: int, world: int, most: int) -> None:
    try:
        num_micro = micro_batches(batch, world, most)
    except ShapeError:
        fitting = [m for m in range(1, batch + 1) if ceil(ceil(batch / m) / world) <= most]
        assert all(any(not part for worker in _all_keys(0, batch, world, m) for part in worker) for m in fitting)
        return
    sizes = [len(part) for worker in _all_keys(3, batch, world, num_micro) for part in worker]
    assert min(sizes) >= 1
    assert max(sizes) <= most
    assert num_micro == 1 or ceil(ceil(batch / (num_micro - 1)) / world) > most


def test_more_workers_than_images_are_refused_with_the_remedy() -> None:
    with pytest.raises(ShapeError, match=r"batch_size 2 in 1 micro-batch .* 3 workers .* fewer workers"):
        micro_batches(2, 3, None)


@quick
@given(st.integers(0, 2**31 - 1), st.integers(0, 50), st.integers(1, 200))
def test_each_epoch_visits_each_image_once(seed: int, epoch: int, n: int) -> None:
    indices = [sample_of(seed, k, n)[0] for k in range(epoch * n, (epoch + 1) * n)]
    assert sorted(indices) == list(range(n))


def test_epochs_and_seeds_differ_in_their_order() -> None:
    orders = {tuple(permutation(seed, epoch, 50).tolist()) for seed in range(3) for epoch in range(3)}
    assert len(orders) == 9


@quick
@given(st.integers(0, 2**31 - 1), st.integers(0, 2**40))
def test_a_sample_is_a_pure_function_of_seed_and_number(seed: int, k: int) -> None:
    first, second = sample_of(seed, k, 13), sample_of(seed, k, 13)
    assert first[0] == second[0]
    assert first[1].random(3).tolist() == second[1].random(3).tolist()
    assert first[1].random() != sample_of(seed, k + 1, 13)[1].random()


def test_a_permutation_cannot_be_changed_by_who_reads_it() -> None:
    with pytest.raises(ValueError, match="read-only"):
        permutation(0, 0, 4)[0] = 1


@quick
@given(st.integers(1, 300), st.integers(1, 5000), st.integers(1, 64))
@example(11, 100, 10)
def test_epochs_become_the_steps_that_cover_them(tenths: int, images: int, batch: int) -> None:
    assert steps_of(None, tenths / 10, images, batch) == -(-tenths * images // (10 * batch))


def test_steps_stay_steps_and_a_length_is_exactly_one_of_both() -> None:
    assert steps_of(7, None, 100, 8) == 7
    with pytest.raises(ShapeError, match="exactly one"):
        steps_of(7, 1.0, 100, 8)
    assert isinstance(steps_of(None, float(np.float32(0.5)), 100, 8), int)
