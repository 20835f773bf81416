//! Writes audio files: WAV, RF64 and FLAC, atomically.
