"""U-Net on the vessels of DRIVE with cross-entropy alone, in the words of MMSegmentation 0.x."""

_base_ = ["./_base_/fcn_unet.py", "./_base_/drive.py", "./_base_/sgd_40k.py"]
