//! Components into sources, by likeness.
