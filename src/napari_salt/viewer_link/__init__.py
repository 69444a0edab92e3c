"""The link to the viewer: the only place that touches napari layers."""

from napari_salt.viewer_link.link import Role, ViewerLink

__all__ = ["Role", "ViewerLink"]
