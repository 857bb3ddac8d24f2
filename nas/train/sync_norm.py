"""Batch norm over the batch of all processes.

torch's own SyncBatchNorm does not run on a CPU. There it is made of torch's kernels for one process, with one sum over
the processes on the way forward and one on the way back:

    mean, variance = of all images                          normed = (x - mean) r, r = 1 / sqrt(variance + eps)
    dx = weight r (dy - mean(dy) - normed mean(dy normed))  the means over all images
"""

from typing import Any

import torch
from torch import Tensor, distributed, nn
from torch.autograd import Function
from torch.autograd.function import once_differentiable

__all__ = ["SyncBatchNorm2d", "synchronise_norms"]


class SyncBatchNorm2d(nn.BatchNorm2d):
    """A BatchNorm2d that trains as on the images of all processes, which must bring equally many.

    [N, C, H, W] -> the same shape; in evaluation mode it is the plain one.
    """

    def forward(self, images: Tensor) -> Tensor:
        if not self.training:
            return super().forward(images)
        assert self.running_mean is not None
        assert self.running_var is not None
        assert self.num_batches_tracked is not None
        normed, mean, variance = _Normalise.apply(images, self.weight, self.bias, self.eps)
        count = _count(images)
        with torch.no_grad():
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean, self.momentum or 0.0)
            self.running_var.lerp_(variance * (count / max(1, count - 1)), self.momentum or 0.0)
        found: Tensor = normed
        return found


class _Normalise(Function):
    @staticmethod
    def forward(ctx: Any, images: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, Tensor, Tensor]:
        mean, variance = (part.double() for part in torch.batch_norm_update_stats(images.float(), None, None, 0.0))
        # In float64 nothing is lost where a mean is far from 0.
        moments = torch.stack([mean, variance + mean.square()])
        distributed.all_reduce(moments)
        moments /= distributed.get_world_size()
        mean, variance = moments[0].float(), (moments[1] - moments[0].square()).clamp_(min=0).float()
        normed = torch.native_batch_norm(images, weight, bias, mean, variance, False, 0.0, eps)[0]
        ctx.save_for_backward(images, weight, mean, variance)
        ctx.eps = eps
        ctx.mark_non_differentiable(mean, variance)
        return normed, mean, variance

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor, *unused: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:
        images, weight, mean, variance = ctx.saved_tensors
        # With the statistics as constants: weight r dy, and this process's own sums of dy normed and of dy.
        of_images, of_weight, of_bias = torch.ops.aten.native_batch_norm_backward(
            grad, images, weight, mean, variance, None, None, False, ctx.eps, [True, True, True]
        )
        sums = torch.stack([of_weight, of_bias]).double()
        distributed.all_reduce(sums)
        with_normed, alone = (sums / _count(images)).float()
        r = torch.rsqrt(variance + ctx.eps)
        slope = -weight * r * r * with_normed
        offset = -weight * r * alone - slope * mean
        of_images = torch.addcmul(of_images, images, slope.view(1, -1, 1, 1)).add_(offset.view(1, -1, 1, 1))
        return of_images.to(images.dtype), of_weight, of_bias, None


def _count(images: Tensor) -> int:
    """Values of a channel in all processes."""
    return images.numel() // images.shape[1] * distributed.get_world_size()


def synchronise_norms(network: nn.Module) -> None:
    """Turn every BatchNorm2d of a network into one over all processes, in place; weights and names stay."""
    for module in network.modules():
        for name, child in module.named_children():
            if type(child) is nn.BatchNorm2d:
                setattr(module, name, _synchronised(child))


def _synchronised(norm: nn.BatchNorm2d) -> nn.Module:
    if norm.weight.is_cuda:
        converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(norm)
        return converted
    found = SyncBatchNorm2d(norm.num_features, eps=norm.eps, momentum=norm.momentum, device="meta")
    found.weight, found.bias = norm.weight, norm.bias
    found.running_mean, found.running_var = norm.running_mean, norm.running_var
    found.num_batches_tracked = norm.num_batches_tracked
    return found.train(norm.training)
