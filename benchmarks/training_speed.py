"""EfficientNetV2's own claim on this device: Fused-MBConv in early stages, and S against EfficientNet-B4.

    python benchmarks/training_speed.py

The training step of each network is timed in turn with EfficientNet-B4's, one thread, float32, 8 images of 128 px. The
paper's Table 3 puts Fused-MBConv in place of MBConv in stages 1-3, 1-5 and 1-7 of B4; its images a second on a V100 are
turned into ratios of a step's time here. As its parameters tell, fused layers have 3x3 kernels in the first three
stages, their own after, and no SE. About 15 minutes; --image-size and --batch-size are for another device.

Seen (AMD EPYC without AVX-512, 2026-11-22): S 0.98 of B4's step; fused 1-3 1.00, 1-5 2.01, 1-7 4.11.
"""

import argparse
from dataclasses import replace

from nas.device import Compute, describe_device, set_up_process
from nas.measure import Precision, measure_step_time
from nas.train import Recipe
from search_space import ArchSpec, architecture

FIRST_3X3 = 3
PAPER_IMAGES_PER_SECOND = {0: 155, 3: 216, 5: 223, 7: 206}


def fused(arch: ArchSpec, stages: int) -> ArchSpec:
    """Fused-MBConv in the first so many stages."""
    changed = tuple(
        replace(stage, op="fused_mbconv", se_ratio=0.0, kernel=3 if number <= FIRST_3X3 else stage.kernel)
        if number <= stages
        else stage
        for number, stage in enumerate(arch.stages, start=1)
    )
    return replace(arch, stages=changed)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--image-size", type=int, default=128)
    parser.add_argument("--batch-size", type=int, default=8)
    parser.add_argument("--max-seconds", type=float, default=200)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    compute = Compute(device=arguments.device)
    set_up_process(compute)
    b4 = architecture("efficientnet_b4")
    networks = {"EfficientNetV2-S": architecture("efficientnetv2_s")}
    networks |= {f"B4, Fused-MBConv in stages 1-{stages}": fused(b4, stages) for stages in (3, 5, 7)}
    print(f"{describe_device(compute)}, {arguments.batch_size} images of {arguments.image_size} px, reference B4")
    print("| network | params | MACs / B4's | step time / B4's | 95 % interval | rounds | paper, V100 |")
    print("| --- | --- | --- | --- | --- | --- | --- |")
    for number, (name, arch) in enumerate(networks.items()):
        found = measure_step_time(
            arch,
            b4,
            recipe=Recipe(),
            compute=compute,
            batch_size=arguments.batch_size,
            image_size=arguments.image_size,
            precision=Precision(max_seconds=arguments.max_seconds),
        )
        macs = arch.macs(arguments.image_size) / b4.macs(arguments.image_size)
        of_paper = f"{PAPER_IMAGES_PER_SECOND[0] / PAPER_IMAGES_PER_SECOND[2 * number + 1]:.2f}" if number else "-"
        print(
            f"| {name} | {arch.params / 1e6:.1f}M | {macs:.2f} | **{found.ratio:.2f}** | {found.low:.2f} to "
            f"{found.high:.2f} | {found.num_rounds} | {of_paper} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
