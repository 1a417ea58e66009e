"""A stand-in for the adapter, which speaks as it does and learns nothing: ``adapter.py FOLDER BEHAVIOUR``."""

import os
import shutil
import sys
import time
from multiprocessing.connection import Connection
from pathlib import Path

ROW = {
    "teacher_distance_px": 7.5, "selected_frames": [1], "teacher_calls": 2, "teacher_calls_total": 2,
    "optimizer_steps_total": 20, "seconds/label": 0.5, "seconds/train": 0.25,
}  # fmt: skip
WINDOW = 5

folder, behaviour = Path(sys.argv[1]), sys.argv[2]
server = Connection(0)
(folder / f"started-{time.monotonic_ns()}").touch()
if behaviour == "refuses":
    server.send(("failed", {"error": "teacher.path=gone.onnx: no such file"}))
    sys.exit(2)
server.send(("wish", {"teacher": None, "every": 1, "first": 0}))
frames, window = 0, 0
while True:
    try:
        message = server.recv()
    except EOFError:
        (folder / "state").write_text(str(window))
        sys.exit(0)
    if message is None:
        sys.exit(0)
    frames += 1
    if frames % WINDOW:
        continue
    server.send(("busy", {}))
    if behaviour == "slow":
        time.sleep(60)
    if behaviour == "teacher fails" and not (folder / "teacher is back").exists():
        server.send(("failed", {"error": "the teacher does not answer"}))
        sys.exit(1)
    ready = sorted(folder.glob("next-*.safetensors"))[:1]
    for path in ready:
        shutil.copy(path, folder / "copied")
        os.replace(folder / "copied", folder / "weights.safetensors")
        path.unlink()
    row = ROW | {"window": window, "last_frame": frames - 1, "live/generation": float(len(ready))}
    said = {"gate": "published" if ready else "refused", "slack_s": 1.0, "taken_s": 0.5, "chosen": [(1, b"jpeg")]}
    server.send(("window", {"row": row, **said}))
    window += 1
