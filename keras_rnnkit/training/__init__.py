"""Training on long sequences: carried states, gradient norms, schedules, metrics, averages and exact checkpoints."""

from keras_rnnkit.training.averages import AveragedWeights, averaged, averaging
from keras_rnnkit.training.checkpoint import Checkpoint, CheckpointError, resume
from keras_rnnkit.training.distributed import Group, distribute
from keras_rnnkit.training.distribution import synchronized
from keras_rnnkit.training.forecast_losses import GaussianNLL, Pinball
from keras_rnnkit.training.gradient_flow import GradientFlow, gradient_norms
from keras_rnnkit.training.gradients import GradientLog, watched
from keras_rnnkit.training.learning_rates import RateCurve, find_rate
from keras_rnnkit.training.loop import FollowEpochs, fit
from keras_rnnkit.training.losses import NextToken
from keras_rnnkit.training.metrics import BitsPerCharacter, CrossEntropy, Perplexity
from keras_rnnkit.training.schedules import AfterEpoch, Plateau, WarmUp, initialize_uniformly, schedule
from keras_rnnkit.training.state import CarriedState, carried_states, other_rows, reset_states

__all__ = [
    "AfterEpoch",
    "AveragedWeights",
    "BitsPerCharacter",
    "CarriedState",
    "Checkpoint",
    "CheckpointError",
    "CrossEntropy",
    "FollowEpochs",
    "GaussianNLL",
    "GradientFlow",
    "GradientLog",
    "Group",
    "NextToken",
    "Perplexity",
    "Pinball",
    "Plateau",
    "RateCurve",
    "WarmUp",
    "averaged",
    "averaging",
    "carried_states",
    "distribute",
    "find_rate",
    "fit",
    "gradient_norms",
    "initialize_uniformly",
    "other_rows",
    "reset_states",
    "resume",
    "schedule",
    "synchronized",
    "watched",
]
