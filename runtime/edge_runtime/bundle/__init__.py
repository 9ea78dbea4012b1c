"""What a bundle is, read as a hostile file is read: the manifest, its files and the seal."""
