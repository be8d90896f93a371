"""The networks that a detection card describes, in Keras. TensorFlow is imported when one is built, not before."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from overread.errors import SpecError
from overread.operators.keras_card import Classifier, DetectionCard, Finder
from overread.operators.predict import read_weights

if TYPE_CHECKING:
    import keras

VIEWS: Final = ("upright", "turned-90", "turned-180", "turned-270", "lateral", "other")
"""What the finder says of an image; turned: so many degrees counter-clockwise from upright."""
SIDES: Final = ("right", "left")
"""Order of the finder's maps."""
Array = NDArray[np.float32]


def tensorflow(*, threads: int = 0) -> Any:
    """Return TensorFlow, made to compute the same for the same, without GPU and without chatter.

    Parameters
    ----------
    threads
        0: as many as there are processors.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    # oneDNN chooses its order of summation by the machine.
    os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "0")
    import tensorflow as tf  # noqa: PLC0415

    if threads:
        tf.config.threading.set_intra_op_parallelism_threads(threads)
        tf.config.threading.set_inter_op_parallelism_threads(1)
    tf.config.experimental.enable_op_determinism()
    tf.keras.utils.set_random_seed(0)
    return tf


def build_finder(spec: Finder) -> keras.Model:
    """Return the network (rows, columns, 1) -> map of each side (logits), view (logits)."""
    layers = tensorflow_layers()
    image = layers.Input((*spec.window, 1))
    levels: list[Any] = []
    x = image
    for channels in spec.channels:
        x = _block(layers, x, channels, stride=2)
        x = _block(layers, x, channels)
        levels.append(x)
    pooled = layers.Concatenate()([layers.GlobalAveragePooling2D()(x), layers.GlobalMaxPooling2D()(x)])
    view = layers.Dense(len(VIEWS))(layers.Dense(48, activation="relu")(pooled))
    x = _block(layers, x, spec.channels[-1], dilation=2)
    stride = 2 ** len(spec.channels)
    for channels, skip in zip(spec.channels[-2::-1], levels[-2::-1], strict=True):
        if stride == spec.cells:
            break
        x = layers.UpSampling2D(2)(x)
        x = _block(layers, layers.Concatenate()([x, skip]), channels)
        stride //= 2
    return layers.Model(image, [layers.Conv2D(len(SIDES), 1)(x), view])


def build_classifier(spec: Classifier, classes: int) -> keras.Model:
    """Return the network (rows, columns, 1) -> class (logits)."""
    layers = tensorflow_layers()
    image = layers.Input((*spec.window, 1))
    x = image
    for depth, channels in enumerate(spec.channels):
        x = _block(layers, x, channels, stride=2)
        if depth > 1:
            x = _block(layers, x, channels)
    pooled = layers.Concatenate()([layers.GlobalAveragePooling2D()(x), layers.GlobalMaxPooling2D()(x)])
    x = layers.Dropout(0.3)(layers.Dense(spec.hidden, activation="relu")(pooled))
    return layers.Model(image, layers.Dense(classes)(x))


class _Layers:
    """Keras' layers and Model in one place; only what a network is made of."""

    def __init__(self) -> None:
        import keras  # noqa: PLC0415

        self.Model = keras.Model
        for name in (
            "Input", "Conv2D", "BatchNormalization", "ReLU", "Dense", "Dropout", "Concatenate", "UpSampling2D",
            "GlobalAveragePooling2D", "GlobalMaxPooling2D",
        ):  # fmt: skip
            setattr(self, name, getattr(keras.layers, name))


def tensorflow_layers() -> Any:
    """Return Keras' layers."""
    tensorflow()
    return _Layers()


def _block(layers: Any, x: Any, channels: int, *, stride: int = 1, dilation: int = 1) -> Any:
    x = layers.Conv2D(channels, 3, strides=stride, dilation_rate=dilation, padding="same", use_bias=False)(x)
    return layers.ReLU()(layers.BatchNormalization(momentum=0.95)(x))


def save_networks(path: Path, networks: dict[str, keras.Model]) -> None:
    """Write the networks' parameters to one file, float32, by network and number."""
    arrays = {
        f"{name}.{number:03d}": np.asarray(value, dtype=np.float32)
        for name, network in networks.items()
        for number, value in enumerate(network.get_weights())
    }
    with path.open("wb") as file:
        np.savez(file, **arrays)  # type: ignore[arg-type]


def set_weights(path: Path, networks: dict[str, keras.Model]) -> None:
    """Give networks the parameters that `save_networks` wrote for them."""
    with np.load(path, allow_pickle=False) as stored:
        for name, network in networks.items():
            names = sorted(key for key in stored.files if key.startswith(f"{name}."))
            network.set_weights([stored[key] for key in names])


def load_networks(folder: Path, card: DetectionCard) -> tuple[keras.Model, keras.Model]:
    """Return a card's finder and classifier with their weights.

    Raises
    ------
    DataError
        If the weights are not the card's.
    SpecError
        If they do not fit into the networks that the card describes.
    """
    path = read_weights(folder, card.weights)
    networks = {"finder": build_finder(card.finder), "classifier": build_classifier(card.classifier, len(card.classes))}
    try:
        set_weights(path, networks)
    except (ValueError, KeyError, OSError) as error:
        raise SpecError(
            f"Networks and weights do not fit together ({type(error).__name__}): correct channels, window or weights.",
            source=str(folder / "card.yaml"),
            path="finder",
        ) from error
    return networks["finder"], networks["classifier"]
