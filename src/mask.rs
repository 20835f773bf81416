//! Soft masks: the share of each source in each bin of each frame.
