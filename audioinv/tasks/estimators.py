"""scikit-learn's face: estimators that learn descriptor and readout, for pipelines and searches."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import (
    check_array,
    check_consistent_length,
    check_is_fitted,
    column_or_1d,
    validate_data,
)

from audioinv.base.errors import UserError
from audioinv.core.encoder import AmortisedEncoder
from audioinv.data.pack import Pack
from audioinv.tasks.clips import encoder_clips
from audioinv.tasks.face import adapt
from audioinv.tasks.given import frozen


class _Amortised(BaseEstimator):
    """What both estimators share; the parameters are those of their docstrings."""

    kind: str

    def __init__(
        self,
        encoder: AmortisedEncoder | str | Path | None = None,
        pack: Pack | None = None,
        *,
        mode: str = "soft",
        readout: str = "ridge",
        l2: float = 0.0,
        layers: str = "last",
        seed: int = 0,
    ) -> None:
        self.encoder = encoder
        self.pack = pack
        self.mode = mode
        self.readout = readout
        self.l2 = l2
        self.layers = layers
        self.seed = seed

    def _taken(self, X: Any) -> tuple[AmortisedEncoder, Any]:
        """A frozen encoder and the clips to fit on."""
        if self.encoder is None:
            raise UserError("there is no encoder; give encoder=ENCODER, or the folder of one")
        encoder = frozen(self.encoder)
        return encoder, self._clips(X, encoder)

    def _learn(self, encoder: AmortisedEncoder, clips: Any, y: NDArray[Any]) -> None:
        """Learns from checked clips and labels."""
        self.adapted_ = adapt(
            encoder,
            clips,
            y,
            mode=self.mode,
            seed=self.seed,
            kind=self.kind,
            readout=self.readout,
            l2=self.l2,
            layers=self.layers,
        )
        self.descriptor_ = self.adapted_.descriptor

    def _clips(self, X: Any, encoder: AmortisedEncoder | None = None) -> Any:
        """Clips (n, ...): of the pack's rows `X` (n,), or `X` itself, checked.

        Args:
            encoder: in `fit`; None takes that which was fitted on.
        """
        begins = encoder is not None
        if self.pack is None:
            least = 2 if begins else 1
            return validate_data(self, X, reset=begins, allow_nd=True, ensure_min_samples=least)
        rows = check_array(X, ensure_2d=False, dtype=np.int64).reshape(-1)
        last = len(self.pack) - 1
        if rows.min() < 0 or rows.max() > last:
            raise UserError(f"rows are {rows.min()} to {rows.max()}; give 0 to {last}")
        return encoder_clips(encoder or self.adapted_.encoder, self.pack, rows.tolist())


class AmortisedClassifier(ClassifierMixin, _Amortised):
    """A classifier of clips: learns a descriptor and a linear readout of a frozen encoder.

        digits = ai.AmortisedClassifier(encoder, mode="search").fit(x, y)
        digits.predict(x), digits.descriptor_

    Args:
        encoder: it, or the folder of one, which is cheaper to clone.
        pack: if given, `X` are rows of it, (n,) or (n, 1); else clips (n, ...) as the front end
            takes them.
        mode, readout, l2, layers, seed: as of `audioinv.adapt`.

    Attributes:
        classes_: labels (m,). descriptor_: component -> value. adapted_: the `AdaptedTask`.
    """

    kind = "classification"

    def fit(self, X: ArrayLike, y: ArrayLike) -> AmortisedClassifier:
        """Learns from clips or rows `X` and a label each, `y` (n,).

        Raises:
            ValueError: no labels, not of classes, or of fewer than two.
            UserError: no encoder, an unknown mode or readout, or clips of another size.
        """
        encoder, clips = self._taken(X)
        labels = _labels(self, clips, y)
        check_classification_targets(labels)
        labels = column_or_1d(labels, warn=True)
        self.classes_ = np.unique(labels)
        if len(self.classes_) < 2:
            raise ValueError(f"a classifier needs 2 classes or more, there is 1 class: {labels[0]}")
        self._learn(encoder, clips, labels)
        return self

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Labels (n,) of clips or rows `X`."""
        check_is_fitted(self)
        predicted: NDArray[Any] = self.adapted_.predict(self._clips(X))
        return predicted

    def predict_proba(self, X: ArrayLike) -> NDArray[Any]:
        """Probabilities (n, m) of `classes_`."""
        check_is_fitted(self)
        found: NDArray[Any] = self.adapted_.predict_proba(self._clips(X))
        return found


class AmortisedRegressor(RegressorMixin, _Amortised):
    """A regressor of clips: learns a descriptor and a ridge readout of a frozen encoder.

        level = ai.AmortisedRegressor(encoder, mode="search").fit(x, x.square().mean(1))
        level.predict(x)

    Args:
        encoder: it, or the folder of one, which is cheaper to clone.
        pack: if given, `X` are rows of it, (n,) or (n, 1); else clips (n, ...) as the front end
            takes them.
        mode, readout, l2, layers, seed: as of `audioinv.adapt`.

    Attributes:
        descriptor_: component -> value. adapted_: the `AdaptedTask`.
    """

    kind = "regression"

    def fit(self, X: ArrayLike, y: ArrayLike) -> AmortisedRegressor:
        """Learns from clips or rows `X` and a value each, `y` (n,), or several, (n, D).

        Raises:
            ValueError: no values, or not finite ones.
            UserError: no encoder, an unknown mode, or clips of another size.
        """
        encoder, clips = self._taken(X)
        values = check_array(_labels(self, clips, y), ensure_2d=False, dtype=np.float64)
        one = values.ndim == 1 or values.shape[1] == 1
        self._learn(encoder, clips, column_or_1d(values, warn=True) if one else values)
        return self

    def predict(self, X: ArrayLike) -> NDArray[Any]:
        """Values (n,) or (n, D) of clips or rows `X`."""
        check_is_fitted(self)
        return self.adapted_.predict(self._clips(X)).astype(np.float64)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags


def _labels(estimator: _Amortised, clips: Any, y: ArrayLike) -> NDArray[Any]:
    """`y` as an array of as many labels as there are clips.

    Raises:
        ValueError: there is none, or they are not as many.
    """
    if y is None:
        name = type(estimator).__name__
        raise ValueError(f"{name} requires y to be passed, but the target y is None")
    check_consistent_length(clips, y)
    return check_array(y, ensure_2d=False, dtype=None, allow_nd=True, input_name="y")
