"""Whole optimizers, such as `adam`, and the core transformation of each, such as `scale_by_adam`.

To add an optimizer, write a file here, add its names to the lists below and a line to OPTIMIZERS in tests/tables.py,
which holds it to every law, and test it against a reference in tests/optim.
"""

from funcnet.optim.algorithms.adadelta import ScaleByAdaDeltaState, adadelta, scale_by_adadelta
from funcnet.optim.algorithms.adafactor import FactoredState, adafactor, scale_by_factored_rms
from funcnet.optim.algorithms.adagrad import ScaleByRssState, adagrad, scale_by_rss
from funcnet.optim.algorithms.adam import ScaleByAdamState, adam, adamw, nadam, nadamw, scale_by_adam
from funcnet.optim.algorithms.adamax import adamax, adamaxw, scale_by_adamax
from funcnet.optim.algorithms.amsgrad import ScaleByAmsgradState, amsgrad, scale_by_amsgrad
from funcnet.optim.algorithms.lamb import lamb
from funcnet.optim.algorithms.lars import lars
from funcnet.optim.algorithms.lbfgs import ScaleByLBFGSState, lbfgs, scale_by_lbfgs
from funcnet.optim.algorithms.lion import ScaleByLionState, lion, scale_by_lion
from funcnet.optim.algorithms.muon import MuonState, muon, orthogonalize, scale_by_muon
from funcnet.optim.algorithms.radam import radam, scale_by_radam
from funcnet.optim.algorithms.rmsprop import (
    ScaleByRmsState,
    ScaleByRStdDevState,
    rmsprop,
    scale_by_rms,
    scale_by_stddev,
)
from funcnet.optim.algorithms.sgd import noisy_sgd, sgd, sign_sgd

__all__ = [
    "FactoredState",
    "MuonState",
    "ScaleByAdaDeltaState",
    "ScaleByAdamState",
    "ScaleByAmsgradState",
    "ScaleByLBFGSState",
    "ScaleByLionState",
    "ScaleByRStdDevState",
    "ScaleByRmsState",
    "ScaleByRssState",
    "adadelta",
    "adafactor",
    "adagrad",
    "adam",
    "adamax",
    "adamaxw",
    "adamw",
    "amsgrad",
    "lamb",
    "lars",
    "lbfgs",
    "lion",
    "muon",
    "nadam",
    "nadamw",
    "noisy_sgd",
    "orthogonalize",
    "radam",
    "rmsprop",
    "scale_by_adadelta",
    "scale_by_adam",
    "scale_by_adamax",
    "scale_by_amsgrad",
    "scale_by_factored_rms",
    "scale_by_lbfgs",
    "scale_by_lion",
    "scale_by_muon",
    "scale_by_radam",
    "scale_by_rms",
    "scale_by_rss",
    "scale_by_stddev",
    "sgd",
    "sign_sgd",
]
