//! Files made by FFmpeg and SoX are read as FFmpeg reads them, sample for sample; broken files end in the right error.

mod anything;
mod broken;
mod files;
mod formats;
mod headers;
mod joined;
mod odd;
mod pcm;
mod ranges;
mod tracks;
