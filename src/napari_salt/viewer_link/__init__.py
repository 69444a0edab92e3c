"""The link to the viewer: the only place that touches napari layers."""

from napari_salt.viewer_link.layers import Role
from napari_salt.viewer_link.link import ViewerLink

__all__ = ["Role", "ViewerLink"]
