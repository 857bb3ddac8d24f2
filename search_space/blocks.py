"""The layers that networks are made of, and the table from an op's name to its layer.

Adding an op is one row of `BLOCKS` here and one row of `OPS` in ops.py.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812
from torch import Tensor, nn
from torchvision.ops import StochasticDepth

from search_space.ops import squeeze_width
from search_space.spec import Activation, BlockSpec, Padding

__all__ = [
    "BLOCKS",
    "BuildOptions",
    "Conv",
    "Conv2d",
    "ConvNormAct",
    "FusedMBConv",
    "MBConv",
    "SqueezeExcite",
    "identity",
]


@dataclass(frozen=True, kw_only=True)
class BuildOptions:
    """What all layers of one network share, by `build_network`'s names. Weights are drawn from `generator`; None is
    torch's global one."""

    activation: Activation = "silu"
    norm_eps: float = 1e-3
    norm_momentum: float = 0.1
    padding: Padding = "symmetric"
    generator: torch.Generator | None = None

    def __post_init__(self) -> None:
        if not 0 < self.norm_momentum <= 1:
            raise ValueError(f"norm_momentum must be a number above 0 and at most 1, got {self.norm_momentum!r}")


_ACTIVATIONS: dict[Activation, Callable[[], nn.Module]] = {
    # In place it would be copied first: its gradient needs its input.
    "silu": nn.SiLU,
    "relu": partial(nn.ReLU, inplace=True),
    "relu6": partial(nn.ReLU6, inplace=True),
}


