"""From an image to a tensor, from a model's answer to a result and a verdict."""
