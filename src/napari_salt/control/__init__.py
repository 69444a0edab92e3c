"""Session, views, engine and viewer link brought together; no Qt. `controller.Controller` is the way in."""
