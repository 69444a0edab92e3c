"""The network: torch and numpy, no Qt, no napari."""
