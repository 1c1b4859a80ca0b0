"""What `[model]` and `[training]` may say."""

import pytest

from convnext_vbt.learning.settings import ModelConfig, TrainingConfig


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("size", "huge", "model.size must be one of .*atto.*, got 'huge'"),
        ("depths", (1, 1), "model.depths and model.dims must be of equal length"),
        ("dims", (1, 2, 3, 0), "model.dims must be all >= 1"),
        ("kernel_size", 1, "model.kernel_size must be at least 2, got 1"),
        ("version", 2, "model.version must be 1: GRN of version 2 reads the future, got 2"),
        ("layer_scale", 0.0, "model.layer_scale must be positive"),
        ("drop_path", 1.0, r"model.drop_path must be in \[0, 1\)"),
        ("pool", 0, "model.pool must be at least 1"),
    ],
)
def test_bad_model_settings_are_named(key, value, message):
    with pytest.raises(ValueError, match=message):
        ModelConfig(**{key: value})


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("steps", 0, "training.steps must be at least 1, got 0"),
        ("ensemble", 0, "training.ensemble must be at least 1"),
        ("lr", 0.0, "training.lr must be positive"),
        ("weight_decay", -1.0, "training.weight_decay must be at least 0"),
        ("label_smoothing", 1.0, r"training.label_smoothing must be in \[0, 1\)"),
        ("feature_dropout", -0.1, r"training.feature_dropout must be in \[0, 1\)"),
        ("ema", 1.0, r"training.ema must be in \[0, 1\)"),
        (
            "class_weights",
            "some",
            'training.class_weights must be "none" or "balanced", got \'some\'',
        ),
    ],
)
def test_bad_training_settings_are_named(key, value, message):
    with pytest.raises(ValueError, match=message):
        TrainingConfig(**{key: value})
