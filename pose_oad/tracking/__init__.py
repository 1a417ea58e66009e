"""What a run leaves, and how it is written: the tracking store, records that wait for it, whole files.

- ``store``: MLflow, and what every run says about itself
- ``delivery``: records that the store could not take, delivered later
- ``files``, ``atomic_output``, ``checkpoint_io``, ``torch_file``: files replaced in one step, and read as data
- ``errors``: mistakes that a user can mend
- ``progress``: a progress bar where somebody is watching
"""
