"""Parts of optimizers: transformations of updates, their chaining, and their restriction to some of the leaves."""

from funcnet.optim.transforms.adding import AddNoiseState, WeightDecaySchedule, add_decayed_weights, add_noise
from funcnet.optim.transforms.clipping import adaptive_grad_clip, clip, clip_by_block_rms, clip_by_global_norm
from funcnet.optim.transforms.combining import chain, named_chain
from funcnet.optim.transforms.constraining import keep_params_nonnegative
from funcnet.optim.transforms.ema import EmaState, ema
from funcnet.optim.transforms.every import ApplyEvery, apply_every
from funcnet.optim.transforms.flattening import flatten
from funcnet.optim.transforms.masking import (
    MaskedState,
    PartitionState,
    by_path,
    freeze,
    masked,
    multi_transform,
    partition,
    selective_transform,
)
from funcnet.optim.transforms.monitoring import MonitorState, SnapshotState, measure_with_ema, monitor, snapshot
from funcnet.optim.transforms.per_example import (
    DifferentiallyPrivateAggregateState,
    differentially_private_aggregate,
    per_example_global_norm_clip,
    per_example_layer_norm_clip,
)
from funcnet.optim.transforms.plateau import ReduceLROnPlateauState, reduce_on_plateau
from funcnet.optim.transforms.scaling import (
    ScaleByScheduleState,
    centralize,
    normalize,
    normalize_by_update_norm,
    scale,
    scale_by_learning_rate,
    scale_by_param_block_norm,
    scale_by_param_block_rms,
    scale_by_schedule,
    scale_by_sign,
    scale_by_trust_ratio,
)
from funcnet.optim.transforms.trace import TraceState, trace

__all__ = [
    "AddNoiseState",
    "ApplyEvery",
    "DifferentiallyPrivateAggregateState",
    "EmaState",
    "MaskedState",
    "MonitorState",
    "PartitionState",
    "ReduceLROnPlateauState",
    "ScaleByScheduleState",
    "SnapshotState",
    "TraceState",
    "WeightDecaySchedule",
    "adaptive_grad_clip",
    "add_decayed_weights",
    "add_noise",
    "apply_every",
    "by_path",
    "centralize",
    "chain",
    "clip",
    "clip_by_block_rms",
    "clip_by_global_norm",
    "differentially_private_aggregate",
    "ema",
    "flatten",
    "freeze",
    "keep_params_nonnegative",
    "masked",
    "measure_with_ema",
    "monitor",
    "multi_transform",
    "named_chain",
    "normalize",
    "normalize_by_update_norm",
    "partition",
    "per_example_global_norm_clip",
    "per_example_layer_norm_clip",
    "reduce_on_plateau",
    "scale",
    "scale_by_learning_rate",
    "scale_by_param_block_norm",
    "scale_by_param_block_rms",
    "scale_by_schedule",
    "scale_by_sign",
    "scale_by_trust_ratio",
    "selective_transform",
    "snapshot",
    "trace",
]
