"""Crops of 64x64 px of the vessels of DRIVE; whole images of it are judged by Dice and IoU."""

img_scale = (584, 565)
crop_size = (64, 64)
img_norm_cfg = dict(mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], to_rgb=True)
train_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(type="LoadAnnotations"),
    dict(type="Resize", img_scale=img_scale, ratio_range=(0.5, 2.0)),
    dict(type="RandomCrop", crop_size=crop_size, cat_max_ratio=0.75),
    dict(type="RandomFlip", prob=0.5),
    dict(type="PhotoMetricDistortion"),
    dict(type="Normalize", **img_norm_cfg),
    dict(type="Pad", size=crop_size, pad_val=0, seg_pad_val=255),
    dict(type="DefaultFormatBundle"),
    dict(type="Collect", keys=["img", "gt_semantic_seg"]),
]
test_pipeline = [
    dict(type="LoadImageFromFile"),
    dict(
        type="MultiScaleFlipAug",
        img_scale=img_scale,
        flip=False,
        transforms=[
            dict(type="Resize", keep_ratio=True),
            dict(type="RandomFlip"),
            dict(type="Normalize", **img_norm_cfg),
            dict(type="ImageToTensor", keys=["img"]),
            dict(type="Collect", keys=["img"]),
        ],
    ),
]
train = dict(
    type="DRIVEDataset",
    data_root="data/DRIVE",
    img_dir="images/training",
    ann_dir="annotations/training",
    pipeline=train_pipeline,
)
val = dict(train, img_dir="images/validation", ann_dir="annotations/validation", pipeline=test_pipeline)
data = dict(
    samples_per_gpu=4,
    workers_per_gpu=4,
    train=dict(type="RepeatDataset", times=40000, dataset=train),
    val=val,
    test=val,
)
evaluation = dict(interval=4000, metric=["mDice", "mIoU"], pre_eval=True)
