"""Weights on disk: safetensors with a card in the header; nothing is unpickled, and what was altered is not used."""

from __future__ import annotations

import hashlib
import json
import secrets
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import torch
from torch import Tensor

from shapekit.core.checks import InputError, OutputError

FORMAT = "shapekit-weights-1"
MAX_BYTES = 2 << 30


def write_weights(path: str | Path, tensors: Mapping[str, Tensor], card: Mapping[str, object]) -> str:
    """Write tensors and what is to be known of them; the file appears when it is complete.

    Parameters
    ----------
    path : path
    tensors : mapping of str to Tensor
    card : mapping
        Anything JSON holds: kind, configuration, seed, cohort, figures, limits.

    Returns
    -------
    str
        The weights' identity: twelve digits of their checksum.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    from safetensors.torch import save_file

    target = Path(path)
    kept = {name: tensor.detach().cpu().contiguous() for name, tensor in sorted(tensors.items())}
    digest = _digest(kept)
    header = {"format": FORMAT, "sha256": digest, "card": json.dumps(dict(card), sort_keys=True)}
    beside = target.with_name(f".{secrets.token_hex(8)}.part")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        save_file(kept, beside, metadata=header)
        beside.chmod(0o644)  # safetensors keeps its files to their owner
        beside.replace(target)
    except OSError as error:
        raise OutputError(f"{target.name} cannot be written ({error.strerror or error}); choose a folder that you may write.") from error
    finally:
        with suppress(OSError):
            beside.unlink(missing_ok=True)
    return digest[:12]


def read_weights(path: str | Path, *kinds: str) -> tuple[dict[str, Tensor], dict[str, object], str]:
    """Read what ``write_weights`` wrote.

    Parameters
    ----------
    path : path
    *kinds : str
        What the card may say the weights are, e.g. ``"generative"``.

    Returns
    -------
    tensors : dict
    card : dict
    identity : str
        Twelve digits of the checksum.

    Raises
    ------
    InputError
        If there is no such file, it is no weights file of this kind and version, or its contents do not match its checksum.
    """
    from safetensors import SafetensorError, safe_open

    source = Path(path)
    advice = f"give the file that `shapekit train` wrote, of the kind {' or '.join(kinds)}"
    try:
        if source.stat().st_size > MAX_BYTES:
            raise InputError(f"{source.name} is larger than {MAX_BYTES >> 30} GB, which no weights of shapekit are; {advice}.")
        with safe_open(source, framework="pt") as file:
            header = file.metadata() or {}
            if header.get("format") != FORMAT:
                raise InputError(f"{source.name} says its format is {header.get('format', 'none')!r}, but {FORMAT!r} is read here; {advice}.")
            tensors = {name: file.get_tensor(name) for name in sorted(file.keys())}
        card = json.loads(header["card"])
    except FileNotFoundError as error:
        raise InputError(f"{source.name} is not there; {advice}.") from error
    except (OSError, SafetensorError, KeyError, ValueError, RecursionError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{source.name} is no safetensors file that can be read ({type(error).__name__}); {advice}.") from error
    if not isinstance(card, dict) or card.get("kind") not in kinds:
        raise InputError(f"{source.name} holds weights of another kind ({card.get('kind') if isinstance(card, dict) else 'none'}); {advice}.")
    digest = _digest(tensors)
    if digest != header.get("sha256"):
        raise InputError(f"{source.name} is damaged: its contents do not match its checksum; fetch or train it again.")
    return tensors, card, digest[:12]


def _digest(tensors: Mapping[str, Tensor]) -> str:
    """Checksum of names, types, shapes and values."""
    whole = hashlib.sha256()
    for name in sorted(tensors):
        tensor = tensors[name]
        whole.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        whole.update(tensor.reshape(-1).view(dtype=torch.uint8).numpy().tobytes() if tensor.numel() else b"")
    return whole.hexdigest()
