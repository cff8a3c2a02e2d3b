"""The same with cross-entropy and Dice, 1 : 3, on both heads, as the tutorial on several losses writes it."""

_base_ = "./unet_4xb4_drive.py"
losses = [
    dict(type="CrossEntropyLoss", loss_name="loss_ce", loss_weight=1.0),
    dict(type="DiceLoss", loss_name="loss_dice", loss_weight=3.0),
]
model = dict(decode_head=dict(loss_decode=losses), auxiliary_head=dict(loss_decode=losses))
