"""Everything a device needs to run bundles, in one archive: python -m edge_tools.device_pack."""
