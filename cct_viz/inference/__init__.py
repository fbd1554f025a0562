"""From a checkpoint to a Trace: load, the classifier and its runners, and the records that explanations read."""
