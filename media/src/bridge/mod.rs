//! The bridge: relay or transcode, chosen per direction.
