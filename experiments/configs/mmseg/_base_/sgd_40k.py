"""40,000 iterations of SGD whose rate falls by a power of the iteration; judged and saved ten times."""

optimizer = dict(type="SGD", lr=0.01, momentum=0.9, weight_decay=0.0005)
optimizer_config = dict()
lr_config = dict(policy="poly", power=0.9, min_lr=1e-4, by_epoch=False)
runner = dict(type="IterBasedRunner", max_iters=40000)
checkpoint_config = dict(by_epoch=False, interval=4000)
log_config = dict(interval=50, hooks=[dict(type="TextLoggerHook", by_epoch=False)])
workflow = [("train", 1)]
cudnn_benchmark = True
