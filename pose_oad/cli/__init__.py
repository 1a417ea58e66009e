"""The command line: a module per command, and what they share.

A command is a Hydra application over ``conf/<command>.yaml``: configuration in, call, print.

- ``command``: compose a configuration, build what its nodes name, turn mistakes into one line and exit code 2
- ``assembly``: what an online run is made of, built and checked before it starts
- ``resuming``: find a run to go on with
- ``data``, ``pretrain``, ``online``, ``finetune``: make data, make a student, adapt it to a stream, or offline
- ``sweep``, ``report``, ``replay``, ``sync``: studies, their tables, runs done again, records delivered
- ``predict``, ``evaluate``, ``teacher_eval``, ``export``: use a student, measure students and teachers, take one away
"""
