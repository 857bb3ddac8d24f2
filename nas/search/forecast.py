"""What a run knows of a candidate before anything of it is run: its step time, and how long its trial will take."""

from collections.abc import Iterable, Sequence

import numpy as np

from nas.measure import Calibration, Prediction, StepTimeModel
from results import TrialResult
from search_space import ArchSpec

__all__ = ["Forecast"]

MIN_TRIALS = 3


class Forecast:
    """Knows nothing until it is given a calibration; from then on it learns from every trial on that device."""

    def __init__(self) -> None:
        self._model: StepTimeModel | None = None
        self._device = ""
        self._lengths: list[tuple[float, float]] = []

    def begin(self, calibration: Calibration, trials: Iterable[TrialResult]) -> None:
        """Predict from this calibration, corrected by the trials of earlier sessions."""
        self._model = StepTimeModel(calibration)
        self._device = calibration.conditions.device
        self._lengths = []
        for trial in trials:
            self.learn(trial)

    def step_time(self, arch: ArchSpec) -> Prediction | None:
        """The predicted ratio to the reference network; None where nothing is known."""
        return self._model.predict(arch) if self._model else None

    def step_times(self, archs: Sequence[ArchSpec]) -> Sequence[Prediction | None]:
        """The predicted ratios of many networks, faster than one by one."""
        return self._model.predict_all(archs) if self._model else [None] * len(archs)

    def trial_seconds(self, predicted: Prediction | None) -> float | None:
        """How long a trial of that step time is expected to take at most. None where too little is known.

        Seconds are a line in the step time, through those so far, neither part of it negative; as much is added as the
        trial took longer that did worst by it: the load differs.
        """
        if predicted is None or len(self._lengths) < MIN_TRIALS:
            return None
        from scipy.optimize import nnls

        ratios, seconds = np.array(self._lengths).T
        (fixed, per_ratio), _ = nnls(np.column_stack([np.ones_like(ratios), ratios]), seconds)
        worst = float(np.max(seconds / (fixed + per_ratio * ratios)))
        return float(worst * (fixed + per_ratio * predicted.ratio))

    def learn(self, trial: TrialResult) -> None:
        """A finished trial, whatever its status and its device: what was measured elsewhere teaches nothing."""
        ratio, low, high = trial.step_time_ratio, trial.step_time_ratio_low, trial.step_time_ratio_high
        if self._model is None or trial.device != self._device or ratio is None or low is None or high is None:
            return
        self._model.learn(trial.arch, ratio, low, high)
        if trial.ok and not trial.repeat:
            self._lengths.append((ratio, trial.seconds))
