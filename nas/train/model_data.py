"""What one has to know of a trained model's data to use it: data.json beside the weights. No torch here."""

import json
from dataclasses import asdict, dataclass
from typing import Any, ClassVar

from nas.train.origin import Normalisation

__all__ = ["MODEL_DATA", "ModelData"]

MODEL_DATA = "data.json"


@dataclass(frozen=True, kw_only=True)
class ModelData:
    """What goes into a model and what its logits mean.

    Args:
        classes: names, in the order of the logits.
        normalisation: of pixels.
        eval_size: side of the square images in pixels.
        num_images: of each split, as the training had them.
    """

    __pydantic_config__: ClassVar[dict[str, Any]] = {"extra": "forbid", "strict": True}

    classes: tuple[str, ...]
    normalisation: Normalisation
    eval_size: int
    num_images: dict[str, int]

    def to_json(self) -> str:
        return json.dumps(asdict(self), indent=1, allow_nan=False) + "\n"
