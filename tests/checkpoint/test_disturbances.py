"""Folders and files that other processes, people and full disks have left, or leave while a checkpoint is written."""

import errno
import json
import os
import subprocess
import sys
import types
from pathlib import Path

import pytest
import torch
from tables import numbers

import funcnet as fn
from funcnet.checkpoint import CheckpointError, Checkpoints, DamagedCheckpointError, atomic, load, save, structure

TREE = {"w": numbers(3), "name": "out", "n": torch.tensor(2)}


@pytest.fixture
def path(tmp_path):
    return save(tmp_path / "tree.safetensors", TREE, step=5, metadata={"loss": 0.5})


def refused_or_equal(path, wanted):
    """Load a file; return whether it is refused. If it is not, it must be as it was."""
    try:
        found = load(path)
    except DamagedCheckpointError:
        return True
    assert fn.tree.equal(found.tree, wanted.tree) and found[1:] == wanted[1:]
    return False


@pytest.mark.parametrize("step", [53, pytest.param(1, marks=pytest.mark.slow)])
def test_a_file_that_is_cut_anywhere_is_refused(step, path):
    whole, wanted = path.read_bytes(), load(path)
    for size in range(0, len(whole), step):
        path.write_bytes(whole[:size])
        assert refused_or_equal(path, wanted), size


@pytest.mark.parametrize("step", [53, pytest.param(1, marks=pytest.mark.slow)])
@pytest.mark.parametrize("bits", [1, 0x20, 0xFF])
def test_an_altered_byte_anywhere_is_noticed(step, bits, path):
    """Besides a few bytes of the header that only other programs read."""
    whole, wanted, unnoticed = path.read_bytes(), load(path), []
    for place in range(0, len(whole), step):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ bits]) + whole[place + 1 :])
        if not refused_or_equal(path, wanted):
            unnoticed.append(place)
    assert len(unnoticed) < 0.1 * len(whole) / step + 2


HEADERS = {
    "deep lists": b"[" * 100_000,
    "deep dicts": b'{"a":' * 100_000,
    "negative offsets": b'{"__metadata__": {}, "w": {"dtype": "U8", "shape": [], "data_offsets": [-1000000000000, 0]}}',
}


@pytest.mark.parametrize("name", HEADERS)
def test_hostile_headers_are_refused(name, tmp_path):
    (tmp_path / "x").write_bytes(len(HEADERS[name]).to_bytes(8, "little") + HEADERS[name])
    with pytest.raises(DamagedCheckpointError, match="not an intact checkpoint"):
        load(tmp_path / "x")


@pytest.mark.parametrize("entry", ["tree", "step", "tensors"])
def test_a_manifest_without_an_entry_is_refused(entry, tmp_path, monkeypatch):
    """Its digest is right: the file was written so."""
    dumps = lambda value: json.dumps({key: part for key, part in value.items() if key != entry})  # noqa: E731
    monkeypatch.setattr("funcnet.checkpoint.saving.json", types.SimpleNamespace(dumps=dumps))
    save(tmp_path / "x", TREE)
    monkeypatch.undo()
    with pytest.raises(DamagedCheckpointError, match="its manifest is not complete"):
        load(tmp_path / "x")


