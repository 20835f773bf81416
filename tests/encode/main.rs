//! What is written comes back, exactly, from readers that did not write it: our own, hound, symphonia, ffmpeg and SoX.
#![expect(clippy::unwrap_used, reason = "clippy.toml allows it in tests, but not in their helpers")]

mod formats;
mod levels;
mod made;
mod refused;
mod tags;
mod whole;
