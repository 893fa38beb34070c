Documentation with pictures, in `docs/`, also as a website (`make docs`): a quick start, each storage provider step by step
with the smallest policy, restoring on a new machine, moving to another server, getting one lost record back, sizing, and every
error message with its remedy. The addon can be installed as a Python package.
