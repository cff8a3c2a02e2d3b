"""FCN on a U-Net of five stages, with an auxiliary FCN one stage earlier; two classes."""

norm_cfg = dict(type="SyncBN", requires_grad=True)
cross_entropy = dict(type="CrossEntropyLoss", use_sigmoid=False, loss_weight=1.0)
head = dict(
    type="FCNHead",
    channels=64,
    num_convs=1,
    concat_input=False,
    dropout_ratio=0.1,
    num_classes=2,
    norm_cfg=norm_cfg,
    align_corners=False,
)
model = dict(
    type="EncoderDecoder",
    pretrained=None,
    backbone=dict(
        type="UNet",
        base_channels=64,
        num_stages=5,
        strides=(1, 1, 1, 1, 1),
        enc_num_convs=(2, 2, 2, 2, 2),
        dec_num_convs=(2, 2, 2, 2),
        downsamples=(True, True, True, True),
        norm_cfg=norm_cfg,
        upsample_cfg=dict(type="InterpConv"),
    ),
    decode_head=dict(**head, in_channels=64, in_index=4, loss_decode=cross_entropy),
    auxiliary_head=dict(**head, in_channels=128, in_index=3, loss_decode=dict(**cross_entropy)),
    train_cfg=dict(),
    test_cfg=dict(mode="slide", crop_size=(64, 64), stride=(42, 42)),
)
model["auxiliary_head"]["loss_decode"]["loss_weight"] = 0.4
