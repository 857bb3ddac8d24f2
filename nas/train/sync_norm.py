"""Batch norm over the batch of all processes.

torch's own SyncBatchNorm does not run on a CPU. There it is written out here: the mean and the variance are of sums over
all processes, and autograd takes the sums' gradients through them too.
"""

import torch
from torch import Tensor, distributed, nn
from torch.distributed.nn.functional import all_reduce

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
        values = images.float()
        channels = (1, -1, 1, 1)
        count = values.numel() // values.shape[1] * distributed.get_world_size()
        mean = all_reduce(values.sum((0, 2, 3))) / count
        centred = values - mean.view(channels)
        variance = all_reduce(centred.square().sum((0, 2, 3))) / count
        with torch.no_grad():
            momentum = self.momentum or 0.0
            self.num_batches_tracked.add_(1)
            self.running_mean.lerp_(mean, momentum)
            self.running_var.lerp_(variance * (count / max(1, count - 1)), momentum)
        scale = self.weight * torch.rsqrt(variance + self.eps)
        normed = torch.addcmul(self.bias.view(channels), centred, scale.view(channels))
        return normed.to(images.dtype)


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
