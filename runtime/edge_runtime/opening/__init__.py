"""From a bundle on disk to what runs its tensors: whole, on providers, or inside a memory limit."""
