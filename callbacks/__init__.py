"""What watches or steers a run, as Lightning callbacks.

- ``strategies``: which frames of a window are worth labelling
- ``prequential``: predict, then train: the errors
- ``diagnostics``, ``retention``, ``hindsight``: what a selection is worth, what is kept of the source domain, what the
  final weights keep of the stream
- ``timing``, ``ledger``, ``window_logger``: what a window cost, a row per window, one tracking call per window
- ``sampler``, ``run_record``, ``progress``, ``window_watcher``: pictures, artifacts and the table at the end; the
  progress bar; a function that looks at every window
"""
