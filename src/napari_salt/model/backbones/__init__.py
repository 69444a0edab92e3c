"""SAM image encoders: a registry, and one file per architecture."""
