"""A model of one's own: aeon's MiniRocket and a linear classifier; see `own_model.toml`.

MiniRocket: Dempster, Schmidt and Webb (2021), "MiniRocket: a very fast (almost) deterministic
transform for time series classification".
"""

from aeon.transformations.collection.convolution_based import MiniRocket
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler


def make(seed: int) -> Pipeline:
    rocket = MiniRocket(n_kernels=500, random_state=seed, n_jobs=1)
    return make_pipeline(rocket, StandardScaler(), LogisticRegression(C=1e-4))
