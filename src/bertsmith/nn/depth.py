"""How far below a network's output each weight is: what rates by layer and unfreezing go by.

0 the head   1 the last layer   ...   L the first layer   L + 1 the embeddings
"""

from __future__ import annotations

from bertsmith.nn.encoder import SHARED_PARTS
from bertsmith.nn.models import HeadedEncoder


def depths(model: HeadedEncoder) -> dict[str, int]:
    """The depth of every parameter, by name.

    What several layers share counts with the last of them, as the norm after it does.
    """
    encoder = model.encoder
    count, shared = len(encoder.layers), SHARED_PARTS.get(encoder.config.share, ())
    found: dict[str, int] = {}
    for name, _ in model.named_parameters():
        match name.split("."):
            case ["encoder", "embeddings", *_]:
                found[name] = count + 1
            case ["encoder", "layers", index, part, *_] if part not in shared:
                found[name] = count - int(index)
            case ["encoder", *_]:
                found[name] = 1
            case _:
                found[name] = 0
    return found


def layer_rates(model: HeadedEncoder, decay: float) -> dict[str, float]:
    """What each parameter's rate is multiplied by: `decay` to the power of its depth.

    ULMFiT's discriminative fine-tuning (Howard & Ruder 2018, section 3.2), with a decay of
    1/2.6 there; ELECTRA's layer-wise decay, of 0.8 for its base and 0.9 for its large model
    (Clark et al. 2020, appendix B).
    """
    return {name: decay**depth for name, depth in depths(model).items()}


def thaw(model: HeadedEncoder, deepest: int) -> None:
    """Let the parameters down to depth `deepest` be trained, and freeze those below."""
    deep = depths(model)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(deep[name] <= deepest)
