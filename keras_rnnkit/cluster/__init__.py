"""A group of processes that train one model together: their addresses, what they exchange, and who restarts them.

    addresses    where each worker of the group listens, from the command line or from TF_CONFIG
    channel      values that the workers exchange, each with all others, within a time limit
    agreement    what must be equal on all workers, and the sentence about what is not
    heartbeat    the file by which a worker shows that its training goes on
    supervisor   starts the workers of this machine, watches them and restarts them

Nothing here needs a framework: a group can refuse a wrong set-up before TensorFlow waits for a worker that never comes.
"""

from keras_rnnkit.cluster.addresses import Cluster, ClusterError, DisagreementError

__all__ = ["Cluster", "ClusterError", "DisagreementError"]
