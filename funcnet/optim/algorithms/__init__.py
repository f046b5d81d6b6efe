"""Whole optimizers, such as `adam`, and the core transformation of each, such as `scale_by_adam`.

To add an optimizer, write a file here, add its names to the lists below and a line to OPTIMIZERS in tests/tables.py,
which holds it to every law, and test it against a reference in tests/optim.
"""

from funcnet.optim.algorithms.acprop import acprop, scale_by_acprop
from funcnet.optim.algorithms.adabelief import ScaleByBeliefState, adabelief, scale_by_belief
from funcnet.optim.algorithms.adadelta import ScaleByAdaDeltaState, adadelta, scale_by_adadelta
from funcnet.optim.algorithms.adafactor import FactoredState, adafactor, scale_by_factored_rms
from funcnet.optim.algorithms.adagrad import ScaleByRssState, adagrad, scale_by_rss
from funcnet.optim.algorithms.adam import ScaleByAdamState, adam, adamw, nadam, nadamw, scale_by_adam
from funcnet.optim.algorithms.adamax import adamax, adamaxw, scale_by_adamax
from funcnet.optim.algorithms.adan import ScaleByAdanState, adan, scale_by_adan
from funcnet.optim.algorithms.ademamix import ScaleByAdemamixState, ademamix, scale_by_ademamix
from funcnet.optim.algorithms.adopt import adopt, scale_by_adopt
from funcnet.optim.algorithms.amsgrad import ScaleByAmsgradState, amsgrad, scale_by_amsgrad
from funcnet.optim.algorithms.cocob import COCOBState, cocob, scale_by_cocob
from funcnet.optim.algorithms.dadapt_adamw import DAdaptAdamWState, dadapt_adamw
from funcnet.optim.algorithms.dog import (
    DoGState,
    DoWGState,
    ScaleByDistanceOverGradientsState,
    dog,
    dowg,
    scale_by_distance_over_gradients,
    scale_by_dog,
    scale_by_dowg,
)
from funcnet.optim.algorithms.dpsgd import dpsgd
from funcnet.optim.algorithms.fromage import fromage
from funcnet.optim.algorithms.lamb import lamb
from funcnet.optim.algorithms.lars import lars
from funcnet.optim.algorithms.lbfgs import ScaleByLBFGSState, lbfgs, scale_by_lbfgs
from funcnet.optim.algorithms.lion import ScaleByLionState, lion, scale_by_lion
from funcnet.optim.algorithms.madgrad import MadgradState, madgrad, scale_by_madgrad
from funcnet.optim.algorithms.momo import MomoAdamState, MomoState, momo, momo_adam
from funcnet.optim.algorithms.muon import MuonState, muon, scale_by_muon
from funcnet.optim.algorithms.novograd import ScaleByNovogradState, novograd, scale_by_novograd
from funcnet.optim.algorithms.optimistic import (
    ScaleByOptimisticGradientState,
    optimistic_adam,
    optimistic_adam_v2,
    optimistic_gradient_descent,
    scale_by_optimistic_gradient,
)
from funcnet.optim.algorithms.orthogonal import MuonDimensionNumbers, orthogonalize
from funcnet.optim.algorithms.polyak import polyak_sgd, scale_by_polyak
from funcnet.optim.algorithms.prodigy import ProdigyState, prodigy
from funcnet.optim.algorithms.radam import radam, scale_by_radam
from funcnet.optim.algorithms.rmsprop import (
    ScaleByRmsState,
    ScaleByRStdDevState,
    rmsprop,
    scale_by_rms,
    scale_by_stddev,
)
from funcnet.optim.algorithms.rprop import ScaleByRpropState, rprop, scale_by_rprop
from funcnet.optim.algorithms.sgd import noisy_sgd, sgd, sign_sgd, signum
from funcnet.optim.algorithms.simplified_ademamix import (
    ScaleBySimplifiedAdEMAMixState,
    scale_by_simplified_ademamix,
    simplified_ademamix,
)
from funcnet.optim.algorithms.sm3 import ScaleBySM3State, scale_by_sm3, sm3
from funcnet.optim.algorithms.sophia import (
    HutchinsonState,
    SophiaState,
    hutchinson_estimator_diag_hessian,
    scale_by_sophia,
    sophia,
)
from funcnet.optim.algorithms.yogi import scale_by_yogi, yogi

__all__ = [
    "COCOBState",
    "DAdaptAdamWState",
    "DoGState",
    "DoWGState",
    "FactoredState",
    "HutchinsonState",
    "MadgradState",
    "MomoAdamState",
    "MomoState",
    "MuonDimensionNumbers",
    "MuonState",
    "ProdigyState",
    "ScaleByAdaDeltaState",
    "ScaleByAdamState",
    "ScaleByAdanState",
    "ScaleByAdemamixState",
    "ScaleByAmsgradState",
    "ScaleByBeliefState",
    "ScaleByDistanceOverGradientsState",
    "ScaleByLBFGSState",
    "ScaleByLionState",
    "ScaleByNovogradState",
    "ScaleByOptimisticGradientState",
    "ScaleByRStdDevState",
    "ScaleByRmsState",
    "ScaleByRpropState",
    "ScaleByRssState",
    "ScaleBySM3State",
    "ScaleBySimplifiedAdEMAMixState",
    "SophiaState",
    "acprop",
    "adabelief",
    "adadelta",
    "adafactor",
    "adagrad",
    "adam",
    "adamax",
    "adamaxw",
    "adamw",
    "adan",
    "ademamix",
    "adopt",
    "amsgrad",
    "cocob",
    "dadapt_adamw",
    "dog",
    "dowg",
    "dpsgd",
    "fromage",
    "hutchinson_estimator_diag_hessian",
    "lamb",
    "lars",
    "lbfgs",
    "lion",
    "madgrad",
    "momo",
    "momo_adam",
    "muon",
    "nadam",
    "nadamw",
    "noisy_sgd",
    "novograd",
    "optimistic_adam",
    "optimistic_adam_v2",
    "optimistic_gradient_descent",
    "orthogonalize",
    "polyak_sgd",
    "prodigy",
    "radam",
    "rmsprop",
    "rprop",
    "scale_by_acprop",
    "scale_by_adadelta",
    "scale_by_adam",
    "scale_by_adamax",
    "scale_by_adan",
    "scale_by_ademamix",
    "scale_by_adopt",
    "scale_by_amsgrad",
    "scale_by_belief",
    "scale_by_cocob",
    "scale_by_distance_over_gradients",
    "scale_by_dog",
    "scale_by_dowg",
    "scale_by_factored_rms",
    "scale_by_lbfgs",
    "scale_by_lion",
    "scale_by_madgrad",
    "scale_by_muon",
    "scale_by_novograd",
    "scale_by_optimistic_gradient",
    "scale_by_polyak",
    "scale_by_radam",
    "scale_by_rms",
    "scale_by_rprop",
    "scale_by_rss",
    "scale_by_simplified_ademamix",
    "scale_by_sm3",
    "scale_by_sophia",
    "scale_by_stddev",
    "scale_by_yogi",
    "sgd",
    "sign_sgd",
    "signum",
    "simplified_ademamix",
    "sm3",
    "sophia",
    "yogi",
]
