"""Saving a tree to a file, and loading it."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from funcnet import tree
from funcnet.checkpoint import atomic, structure, tensor_file, values
from funcnet.checkpoint.errors import CheckpointError
from funcnet.checkpoint.values import Json
from funcnet.tree import Tree

FORMAT = 1
_MANIFEST, _DIGEST = "funcnet", "funcnet.digest"  # entries of the file's metadata
_ENTRIES = {"format", "library", "step", "metadata", "tree", "tensors"}  # of the manifest, which reading needs


class Checkpoint(NamedTuple):
    """The content of a file."""

    tree: Tree
    step: int
    metadata: dict[str, Any]


def save(path: str | Path, tree: Tree, *, step: int = 0, metadata: Mapping[str, Any] | None = None) -> Path:
    """Write a tree to a file, atomically: after a crash at any moment, the file is the old one or the new one, whole.

    The file is in the safetensors format, which other programs read: tensors by their paths, such as "params.0.w". A
    manifest in its header has the versions of the library and of torch, the structure, and a digest of each tensor.

    Args:
        path: The file; missing folders are created, and an existing file is replaced.
        tree: Any tree of dense tensors and plain values: numbers, strings, bytes, None, dtypes, devices.
        step: The number of steps taken so far, at least 0.
        metadata: A mapping of plain values, or of tuples, lists and dicts of them.
    Returns:
        The path.
    Raises:
        CheckpointError: A leaf is neither a dense tensor nor a plain value; the message has its path.
        TypeError: step is not an int, or metadata is not a mapping.
        ValueError: step is negative.
    Example:
        >>> import tempfile
        >>> path = tempfile.mkdtemp() + "/params.safetensors"
        >>> _ = fn.checkpoint.save(path, {"w": torch.ones(2), "name": "out"}, step=10, metadata={"loss": 0.5})
        >>> fn.checkpoint.load(path)
        Checkpoint(tree={'w': tensor([1., 1.]), 'name': 'out'}, step=10, metadata={'loss': 0.5})
    """
    if not isinstance(step, int) or isinstance(step, bool):
        raise TypeError(f"checkpoint.save: expected step to be an int, got {step!r}.")
    if step < 0:
        raise ValueError(f"checkpoint.save: expected step to be at least 0, got {step}.")
    if not isinstance(metadata, Mapping | None):
        raise TypeError(f"checkpoint.save: expected metadata to be a mapping, such as a dict, got {metadata!r}.")
    path, writer = _path("save", path), structure.Writer()
    node, notes = writer.node(tree), _notes(dict(metadata or {}))
    tensors = {name: tensor_file.physical(name, tensor) for name, tensor in writer.tensors.items()}
    described = {name: _described(tensor, tensors[name]) for name, tensor in writer.tensors.items()}
    manifest = {
        "format": FORMAT,
        "library": f"funcnet {_version()}",
        "torch": torch.__version__,
        "step": step,
        "metadata": notes,
        "tree": node,
        "tensors": described,
    }
    text = json.dumps(manifest)
    entries = {"format": "pt", _MANIFEST: text, _DIGEST: tensor_file.digest(text.encode())}
    atomic.write(path, lambda file: tensor_file.write(file, tensors, entries))
    return path


def load(path: str | Path, like: Tree = None) -> Checkpoint:
    """Read a tree from a file that `save` has written. Nothing in the file is executed, and no class is imported.

    Args:
        path: The file.
        like: A tree of the expected structure, whose tensors (or `ShapeDtypeStruct`s) have the expected shapes and
            dtypes; loaded tensors go to the devices of its tensors, for those on the meta device to the CPU. None: the
            tree is as it was saved, on the CPU, and the classes of its nodes must have been imported.
    Returns:
        The tree, step and metadata.
    Raises:
        DamagedCheckpointError: The file is truncated or altered, or is not a checkpoint.
        CheckpointError: The file differs from `like` in structure, shape or dtype, or a class of a node is unknown; the
            message has the path.
        FileNotFoundError: There is no such file.
    Example:
        >>> import tempfile
        >>> path = fn.checkpoint.save(tempfile.mkdtemp() + "/w.safetensors", {"w": torch.ones(2)})
        >>> fn.checkpoint.load(path, like={"w": torch.zeros(2)}).tree
        {'w': tensor([1., 1.])}
    """
    with _opened("load", path) as file:
        return file.checkpoint(
            lambda node: file.build(node) if like is None else structure.restore(node, like, file.like)
        )


def load_parts(path: str | Path, likes: Mapping[str, Tree]) -> Checkpoint:
    """Load a dict, with the expected trees of some of its entries.

    The other entries are as they were saved, where classes of `likes` are known also if they cannot be imported. A node
    of another unknown class is read as a dict of its children, with a warning.
    """
    with _opened("load", path) as file:
        classes = structure.classes_of(likes)
        return file.checkpoint(lambda node: file.parts(node, likes, classes))


def metadata_of(path: Path) -> dict[str, Any]:
    """Read the metadata of a file, without its tensors."""
    with _opened("load", path) as file:
        return file.metadata()


@contextmanager
def _opened(operation: str, path: str | Path) -> "Iterator[_File]":
    """Open a checkpoint."""
    path = _path(operation, path)
    if path.is_dir():
        raise IsADirectoryError(
            f"checkpoint.load: expected a file, got the folder {path}. Checkpoints(folder).restore() reads its last"
            " checkpoint."
        )
    with path.open("rb") as file:
        reader = tensor_file.Reader(path, file)
        try:
            yield _File(reader)
        except RecursionError as error:
            raise reader.damaged("its tree is nested too deeply") from error


class _File:
    """An open checkpoint."""

    def __init__(self, reader: tensor_file.Reader) -> None:
        self.reader = reader
        text = reader.metadata.get(_MANIFEST)
        if not isinstance(text, str):
            raise reader.damaged("it has no manifest, as files of other programs; safetensors.torch.load_file reads it")
        if tensor_file.digest(text.encode()) != reader.metadata.get(_DIGEST):
            raise reader.damaged("its manifest has changed")
        self.manifest: dict[str, Any] = json.loads(text)
        if not {*self.manifest} >= _ENTRIES:
            raise reader.damaged("its manifest is not complete")
        if self.manifest["format"] > FORMAT:
            raise CheckpointError(
                f"checkpoint.load: {reader.path} was written by {self.manifest['library']}, in a newer format. Upgrade"
                " funcnet."
            )

    def checkpoint(self, read: Callable[[Json], Tree]) -> Checkpoint:
        """Read the whole file, the tree by a function of its node."""
        return Checkpoint(read(self.manifest["tree"]), self.manifest["step"], self.metadata())

    def metadata(self) -> dict[str, Any]:
        return self.build(self.manifest["metadata"])

    def build(self, node: Json) -> Tree:
        """Read a tree as it was saved."""
        return structure.build(node, self.tensor, structure.find)

    def parts(self, node: Json, likes: Mapping[str, Tree], classes: Mapping[str, type]) -> Tree:
        """Read the entries of a dict."""
        if "dict" not in node:
            return self.build(node)
        find = partial(structure.find_if_known, classes)
        return {
            key: structure.restore(child, likes[key], self.like, key)
            if key in likes
            else structure.build(child, self.tensor, find, key)
            for key, child in node["dict"]
        }

    def tensor(self, name: str) -> Tensor:
        """Read a tensor."""
        entry = self.manifest["tensors"][name]
        data = self.reader.read(name, entry["digest"])
        return tensor_file.as_tensor(data, values.dtype(entry["dtype"]), entry["shape"])

    def like(self, name: str, like: Any, path: str) -> Tensor:
        """Read a tensor that must be like a given one."""
        entry = self.manifest["tensors"][name]
        if (values.dtype(entry["dtype"]), entry["shape"]) != (like.dtype, list(like.shape)):
            got = f"{entry['dtype']} tensor of shape {tuple(entry['shape'])}"
            raise structure.differing(path, tree.describe(like), got)
        device = getattr(like, "device", None)
        return self.tensor(name) if device is None or device.type == "meta" else self.tensor(name).to(device)


def _notes(metadata: Mapping[str, Any]) -> Json:
    writer = structure.Writer()
    notes = writer.node(metadata, "metadata")
    for path in writer.tensors:
        raise CheckpointError(
            f"checkpoint.save: at {path}: expected a plain value, got a tensor. Convert it by .item()."
        )
    return notes


def _described(tensor: Tensor, physical: Tensor) -> Json:
    return {
        "dtype": str(tensor.dtype).removeprefix("torch."),
        "shape": list(tensor.shape),
        "device": str(tensor.device),
        "digest": tensor_file.digest(tensor_file.content(physical)),
    }


def _path(operation: str, path: str | Path) -> Path:
    if not isinstance(path, str | Path):
        raise TypeError(f"checkpoint.{operation}: expected path to be a str or Path, got {tree.describe(path)}.")
    return Path(path)


def _version() -> str:
    try:
        return version("funcnet")
    except PackageNotFoundError:
        return "(not installed)"