class Conv2d(nn.Conv2d):
    """A square convolution whose output has ceil(size / stride) pixels a side, with weights as the paper draws them:
    N(0, sqrt(2 / fan_out)), where fan_out is of one group (kernel^2 in a depthwise convolution), biases 0.

    Padding `same` puts the odd pixel to the right and below, as TensorFlow does; it depends on the input's size.

    In training on a CPU, depthwise ones are computed in the way that oneDNN has a fast kernel for.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        options: BuildOptions,
        *,
        stride: int = 1,
        groups: int = 1,
        bias: bool = False,
    ) -> None:
        # At stride 1 and an odd kernel, SAME is the symmetric padding.
        pads_same = options.padding == "same" and stride > 1
        padding = 0 if pads_same else (kernel - 1) // 2
        super().__init__(in_channels, out_channels, kernel, stride=stride, padding=padding, groups=groups, bias=bias)
        self.pads_same = pads_same
        fan_out = kernel * kernel * out_channels // groups
        if not self.weight.is_meta:  # where there is nothing to draw, asking takes longer than all else
            nn.init.normal_(self.weight, 0.0, (2.0 / fan_out) ** 0.5, generator=options.generator)
            if self.bias is not None:
                nn.init.zeros_(self.bias)

    def reset_parameters(self) -> None:
        """Nothing: torch's own constructor would draw weights here, from the global generator, only to be replaced."""

    def forward(self, x: Tensor) -> Tensor:
        if self.pads_same:
            top, bottom = self._same_padding(x.shape[-2])
            left, right = self._same_padding(x.shape[-1])
            x = F.pad(x, (left, right, top, bottom))
        if self.groups > 1 and self.training and x.device.type == "cpu":
            return self._depthwise_on_cpu(x)
        return super().forward(x)

    def _depthwise_on_cpu(self, x: Tensor) -> Tensor:
        """The same numbers; in autocast, float32 ones where oneDNN 3.12 has no bfloat16 kernel of its own for the
        gradients, which is for all but 3x3 at stride 1."""
        fast_bfloat16 = self.kernel_size == (3, 3) and self.stride == (1, 1)
        if torch.is_autocast_enabled("cpu") and not fast_bfloat16:
            with torch.autocast("cpu", enabled=False):
                return super().forward(x.float()).to(torch.get_autocast_dtype("cpu"))
        if x.shape[-1] < self.kernel_size[0] and self.padding != (0, 0):
            # Padded by the kernel itself, an image that is smaller than the kernel is far slower.
            around = self.kernel_size[0] // 2
            x = F.pad(x, (around, around, around, around))
            return F.conv2d(x, self.weight, self.bias, self.stride, 0, self.dilation, self.groups)
        return super().forward(x)

    def _same_padding(self, size: int) -> tuple[int, int]:
        kernel, stride = self.kernel_size[0], self.stride[0]
        total = max(0, (-(-size // stride) - 1) * stride + kernel - size)
        return total // 2, total - total // 2


class ConvNormAct(nn.Module):
    """Convolution, batch norm, and the network's activation unless `act` is False.

    [N, in_channels, H, W] -> [N, out_channels, ceil(H / stride), ceil(W / stride)]
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel: int,
        options: BuildOptions,
        *,
        stride: int = 1,
        groups: int = 1,
        act: bool = True,
    ) -> None:
        super().__init__()
        self.conv = Conv2d(in_channels, out_channels, kernel, options, stride=stride, groups=groups)
        self.norm = nn.BatchNorm2d(out_channels, eps=options.norm_eps, momentum=options.norm_momentum)
        self.act = _ACTIVATIONS[options.activation]() if act else None

    def forward(self, x: Tensor) -> Tensor:
        x = self.norm(self.conv(x))
        return x if self.act is None else self.act(x)


class SqueezeExcite(nn.Module):
    """Channels weighted by a sigmoid gate computed from their means (arXiv 1709.01507).

    [N, channels, H, W] -> the same shape. `squeezed` is the width between the two 1x1 convolutions.
    """

    def __init__(self, channels: int, squeezed: int, options: BuildOptions) -> None:
        super().__init__()
        self.reduce = Conv2d(channels, squeezed, 1, options, bias=True)
        self.act = _ACTIVATIONS[options.activation]()
        self.expand = Conv2d(squeezed, channels, 1, options, bias=True)

    def forward(self, x: Tensor) -> Tensor:
        means: Tensor = _Mean.apply(x) if self.training else x.mean((2, 3))
        # 1x1 convolutions of 1x1 images are linear layers, which have less around them.
        squeezed = self.act(F.linear(means, self.reduce.weight.flatten(1), self.reduce.bias))
        gate = torch.sigmoid(F.linear(squeezed, self.expand.weight.flatten(1), self.expand.bias))
        return x * gate[:, :, None, None]


class _Mean(torch.autograd.Function):
    """`x.mean((2, 3))`, whose gradient is not written out for each pixel."""

    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.shape = x.shape
        return x.mean((2, 3))

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        height, width = ctx.shape[2:]
        spread: Tensor = (gradient / (height * width))[:, :, None, None].expand(ctx.shape)
        return spread


def _squeeze_excite(spec: BlockSpec, channels: int, options: BuildOptions) -> SqueezeExcite | None:
    if spec.se_ratio == 0:
        return None
    return SqueezeExcite(channels, squeeze_width(spec.in_channels, spec.se_ratio), options)


def _stochastic_depth(spec: BlockSpec, drop_path: float) -> StochasticDepth | None:
    return StochasticDepth(drop_path, mode="row") if spec.keeps_shape else None


class MBConv(nn.Module):
    """Inverted residual (EfficientNetV2, Figure 2, left; MobileNetV2, arXiv 1801.04381): 1x1 expansion (none at
    expansion 1), depthwise convolution, squeeze-and-excitation, linear 1x1 projection; residual where the shape stays.

    [N, in_channels, H, W] -> [N, width, ceil(H / stride), ceil(W / stride)]. `drop_path` is the probability that a
    sample skips the layer in training (stochastic depth); it has no effect on a layer without a residual.
    """

    def __init__(self, spec: BlockSpec, options: BuildOptions, drop_path: float = 0.0) -> None:
        super().__init__()
        hidden = spec.in_channels * spec.expansion
        self.expand = ConvNormAct(spec.in_channels, hidden, 1, options) if spec.expansion > 1 else None
        self.depthwise = ConvNormAct(hidden, hidden, spec.kernel, options, stride=spec.stride, groups=hidden)
        self.squeeze_excite = _squeeze_excite(spec, hidden, options)
        self.project = ConvNormAct(hidden, spec.width, 1, options, act=False)
        self.drop_path = _stochastic_depth(spec, drop_path)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x if self.expand is None else self.expand(x)
        y = self.depthwise(y)
        if self.squeeze_excite is not None:
            y = self.squeeze_excite(y)
        y = self.project(y)
        return y if self.drop_path is None else x + self.drop_path(y)


class FusedMBConv(nn.Module):
    """MBConv with its first two convolutions fused into one dense one (EfficientNetV2, Figure 2, right). At expansion
    1 nothing is left to project: a single convolution with activation, squeeze-and-excitation before it.

    Shapes and `drop_path` as in `MBConv`.
    """

    def __init__(self, spec: BlockSpec, options: BuildOptions, drop_path: float = 0.0) -> None:
        super().__init__()
        hidden = spec.in_channels * spec.expansion
        kernel, stride = spec.kernel, spec.stride
        self.expand = (
            ConvNormAct(spec.in_channels, hidden, kernel, options, stride=stride) if spec.expansion > 1 else None
        )
        self.squeeze_excite = _squeeze_excite(spec, hidden, options)
        if self.expand is None:
            self.project = ConvNormAct(hidden, spec.width, kernel, options, stride=stride)
        else:
            self.project = ConvNormAct(hidden, spec.width, 1, options, act=False)
        self.drop_path = _stochastic_depth(spec, drop_path)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = x if self.expand is None else self.expand(x)
        if self.squeeze_excite is not None:
            y = self.squeeze_excite(y)
        y = self.project(y)
        return y if self.drop_path is None else x + self.drop_path(y)


class Conv(nn.Module):
    """A plain convolution with norm and activation, never with a residual. Shapes as in `MBConv`."""

    def __init__(self, spec: BlockSpec, options: BuildOptions, drop_path: float = 0.0) -> None:
        super().__init__()
        self.project = ConvNormAct(spec.in_channels, spec.width, spec.kernel, options, stride=spec.stride)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.project(x)
        return y


def identity(spec: BlockSpec, options: BuildOptions, drop_path: float = 0.0) -> nn.Module:
    """Nothing, or a 1x1 convolution with norm where the shape changes (NAS-Bench-Macro). Shapes as in `MBConv`."""
    if spec.is_nothing:
        return nn.Identity()
    return ConvNormAct(spec.in_channels, spec.width, 1, options, stride=spec.stride, act=False)


BLOCKS: dict[str, Callable[[BlockSpec, BuildOptions, float], nn.Module]] = {
    "mbconv": MBConv,
    "fused_mbconv": FusedMBConv,
    "conv": Conv,
    "identity": identity,
}
"""An op's name to what builds its layer; the same names as `ops.OPS`."""
