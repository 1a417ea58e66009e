"""Teachers: frames in, labelled people out.

``base`` holds the contract; every other module is a teacher, a part of one, or stands between a teacher and a run:
``cache`` keeps labels for later runs, ``label_filter`` rejects some, ``ensemble`` combines several teachers.
"""
