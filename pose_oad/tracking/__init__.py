"""What a run leaves, and how it is written: the tracking store, records that wait for it, whole files.

- ``store``: MLflow, and what every run says about itself
- ``delivery``: records that the store could not take, delivered later
- ``files``: files replaced in one step; ``hdf5``, ``torch_file``, ``checkpoint_io``: their kinds, read as data
- ``errors``: mistakes that a user can mend
- ``progress``: a progress bar where somebody is watching; ``ahead``: a thread that makes what comes next
"""
