"""The quantizer: ranges, weights, which tensors become int8, and the QDQ nodes that say so."""
