"""What a phase does to images after they are cropped."""

from nas.data import Augment, Cutout, RandAugment, RandomErasing, in_turn
from nas.train.options import FullOptions
from nas.train.schedule import Phase

__all__ = ["after_crop"]


def after_crop(phase: Phase, options: FullOptions) -> Augment:
    """RandAugment at the phase's strength, then cutout and random erasing where they are asked for."""
    augments: list[Augment] = []
    if phase.randaugment:
        augments.append(RandAugment(magnitude=phase.randaugment, num_layers=options.randaugment_layers))
    if options.cutout:
        augments.append(Cutout(side=options.cutout))
    if options.random_erasing:
        augments.append(RandomErasing(probability=options.random_erasing))
    return in_turn(*augments)
