"""Optimizers in Optax's vocabulary: pure functions from gradients and a state to updates and the next state.

`torch.load` reads every state with its default, weights_only=True, once this package has been imported.
"""

from torch.serialization import add_safe_globals

from funcnet.optim import projections, schedules
from funcnet.optim.adadelta import ScaleByAdaDeltaState, adadelta, scale_by_adadelta
from funcnet.optim.adafactor import FactoredState, adafactor, scale_by_factored_rms
from funcnet.optim.adagrad import ScaleByRssState, adagrad, scale_by_rss
from funcnet.optim.adam import ScaleByAdamState, adam, adamw, nadam, nadamw, scale_by_adam
from funcnet.optim.adamax import adamax, adamaxw, scale_by_adamax
from funcnet.optim.adding import AddNoiseState, WeightDecaySchedule, add_decayed_weights, add_noise
from funcnet.optim.amsgrad import ScaleByAmsgradState, amsgrad, scale_by_amsgrad
from funcnet.optim.base import (
    GradientTransformation,
    apply_updates,
    global_norm,
    identity,
    incremental_update,
    set_to_zero,
    stateless,
)
from funcnet.optim.clipping import adaptive_grad_clip, clip, clip_by_block_rms, clip_by_global_norm
from funcnet.optim.combining import chain, named_chain
from funcnet.optim.ema import EmaState, ema
from funcnet.optim.finite import ApplyIfFiniteState, ZeroNansState, apply_if_finite, zero_nans
from funcnet.optim.hyperparams import InjectHyperparamsState, get_hyperparams, inject_hyperparams
from funcnet.optim.lamb import lamb
from funcnet.optim.lars import lars
from funcnet.optim.lbfgs import ScaleByLBFGSState, lbfgs, scale_by_lbfgs
from funcnet.optim.linesearch import (
    ScaleByZoomLinesearchState,
    ZoomLinesearchInfo,
    scale_by_zoom_linesearch,
    value_and_grad_from_state,
)
from funcnet.optim.lion import ScaleByLionState, lion, scale_by_lion
from funcnet.optim.lookahead import LookaheadParams, LookaheadState, lookahead
from funcnet.optim.masking import MaskedState, PartitionState, by_path, freeze, masked, partition
from funcnet.optim.multi_steps import MultiSteps, MultiStepsState, skip_large_updates, skip_not_finite
from funcnet.optim.muon import MuonState, muon, orthogonalize, scale_by_muon
from funcnet.optim.plateau import ReduceLROnPlateauState, reduce_on_plateau
from funcnet.optim.radam import radam, scale_by_radam
from funcnet.optim.rmsprop import ScaleByRmsState, ScaleByRStdDevState, rmsprop, scale_by_rms, scale_by_stddev
from funcnet.optim.scaling import (
    ScaleByScheduleState,
    centralize,
    scale,
    scale_by_learning_rate,
    scale_by_param_block_norm,
    scale_by_param_block_rms,
    scale_by_schedule,
    scale_by_sign,
    scale_by_trust_ratio,
)
from funcnet.optim.schedule_free import (
    ScheduleFreeState,
    schedule_free,
    schedule_free_adamw,
    schedule_free_eval_params,
    schedule_free_sgd,
)
from funcnet.optim.schedules import (
    constant_schedule,
    cosine_decay_schedule,
    cosine_onecycle_schedule,
    exponential_decay,
    join_schedules,
    linear_onecycle_schedule,
    linear_schedule,
    piecewise_constant_schedule,
    piecewise_interpolate_schedule,
    polynomial_schedule,
    sgdr_schedule,
    warmup_constant_schedule,
    warmup_cosine_decay_schedule,
    warmup_exponential_decay_schedule,
)
from funcnet.optim.sgd import noisy_sgd, sgd, sign_sgd
from funcnet.optim.trace import TraceState, trace

__all__ = [
    "AddNoiseState",
    "ApplyIfFiniteState",
    "EmaState",
    "FactoredState",
    "GradientTransformation",
    "InjectHyperparamsState",
    "LookaheadParams",
    "LookaheadState",
    "MaskedState",
    "MultiSteps",
    "MultiStepsState",
    "MuonState",
    "PartitionState",
    "ReduceLROnPlateauState",
    "ScaleByAdaDeltaState",
    "ScaleByAdamState",
    "ScaleByAmsgradState",
    "ScaleByLBFGSState",
    "ScaleByLionState",
    "ScaleByRStdDevState",
    "ScaleByRmsState",
    "ScaleByRssState",
    "ScaleByScheduleState",
    "ScaleByZoomLinesearchState",
    "ScheduleFreeState",
    "TraceState",
    "WeightDecaySchedule",
    "ZeroNansState",
    "ZoomLinesearchInfo",
    "adadelta",
    "adafactor",
    "adagrad",
    "adam",
    "adamax",
    "adamaxw",
    "adamw",
    "adaptive_grad_clip",
    "add_decayed_weights",
    "add_noise",
    "amsgrad",
    "apply_if_finite",
    "apply_updates",
    "by_path",
    "centralize",
    "chain",
    "clip",
    "clip_by_block_rms",
    "clip_by_global_norm",
    "constant_schedule",
    "cosine_decay_schedule",
    "cosine_onecycle_schedule",
    "ema",
    "exponential_decay",
    "freeze",
    "get_hyperparams",
    "global_norm",
    "identity",
    "incremental_update",
    "inject_hyperparams",
    "join_schedules",
    "lamb",
    "lars",
    "lbfgs",
    "linear_onecycle_schedule",
    "linear_schedule",
    "lion",
    "lookahead",
    "masked",
    "muon",
    "nadam",
    "nadamw",
    "named_chain",
    "noisy_sgd",
    "orthogonalize",
    "partition",
    "piecewise_constant_schedule",
    "piecewise_interpolate_schedule",
    "polynomial_schedule",
    "projections",
    "radam",
    "reduce_on_plateau",
    "rmsprop",
    "scale",
    "scale_by_adadelta",
    "scale_by_adam",
    "scale_by_adamax",
    "scale_by_amsgrad",
    "scale_by_factored_rms",
    "scale_by_lbfgs",
    "scale_by_learning_rate",
    "scale_by_lion",
    "scale_by_muon",
    "scale_by_param_block_norm",
    "scale_by_param_block_rms",
    "scale_by_radam",
    "scale_by_rms",
    "scale_by_rss",
    "scale_by_schedule",
    "scale_by_sign",
    "scale_by_stddev",
    "scale_by_trust_ratio",
    "scale_by_zoom_linesearch",
    "schedule_free",
    "schedule_free_adamw",
    "schedule_free_eval_params",
    "schedule_free_sgd",
    "schedules",
    "set_to_zero",
    "sgd",
    "sgdr_schedule",
    "sign_sgd",
    "skip_large_updates",
    "skip_not_finite",
    "stateless",
    "trace",
    "value_and_grad_from_state",
    "warmup_constant_schedule",
    "warmup_cosine_decay_schedule",
    "warmup_exponential_decay_schedule",
    "zero_nans",
]


def _states() -> list[type]:
    """List the public classes that states consist of; a transformation holds functions and is not among them."""
    public = (globals()[name] for name in __all__ if name != "GradientTransformation")
    return [kind for kind in public if isinstance(kind, type) and issubclass(kind, tuple)]


add_safe_globals([*_states()])