def full(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_a_full_disk_keeps_the_old_file_and_leaves_no_other(path, monkeypatch):
    monkeypatch.setattr("funcnet.checkpoint.atomic.os.fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save(path, {"w": numbers(4)})
    assert fn.tree.equal(load(path).tree, TREE) and [*path.parent.iterdir()] == [path]


@pytest.mark.parametrize("good", [0, 2, 3])
def test_a_run_survives_a_full_disk(good, tmp_path, monkeypatch):
    """It warns and tries again; what was saved before and what can be saved later is there."""
    step, folder, written = (lambda x, _: (x + 1, None)), tmp_path / "c", []
    write = atomic.write

    def sometimes(path, fill):
        written.append(path)
        full() if good < len(written) < 5 else write(path, fill)

    monkeypatch.setattr(atomic, "write", sometimes)
    with pytest.warns(UserWarning, match=r"step \d could not be saved: .*No space left.*The run goes on"):
        carry, _ = fn.fit(step, 0, steps=6, every=1, checkpoints=Checkpoints(folder, every=1, keep=9), backend="eager")
    assert carry == 6 and Checkpoints(folder).steps() == [*range(1, good + 1), 5, 6]


def test_an_error_of_the_run_is_raised_although_saving_fails(tmp_path, monkeypatch):
    def broken(step, carry, metrics):
        if step == 4:
            raise LookupError("mine")

    monkeypatch.setattr(atomic, "write", full)
    checkpoints = Checkpoints(tmp_path, every=100)
    step = lambda x, _: (x + 1, None)  # noqa: E731
    with pytest.raises(LookupError, match="mine"), pytest.warns(UserWarning, match="step 3 could not be saved"):
        fn.fit(step, 0, steps=6, every=1, checkpoints=checkpoints, on_chunk=[broken], backend="eager")


@pytest.mark.parametrize("kind", ["a file", "below a file", "below a folder of the system"])
def test_a_folder_that_cannot_be_written_to_is_an_error_before_the_run(kind, tmp_path):
    (tmp_path / "file").write_text("mine")
    folder = {"a file": tmp_path / "file", "below a file": tmp_path / "file" / "a"}.get(kind, Path("/proc/a"))
    took = []
    step = lambda x, _: took.append(x) or (x, None)  # noqa: E731
    for call in (lambda: fn.fit(step, 0, steps=2, checkpoints=folder), lambda: Checkpoints(folder).save(0, step=1)):
        with pytest.raises(CheckpointError, match="expected a folder that can be written to, got .*Choose another"):
            call()
    assert not took and (tmp_path / "file").read_text() == "mine"


FOREIGN = ["step-5.safetensors", "step-000000000009.txt", "step-00000000000x.safetensors", "other", ".hidden.writing"]


def test_files_and_folders_of_others_are_left_alone(tmp_path):
    for name in FOREIGN[:-1]:
        (tmp_path / name).write_text("mine")
    (tmp_path / "step-000000000007.safetensors").mkdir()
    (tmp_path / "step-000000000008.safetensors").symlink_to(tmp_path / "nowhere")
    step, checkpoints = (lambda x, _: (x + 1, None)), Checkpoints(tmp_path, every=1, keep=1)
    assert fn.fit(step, 0, steps=3, every=1, checkpoints=checkpoints, backend="eager")[0] == 3
    assert Checkpoints(tmp_path).steps() == [3]
    assert all((tmp_path / name).read_text() == "mine" for name in FOREIGN[:-1])


def test_symbolic_links_stay_links(tmp_path):
    (tmp_path / "real").mkdir()
    for name, target in (("file", "real/file"), ("folder", "real")):
        (tmp_path / name).symlink_to(tmp_path / target)
    save(tmp_path / "file", TREE)
    Checkpoints(tmp_path / "folder").save(TREE, step=1)
    assert all((tmp_path / name).is_symlink() for name in ("file", "folder"))
    assert {path.name for path in (tmp_path / "real").iterdir()} == {"file", "step-000000000001.safetensors"}
    assert fn.tree.equal(load(tmp_path / "file").tree, TREE)


def test_what_killed_saves_have_left_is_removed_but_not_what_others_write(tmp_path):
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        dead = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, text=True)
        names = {"dead": dead.stdout.strip(), "mine": os.getpid(), "another's": other.pid, "no process": "x"}
        left = {kind: tmp_path / f".a[1].{name}.writing" for kind, name in names.items()}
        for path in left.values():
            path.write_bytes(b"half")
        save(tmp_path / "b", TREE)
        assert all(path.exists() for path in left.values())  # they are of another file
        save(tmp_path / "a[1]", TREE)
        assert [kind for kind, path in left.items() if path.exists()] == ["another's"]
        other.communicate(b"\n")
    Checkpoints(tmp_path).prepare()
    assert not left["another's"].exists()


def test_a_checkpoint_that_another_process_removes_is_not_an_error(tmp_path, monkeypatch):
    checkpoints = Checkpoints(tmp_path)
    for step in (1, 2):
        checkpoints.save({"n": step}, step=step)
    monkeypatch.setattr(Checkpoints, "steps", lambda self: [1, 2, 3])
    assert checkpoints.restore().step == 2


WRITER = """
import sys, torch, funcnet as fn
step = lambda x, _: (x * 1.0001, {"loss": x.sum()})
run = lambda: fn.fit(step, torch.ones(1000), steps=60, every=1, backend="eager", checkpoints=folder)
folder = fn.checkpoint.Checkpoints(sys.argv[1], every=1)
print(run()[0].sum().item())
"""


@pytest.mark.slow
def test_two_processes_that_write_to_one_folder_both_end_well(tmp_path):
    command = [sys.executable, "-W", "error", "-c", WRITER, tmp_path / "both"]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) for _ in range(2)]
    outputs = [process.communicate() for process in processes]
    assert outputs[0][0] == outputs[1][0] and all(process.returncode == 0 for process in processes), outputs
    assert Checkpoints(tmp_path / "both").restore().step == 60
    assert not [*(tmp_path / "both").glob("*writing")]


