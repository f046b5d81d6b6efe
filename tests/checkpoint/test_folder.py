"""A folder of checkpoints keeps the last ones and the best one, and restores the last intact one."""

import pytest
import torch

import funcnet as fn
from funcnet.checkpoint import CheckpointError, Checkpoints, DamagedCheckpointError


def filled(folder, steps=(10, 20, 30), **options):
    checkpoints = Checkpoints(folder, **options)
    for step in steps:
        checkpoints.save({"w": torch.tensor(float(step))}, step=step, metadata={"loss": float(abs(step - 21))})
    return checkpoints


def restored_step(checkpoints):
    with pytest.warns(UserWarning, match=r"is not an intact .*It is left out, and the one before it is taken"):
        found = checkpoints.restore()
    assert found.tree["w"] == found.step
    return found.step


def test_an_empty_folder(tmp_path):
    checkpoints = Checkpoints(tmp_path / "missing", keep_best="loss")
    assert checkpoints.steps() == [] and checkpoints.restore() is None
    assert checkpoints.latest() is None and checkpoints.best() is None


def test_the_last_ones_are_kept(tmp_path):
    checkpoints = filled(tmp_path, range(1, 8), keep=2)
    assert checkpoints.steps() == [6, 7] == Checkpoints(str(tmp_path)).steps()
    assert checkpoints.latest().name == "step-000000000007.safetensors"
    assert fn.checkpoint.load(checkpoints.latest()).step == 7 and len([*tmp_path.iterdir()]) == 2


@pytest.mark.parametrize("highest, best", [(False, 20), (True, 1)])
def test_the_best_one_is_kept(tmp_path, highest, best):
    options = {"keep": 1, "keep_best": "loss", "highest": highest}
    checkpoints = filled(tmp_path, (1, 10, 20, 30, 40), **options)
    assert checkpoints.steps() == sorted({best, 40})
    assert fn.checkpoint.load(checkpoints.best()).step == best
    filled(tmp_path, (41,), **options)  # in a new process
    assert Checkpoints(tmp_path).steps() == sorted({best, 41})


def test_a_checkpoint_without_the_metric_is_not_the_best(tmp_path):
    checkpoints = filled(tmp_path, keep=1, keep_best="loss")
    checkpoints.save({"w": torch.tensor(40.0)}, step=40)
    checkpoints.save({"w": torch.tensor(50.0)}, step=50, metadata={"loss": float("nan")})
    assert checkpoints.steps() == [20, 50]


def test_damaged_checkpoints_are_left_out(tmp_path):
    checkpoints = filled(tmp_path)
    latest = checkpoints.latest()
    latest.write_bytes(latest.read_bytes()[:-1])
    assert restored_step(checkpoints) == 20
    for path in tmp_path.iterdir():
        path.write_bytes(b"")
    with (
        pytest.warns(UserWarning, match="left out"),
        pytest.raises(DamagedCheckpointError, match=r"none of the checkpoints in .* is intact\. Restore a copy"),
    ):
        checkpoints.restore()


def test_one_that_differs_from_like_is_an_error(tmp_path):
    with pytest.raises(CheckpointError, match=r'at path "w": expected float32 tensor of shape \(2,\)'):
        filled(tmp_path).restore(like={"w": torch.zeros(2)})


def test_what_killed_processes_have_left_is_removed(tmp_path):
    left, other = tmp_path / ".step-000000000010.safetensors.123.writing", tmp_path / "notes.txt"
    left.write_bytes(b"half")
    other.write_text("mine")
    assert filled(tmp_path).steps() == [10, 20, 30]
    assert not left.exists() and other.read_text() == "mine"


def test_due_by_steps_by_minutes_and_by_cost(tmp_path, monkeypatch):
    now = 1000.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    by_steps = filled(tmp_path / "a", (100,), every=50)
    assert [by_steps.is_due(step) for step in (101, 149, 150, 151, 260)] == [False, False, True, True, True]
    by_minutes, by_cost = filled(tmp_path / "b", minutes=2), filled(tmp_path / "c")
    by_cost._cost = 1.0
    assert by_cost.is_due(31) is False and by_minutes.is_due(31) is False
    now += 20.5
    assert by_cost.is_due(31) and not by_minutes.is_due(31)
    now += 100
    assert by_minutes.is_due(31)
