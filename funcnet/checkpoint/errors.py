"""The errors of checkpoints."""


class CheckpointError(ValueError):
    """A checkpoint cannot be written, or is not like the tree that is expected."""


class DamagedCheckpointError(CheckpointError):
    """A file is not a checkpoint, or is truncated or altered."""
