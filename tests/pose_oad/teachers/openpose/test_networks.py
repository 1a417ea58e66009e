from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from torch import nn

from pose_oad.teachers.openpose.networks import NETWORKS
from tests.openpose import Layer, body_25, coco_18, random_weights, run_onnx, to_tensors


def outputs_of(network: nn.Module, image: torch.Tensor) -> tuple[dict[str, np.ndarray], list[torch.Tensor]]:
    """Run a network; return what each of its convolutions and PReLUs puts out, by name, and its maps."""
    seen: dict[str, np.ndarray] = {}

    def keep(name: str) -> Callable[[nn.Module, tuple[torch.Tensor, ...], torch.Tensor], None]:
        return lambda module, given, output: seen.update({name: output.numpy().copy()})

    for path, module in network.named_modules():
        if isinstance(module, nn.Conv2d | nn.PReLU):
            module.register_forward_hook(keep(path.split(".")[-1]))
    with torch.no_grad():
        maps = network(image)
    return seen, list(maps)


@pytest.mark.parametrize(
    ("name", "layers", "ends"),
    [
        ("coco-18", coco_18(), ("Mconv7_stage6_L2", "Mconv7_stage6_L1")),
        ("body-25", body_25(), ("Mconv7_stage1_L1", "Mconv7_stage3_L2")),
    ],
    ids=["coco-18", "body-25"],
)
def test_every_layer_gives_what_the_published_graph_gives(
    name: str, layers: Sequence[Layer], ends: tuple[str, str]
) -> None:
    weights = random_weights(layers)
    image = np.random.default_rng(1).uniform(-0.5, 0.5, (2, 3, 32, 40)).astype(np.float32)
    expected = run_onnx(layers, weights, image)
    with torch.device("meta"):
        network = NETWORKS[name]().eval()
    tensors = to_tensors(weights)
    network.load_state_dict({key: tensors[".".join(key.split(".")[-2:])] for key in network.state_dict()}, assign=True)

    seen, maps = outputs_of(network, torch.from_numpy(image))
    assert seen.keys() == weights.keys()
    for layer, output in seen.items():
        scale = np.abs(expected[layer]).max()
        assert scale > 0.01
        np.testing.assert_allclose(output, expected[layer], rtol=1e-4, atol=1e-5 * scale, err_msg=layer)
    for given, end in zip(maps, ends, strict=True):
        assert given.shape == expected[end].shape
        assert np.array_equal(given.numpy(), seen[end])


def test_maps_have_a_channel_for_each_joint_and_the_background_and_two_for_each_limb() -> None:
    from pose_oad.poses.skeleton import get_skeleton

    for name, layers in (("coco-18", coco_18()), ("body-25", body_25())):
        skeleton = get_skeleton(name)
        ends = {layer.outputs for layer in layers if layer.name.startswith("Mconv7")}
        assert ends == {len(skeleton) + 1, 2 * len(skeleton.limbs)}
