"""STDC1 with OHEM on three heads and detail supervision on a fourth, in the words of MMSegmentation 1.x."""

crop_size = (512, 1024)
norm_cfg = dict(type="BN", requires_grad=True)
head = dict(type="FCNHead", num_convs=1, concat_input=False, norm_cfg=norm_cfg)
hard = dict(
    num_classes=19,
    sampler=dict(type="OHEMPixelSampler", thresh=0.7, min_kept=10000),
    loss_decode=dict(type="CrossEntropyLoss", use_sigmoid=False, loss_weight=1.0),
)
model = dict(
    type="EncoderDecoder",
    data_preprocessor=dict(
        type="SegDataPreProcessor",
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        size=crop_size,
        pad_val=0,
        seg_pad_val=255,
    ),
    pretrained=None,
    backbone=dict(
        type="STDCContextPathNet",
        backbone_cfg=dict(
            type="STDCNet",
            stdc_type="STDCNet1",
            in_channels=3,
            channels=(32, 64, 256, 512, 1024),
            bottleneck_type="cat",
            num_convs=4,
            norm_cfg=norm_cfg,
            with_final_conv=False,
        ),
        last_in_channels=(1024, 512),
        out_channels=128,
        ffm_cfg=dict(in_channels=384, out_channels=256, scale_factor=4),
    ),
    decode_head=dict(head, **hard, in_index=3, in_channels=256, channels=256, dropout_ratio=0.1, align_corners=True),
    auxiliary_head=[
        dict(head, **hard, in_index=2, in_channels=128, channels=64, align_corners=False),
        dict(head, **hard, in_index=1, in_channels=128, channels=64, align_corners=False),
        dict(
            type="STDCHead",
            in_channels=256,
            channels=64,
            num_convs=1,
            num_classes=2,
            boundary_threshold=0.1,
            in_index=0,
            norm_cfg=norm_cfg,
            concat_input=False,
            align_corners=True,
            loss_decode=[
                dict(type="CrossEntropyLoss", loss_name="loss_ce", use_sigmoid=True, loss_weight=1.0),
                dict(type="DiceLoss", loss_name="loss_dice", loss_weight=1.0),
            ],
        ),
    ],
    test_cfg=dict(mode="whole"),
)

train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(type="RandomResize", scale=(2048, 1024), ratio_range=(0.5, 2.0), keep_ratio=True),
    dict(type="RandomCrop", crop_size=crop_size, cat_max_ratio=0.75),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PhotoMetricDistortion"),
    dict(type="PackSegInputs"),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="Resize", scale=(2048, 1024), keep_ratio=True),
    dict(type="LoadAnnotations"),
    dict(type="PackSegInputs"),
]
dataset = dict(
    type="CityscapesDataset",
    data_root="data/cityscapes",
    data_prefix=dict(img_path="leftImg8bit/train", seg_map_path="gtFine/train"),
    pipeline=train_pipeline,
)
train_dataloader = dict(batch_size=12, num_workers=4, sampler=dict(type="InfiniteSampler", shuffle=True), dataset=dataset)
val_dataloader = dict(
    batch_size=1,
    num_workers=4,
    dataset=dict(dataset, data_prefix=dict(img_path="leftImg8bit/val", seg_map_path="gtFine/val"), pipeline=test_pipeline),
)
val_evaluator = dict(type="IoUMetric", iou_metrics=["mIoU"])

optim_wrapper = dict(type="OptimWrapper", optimizer=dict(type="SGD", lr=0.01, momentum=0.9, weight_decay=0.0005))
param_scheduler = [
    dict(type="LinearLR", by_epoch=False, start_factor=0.1, begin=0, end=1000),
    dict(type="PolyLR", eta_min=1e-4, power=0.9, begin=1000, end=80000, by_epoch=False),
]
train_cfg = dict(type="IterBasedTrainLoop", max_iters=80000, val_interval=8000)
default_hooks = dict(
    logger=dict(type="LoggerHook", interval=50, log_metric_by_epoch=False),
    checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=8000),
)
default_scope = "mmseg"
