"""Runs of one and of several processes: equal results, failures that are named, and exact continuation."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import distributed_programs as programs
import pytest
import torch

import funcnet as fn

SOURCE = programs.__file__


def started(ranks, *arguments):
    """Start a program on several ranks."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    shared = {"WORLD_SIZE": str(ranks), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "OMP_NUM_THREADS": "1"}
    path = os.pathsep.join(filter(None, sys.path))
    return [
        subprocess.Popen(
            [sys.executable, "-W", "ignore", SOURCE, *map(str, arguments)],
            env={**os.environ, **shared, "RANK": str(rank), "LOCAL_RANK": str(rank), "PYTHONPATH": path},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # not that of a background job
        )
        for rank in range(ranks)
    ]


def run(ranks, *arguments):
    """Run a program on several ranks; return what each printed."""
    return [process.communicate(timeout=300)[0] for process in started(ranks, *arguments)]


def test_one_rank_is_one_process(tmp_path):
    assert fn.distributed.size() == 1 and programs.ensembles() == programs.sums() == "equal"
    data, keys = programs.examples()
    alone = fn.fit(programs.step, programs.START, (data, keys), progress=False)
    ranks = fn.distributed.fit(programs.step, programs.START, (data, keys), progress=False, batch_dims=(0, None))
    assert fn.tree.equal(alone, ranks)


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [2, 3, 5])
def test_ranks_compute_what_one_process_computes(ranks):
    assert run(ranks, "ensembles_and_sums")[0] == "equal\n"


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [2, 3])
def test_data_parallel_training_is_that_of_whole_batches(ranks, tmp_path):
    data, keys = programs.examples()
    carry, history = fn.fit(programs.step, programs.START, (data, keys), progress=False)
    outputs = run(ranks, "training", tmp_path)
    want = [*carry["w"].flatten().tolist(), history["loss"].sum().item(), len(data)]
    got = [float(number) for number in re.findall(r"-?[\d.]+(?:e-\d+)?", outputs[0])]
    assert got == pytest.approx(want, rel=1e-5) and fn.checkpoint.Checkpoints(tmp_path).steps()[-1] == len(data)


@pytest.mark.slow
def test_the_others_name_a_rank_that_fails():
    first, second = run(2, "failing")
    assert "AttributeError" in second and "PeerError" not in second
    assert re.search(r"rank 0 after \d\.\d s: PeerError: distributed: rank 1 has failed: AttributeError: ", first)


@pytest.mark.slow
@pytest.mark.parametrize("first, size", [(40_000, 20_000), (0, 1), (3, 2), (10, 9_000), (0, 8_193)])
def test_tensors_of_unequal_size_are_an_error(first, size):
    for rank, output in enumerate(run(2, "unequal", first, size)):
        got = 4 * (size - rank)
        assert f"expected tensors of one size on all ranks, got {got:,} bytes on rank {rank}" in output


@pytest.mark.slow
def test_an_error_of_one_rank_in_fit_saves_and_reaches_the_others(tmp_path):
    first, second = run(2, "failing_in_fit", tmp_path)
    assert "LookupError: the disk of rank 1 is gone" in second and "PeerError" not in second
    found = re.search(r"rank 0 after (\d+\.\d) s: PeerError: distributed: rank 1 has failed: LookupError", first)
    assert found and float(found[1]) < 20
    assert fn.checkpoint.Checkpoints(tmp_path).steps() == [20]


@pytest.mark.slow
@pytest.mark.parametrize("twice", [False, True])
def test_an_interrupt_of_all_ranks_saves_and_prints_once(twice, tmp_path):
    """As by Ctrl-C in a terminal; torchrun passes it on, so that each rank gets it twice."""
    processes = started(2, "interrupted", tmp_path)
    while not (tmp_path / "running").exists():
        assert all(process.poll() is None for process in processes)
        time.sleep(0.05)
    time.sleep(0.5)
    for _ in range(1 + twice):
        for process in processes:
            process.send_signal(signal.SIGINT)
    outputs = [process.communicate(timeout=60)[0] for process in processes]
    (step,) = fn.checkpoint.Checkpoints(tmp_path / "checkpoints").steps()
    assert step and step % 200 == 0
    assert f"fit: interrupted after {step:,} of 1,000,000,000 steps; saved in" in outputs[0]
    assert "interrupted after" not in outputs[1]
    assert all(f"rank {rank}: distributed.fit: interrupted" in output for rank, output in enumerate(outputs))


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [2, 3])
def test_a_rank_that_dies_ends_the_kernels_of_the_others(ranks):
    outputs = run(ranks, "dying")
    for rank, output in enumerate(outputs[:-1]):
        found = re.search(rf"rank {rank} after (\d+\.\d) s: PeerError: distributed: rank {ranks - 1} has died", output)
        assert found and float(found[1]) < 10


@pytest.mark.slow
def test_a_run_that_is_started_again_ends_with_the_same_bits(tmp_path):
    torchrun = shutil.which("torchrun", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    options = ["--nproc-per-node", "2", "--max-restarts", "1", "--standalone", SOURCE, "training"]
    found = [
        subprocess.run(
            [torchrun, *options, str(tmp_path / name), *stop],
            env=environment,
            capture_output=True,
            text=True,
            timeout=300,
        ).stdout
        for name, stop in (("whole", []), ("stopped", ["stop"]))
    ]
    assert found[0].endswith("30\n") and found[0] == found[1]


def test_wrong_calls_are_explained():
    mean = fn.distributed.mean
    with pytest.raises(TypeError, match=r'distributed.mean: at path "n": expected floating-point .* got int64 tensor'):
        mean({"n": torch.tensor(3)})
    with pytest.raises(TypeError, match=r"distributed.vmap: expected f to be callable, got 3"):
        fn.distributed.vmap(3)
    with pytest.raises(ValueError, match="expected one size of the mapped axis"):
        fn.distributed.vmap(torch.add)(torch.zeros(3), torch.zeros(2))
    with pytest.raises(ValueError, match="batch_dims"):
        fn.distributed.fit(programs.step, programs.START, programs.examples(), batch_dims=(0, 0, 0), progress=False)
    with pytest.raises(ValueError, match="fit: expected steps to be an int of at least 1, got 0"):
        fn.distributed.fit(programs.step, programs.START, programs.examples(), steps=0)
    with pytest.raises(NotImplementedError, match="differentiate"):
        fn.grad(lambda x: _of_two_ranks(x).sum())(torch.ones(2))


def _of_two_ranks(x):
    from funcnet.distributed import sums

    return sums._exchanged(x)
