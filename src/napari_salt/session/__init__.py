"""The user's work: numpy and psygnal, no Qt, napari or torch."""