def test_metadata_may_be_any_mapping(tmp_path):
    save(tmp_path / "x", TREE, metadata=types.MappingProxyType({"loss": 0.5}))
    assert load(tmp_path / "x").metadata == {"loss": 0.5}


def test_a_best_metric_that_is_not_there_is_an_error(tmp_path):
    checkpoints = Checkpoints(tmp_path, keep_best="los")
    with pytest.raises(ValueError, match=r"keep_best to name an entry of metadata, got 'los' and entries \['loss'\]"):
        checkpoints.save(TREE, step=1, metadata={"loss": 0.5})
    with pytest.raises(TypeError, match="keep_best to name a number, got 'low'"):
        checkpoints.save(TREE, step=1, metadata={"los": "low"})
    with pytest.raises(ValueError, match=r"got 'los' and entries \['loss', 'norm'\]"):
        step = lambda x, _: (x, {"loss": x, "norm": x})  # noqa: E731
        fn.fit(step, 0.0, steps=9, checkpoints=Checkpoints(tmp_path, keep_best="los", every=9), backend="eager")
    assert checkpoints.steps() == []
    other = Checkpoints(tmp_path)  # of another program
    other.save(TREE, step=1, metadata={"los": "low"})
    other.save(TREE, step=2, metadata={"los": 3})
    assert checkpoints.best() == checkpoints.latest()


def test_errors_and_names_have_the_fields_of_named_tuples(tmp_path):
    state = fn.optim.adam(0.1).init({"w": numbers(3)})
    save(tmp_path / "x", {"state": state})
    assert b'"state.0.mu.w"' in (tmp_path / "x").read_bytes()
    with pytest.raises(CheckpointError, match=r'at path "state\.0\.mu\.w": expected float64 tensor of shape \(4,\)'):
        load(tmp_path / "x", like={"state": fn.optim.adam(0.1).init({"w": numbers(4)})})


def test_named_tuples_that_earlier_versions_wrote_without_names_are_read(tmp_path, monkeypatch):
    tree = {"state": fn.optim.adam(0.1).init({"w": numbers(3)})}
    header = structure._header
    numbered = lambda value, path: {**header(value, path), "names": [*map(str, range(len(value)))]}  # noqa: E731
    with monkeypatch.context() as patch:
        patch.setattr(structure, "_header", numbered)
        save(tmp_path / "x", tree)
    assert b'"names": ["0", "1", "2"]' in (tmp_path / "x").read_bytes().replace(b"\\", b"")
    for like in (tree, None):
        assert fn.tree.equal(load(tmp_path / "x", like=like).tree, tree)
    other = {"state": tree["state"][::-1]}
    with pytest.raises(CheckpointError, match=r"at path \"state\.0\""):
        load(tmp_path / "x", like=other)
