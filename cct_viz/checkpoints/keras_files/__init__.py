"""Files that Keras saves: `.keras`, `.weights.h5`, `.h5` and TensorFlow checkpoints; parsed, no class is ever run.

- `hdf5`: an HDF5 file as a tree of arrays, with everything refused that a file of weights does not need.
- `layers`: layers with their arrays, in the model's order, from each layout.
- `described`: what the JSON beside the weights says.
- `parts`: which layer plays which part in a compact transformer.
- `reader`: configuration and canonical weights; what the file does not say is assumed aloud.
- `archive`, `weights_file`, `tf_checkpoint`: one format each.
"""
