Documentation with pictures, in `docs/`: setting up each kind of storage, restoring on a new machine step by step, every
error message with its remedy. The addon can be installed as a Python package.
