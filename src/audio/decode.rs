//! Reads audio files of every common format into blocks of samples. The only file that knows symphonia.
