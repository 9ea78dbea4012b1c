"""Classifiers and U-Nets of Keras by tf2onnx, with random weights, and the answers of Keras itself.

pip install tensorflow-cpu tf2onnx pillow
python keras_models.py PICTURES MODELS
"""

import json
import sys
from pathlib import Path

import numpy as np
import tensorflow as tf
import tf2onnx
from PIL import Image
from tensorflow import keras

layers = keras.layers


def body(tensor, depth):
    """Convolutions that halve the picture."""
    for level in range(depth):
        tensor = layers.Conv2D(8 * 2**level, 3, strides=2, padding="same")(tensor)
        tensor = layers.ReLU()(layers.BatchNormalization()(tensor))
    return tensor


def classifier(classes, activation):
    """96x96 pixels of 0..255, scaled inside."""
    start = layers.Input((96, 96, 3))
    wide = keras.initializers.RandomNormal(stddev=1.0)
    pooled = layers.GlobalAveragePooling2D()(body(layers.Rescaling(1 / 255.0)(start), 3))
    return keras.Model(start, layers.Dense(classes, activation=activation, kernel_initializer=wide)(pooled))


def unet(classes, activation):
    """128x128 pixels of 0..255, scaled inside."""
    start = layers.Input((128, 128, 3))
    tensor = body(layers.Rescaling(1 / 255.0)(start), 2)
    for filters in (16, 8):
        tensor = layers.Conv2DTranspose(filters, 3, strides=2, padding="same", activation="relu")(tensor)
    wide = keras.initializers.RandomNormal(stddev=1.0)
    return keras.Model(start, layers.Conv2D(classes, 1, activation=activation, kernel_initializer=wide)(tensor))


def runs(mask):
    """First pixel and one past the last of each run, row by row."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], mask.reshape(-1).astype(np.int8), [0]])))
    return {"size": list(mask.shape), "runs": edges.reshape(-1, 2).tolist()}


def answers(model, picture):
    """The best class, or the area of every class but the background."""
    height, width = model.input_shape[1:3]
    # As `image_dataset_from_directory` and the layer `Resizing` do it: bilinear, without antialiasing.
    pixels = tf.image.resize(np.asarray(picture.convert("RGB"), np.float32), (height, width))
    out = model(pixels[None]).numpy()[0]
    if out.ndim == 1 and len(out) == 1:
        return [{"class": int(out[0] >= 0.5), "score": float(max(out[0], 1 - out[0]))}]
    if out.ndim == 1:
        chances = out if abs(out.sum() - 1) < 1e-3 else np.exp(out - out.max()) / np.exp(out - out.max()).sum()
        return [{"class": int(chances.argmax()), "score": float(chances.max())}]
    areas = (out[..., 0] >= 0.5).astype(np.uint8) if out.shape[-1] == 1 else out.argmax(-1).astype(np.uint8)
    whole = np.asarray(Image.fromarray(areas).resize(picture.size, Image.NEAREST))
    return [{"class": int(k), "score": 1.0, "mask": runs(whole == k)} for k in np.unique(whole) if k]


def main():
    """Make each model and its answers."""
    keras.utils.set_random_seed(0)
    pictures, models = sorted(Path(sys.argv[1]).glob("*.jpg")), Path(sys.argv[2])
    made = {
        "sigmoid1": classifier(1, "sigmoid"),
        "softmax5": classifier(5, "softmax"),
        "logits5": classifier(5, None),
        "unet1": unet(1, "sigmoid"),
        "unet4": unet(4, "softmax"),
        "unet4logits": unet(4, None),
    }
    for name, model in made.items():
        target = models / f"keras-{name}.onnx"
        spec = (tf.TensorSpec((None, *model.input_shape[1:]), tf.float32, name="input"),)
        function = tf.function(lambda tensor, model=model: model(tensor))
        tf2onnx.convert.from_function(function, input_signature=spec, opset=13, output_path=str(target))
        found = {picture.name: answers(model, Image.open(picture)) for picture in pictures}
        target.with_suffix(".answers.json").write_text(json.dumps(found))
        print(target.name, {key: len(rows) for key, rows in found.items()}, flush=True)


main()
