"""A service at a camera: a student predicts every frame while another process adapts it by the loop of a run.

- ``camera``: the newest frame of a camera, a URL or a file at its own rate
- ``mailbox``: the one slot through which new weights come
- ``handover``, ``feed``: frames on their way to the adapter, and as it reads them
- ``publisher``, ``clock``: the loop's link to the service, in the adapter
- ``supervisor``: keeps an adapter running
- ``server``: predicts, and swaps weights between two frames
- ``figures``, ``outputs``, ``segments``, ``web``: what it says of itself, and where poses go
"""
