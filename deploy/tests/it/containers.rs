//! What the image and compose.yaml promise.
