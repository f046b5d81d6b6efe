"""Parts of optimizers: transformations of updates, their chaining, and their restriction to some of the leaves."""

from funcnet.optim.transforms.adding import AddNoiseState, WeightDecaySchedule, add_decayed_weights, add_noise
from funcnet.optim.transforms.clipping import adaptive_grad_clip, clip, clip_by_block_rms, clip_by_global_norm
from funcnet.optim.transforms.combining import chain, named_chain
from funcnet.optim.transforms.constraining import keep_params_nonnegative
from funcnet.optim.transforms.ema import EmaState, ema
from funcnet.optim.transforms.every import ApplyEvery, apply_every
from funcnet.optim.transforms.masking import (
    MaskedState,
    PartitionState,
    by_path,
    freeze,
    masked,
    multi_transform,
    partition,
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
    "EmaState",
    "MaskedState",
    "PartitionState",
    "ReduceLROnPlateauState",
    "ScaleByScheduleState",
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
    "ema",
    "freeze",
    "keep_params_nonnegative",
    "masked",
    "multi_transform",
    "named_chain",
    "normalize",
    "normalize_by_update_norm",
    "partition",
    "reduce_on_plateau",
    "scale",
    "scale_by_learning_rate",
    "scale_by_param_block_norm",
    "scale_by_param_block_rms",
    "scale_by_schedule",
    "scale_by_sign",
    "scale_by_trust_ratio",
    "trace",
]
