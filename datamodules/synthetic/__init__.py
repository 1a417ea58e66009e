"""The synthetic world: moving, clothed people in the file formats of COCO keypoints and Human3.6M.

For a reader, from the body outwards:

- :mod:`~datamodules.synthetic.body`: proportions, joint limits, forward kinematics
- :mod:`~datamodules.synthetic.postures` and :mod:`~datamodules.synthetic.motion`: gestures, gait, actions
- :mod:`~datamodules.synthetic.appearance` and :mod:`~datamodules.synthetic.figure`: skin, hair, clothes on solids
- :mod:`~datamodules.synthetic.camera`, :mod:`~datamodules.synthetic.raster` and
  :mod:`~datamodules.synthetic.buffers`: projection, depth buffer, shading
- :mod:`~datamodules.synthetic.scenes` and :mod:`~datamodules.synthetic.places`: backgrounds;
  :mod:`~datamodules.synthetic.post`: shadow, lens, sensor
- :mod:`~datamodules.synthetic.coco_writer` and :mod:`~datamodules.synthetic.human36m_writer`: the two trees
- :mod:`~datamodules.synthetic.plan`, :mod:`~datamodules.synthetic.generate` and
  :mod:`~datamodules.synthetic.contact_sheet`: what is made, making it, looking at it

Nothing outside this package knows that data are synthetic.
"""
