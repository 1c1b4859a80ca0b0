"""A model of one's own: LightGBM on each bar's features, for `model.file`; see `own_model.toml`.

Fewer, larger leaves and a slow rate, because a market's labels overlap and tell little.
"""

from lightgbm import LGBMClassifier


def make(seed: int) -> LGBMClassifier:
    return LGBMClassifier(
        n_estimators=100,
        learning_rate=0.03,
        num_leaves=7,
        min_child_samples=200,
        random_state=seed,
        deterministic=True,
        n_jobs=1,  # splits are trained side by side
        verbose=-1,
    )
