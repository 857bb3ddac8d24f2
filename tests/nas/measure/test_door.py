"""The room's door."""

import subprocess
import sys

import pytest

from nas import measure


def test_the_door_names_what_there_is() -> None:
    assert sorted(measure.__all__) == measure.__all__
    for name in measure.__all__:
        assert getattr(measure, name).__module__.startswith("nas.measure.")
    with pytest.raises(AttributeError, match="has no attribute 'step_times'"):
        _ = measure.step_times


def test_the_door_leaves_torch_out() -> None:
    code = (
        "import sys; from nas.measure import Calibration, Conditions, StepTime, StepTimeModel, network_parts; "
        "print(sorted({'torch', 'torchvision', 'ray', 'sklearn', 'scipy', 'pydantic'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_reading_a_calibration_and_predicting_need_no_torch() -> None:
    code = (
        "import sys; from nas.measure import Calibration, Conditions, PartTime, StepTimeModel, space_parts; "
        "from nas.measure.calibration import load_calibration, save_calibration; "
        "from nas.device import Compute; from search_space import load_space; "
        "space = load_space('nas-bench-macro'); conditions = Conditions(device='a chip', compute=Compute(), "
        "batch_size=2, image_size=32, optimizer='sgd', drop_path=0.0); "
        "parts = {part.name: PartTime(ratio=0.1, num_rounds=9) for part in space_parts(space, 32)}; "
        "save_calibration(Calibration(conditions=conditions, versions={}, reference=space.reference, "
        "reference_s=0.1, parts=parts, seconds=1.0, made_at='')); "
        "model = StepTimeModel(load_calibration(conditions, {}, space.reference)); "
        "print(round(model.predict(space.reference).ratio, 3), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1.0 False"
