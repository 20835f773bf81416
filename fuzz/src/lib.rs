//! What the fuzz targets share: files in memory, and a panic hook that knows which panics are caught.

use std::path::PathBuf;
use std::sync::OnceLock;

use ndarray::ArrayView2;
use tempfile::TempDir;

/// Ends the process at every panic in partita and in the targets themselves, but leaves those of other crates to whoever
/// called them: partita catches what a decoder does on damaged data, and libFuzzer what nobody catches.
pub fn forgive_guarded_panics() {
    let abort = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let file = info.location().map_or("", |place| place.file());
        // The last: arithmetic of the standard library, whoever asked for it.
        if !["/registry/", "/rustc/"].iter().any(|other| file.contains(other)) {
            abort(info);
        }
    }));
}

/// Writes a file in a folder of this process, in memory where the system has such a place.
pub fn file(name: &str, bytes: &[u8]) -> PathBuf {
    static FOLDER: OnceLock<TempDir> = OnceLock::new();
    let folder = FOLDER.get_or_init(|| {
        let in_memory = tempfile::tempdir_in("/dev/shm");
        in_memory.or_else(|_| tempfile::tempdir()).expect("temporary folder")
    });
    let path = folder.path().join(name);
    std::fs::write(&path, bytes).expect("temporary file");
    path
}

/// Whether two matrices are the same, NaN being NaN.
pub fn are_same(a: ArrayView2<'_, f32>, b: ArrayView2<'_, f32>) -> bool {
    a.dim() == b.dim() && a.iter().zip(b).all(|(a, b)| a == b || (a.is_nan() && b.is_nan()))
}

/// The bytes, the pages of an Ogg file among them with the checksums that belong to them: chance finds none.
pub fn with_right_checksums(bytes: &[u8]) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    let mut at = 0;
    while bytes.get(at..at + 4) == Some(b"OggS") {
        let Some(&n_segments) = bytes.get(at + 26) else { break };
        let body = at + 27 + usize::from(n_segments);
        let Some(table) = bytes.get(at + 27..body) else { break };
        let end = body + table.iter().map(|len| usize::from(*len)).sum::<usize>();
        let Some(page) = bytes.get_mut(at..end) else { break };
        page[22..26].fill(0);
        // CRC-32 with polynomial 04c11db7, most significant bit first, from 0.
        let crc = page.iter().fold(0u32, |crc, byte| {
            (0..8).fold(crc ^ u32::from(*byte) << 24, |crc, _| crc << 1 ^ if crc >> 31 == 1 { 0x04c1_1db7 } else { 0 })
        });
        page[22..26].copy_from_slice(&crc.to_le_bytes());
        at = end;
    }
    bytes
}
