"""Features of many dimensions as points in the plane, by scikit-learn."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE

PERPLEXITY = 30.0


@dataclass(frozen=True)
class Projection:
    """Features in the plane.

    Parameters
    ----------
    points
        float64 of shape (N, 2).
    explained
        Shares of the variance, 0 to 1, that the two directions have; None where directions have no
        such meaning.
    """

    points: npt.NDArray[np.float64]
    explained: tuple[float, float] | None = None

    def __str__(self) -> str:
        if self.explained is None:
            return "t-SNE"
        first, second = self.explained
        return f"PCA, {first:.0%} and {second:.0%} of the variance"


def project(features: npt.NDArray[np.floating], method: str, seed: int) -> Projection:
    """The features in the plane.

    Parameters
    ----------
    features
        Shape (N, F), N and F 2 or more, not all rows the same.
    method
        ``pca``: the two directions of the largest variance, as they are. ``tsne``: van der Maaten &
        Hinton 2008, "Visualizing Data using t-SNE"; neighbours stay neighbours, distances between
        groups mean little. It starts from the principal components, with a perplexity of 30 or, for
        fewer than 91 rows, a third of the others' number.
    seed
        Of what is drawn at random.
    """
    if method == "pca":
        analysis = PCA(n_components=2, random_state=seed)
        points = analysis.fit_transform(features)
        first, second = analysis.explained_variance_ratio_.tolist()
        return Projection(np.asarray(points, np.float64), (first, second))
    perplexity = min(PERPLEXITY, (len(features) - 1) / 3)
    embedding = TSNE(perplexity=perplexity, init="pca", random_state=seed)
    return Projection(np.asarray(embedding.fit_transform(features), np.float64))
