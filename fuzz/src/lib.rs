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
        if !info.location().is_some_and(|place| place.file().contains("/registry/")) {
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
