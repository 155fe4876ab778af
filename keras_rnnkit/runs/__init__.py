"""The frame of pipelines: settings, training, the best weights, evaluation, pictures and reports of a run."""
