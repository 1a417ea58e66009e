"""Studies: many runs that answer one question.

- ``plan``: a study's description, and the trials that follow from it
- ``queue``: the trials in Optuna's storage: who works on what, what a killed worker left behind
- ``pruning``: which trials are not worth finishing
- ``worker``: one process that works through the queue
- ``runner``: everything around the workers: preparation, the parent run, progress
"""
