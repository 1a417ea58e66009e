"""What watches or steers a run, as Lightning callbacks.

- ``strategies``: which frames of a window are worth labelling
- ``prequential``: predict, then train: the errors
- ``timing``, ``ledger``, ``window_logger``: what a window cost, a row per window, one tracking call per window
- ``sampler``, ``run_record``, ``progress``: pictures, artifacts and the table at the end; the progress bar
"""
