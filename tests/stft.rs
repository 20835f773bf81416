//! The transform against librosa's: golden values of librosa 0.11.0, made by `tests/golden/make_stft.py`.

use std::f64::consts::TAU;

use ndarray::{Array1, Array2};
use ndarray_npy::NpzReader;
use partita::stft::window::Window;
use partita::{Stft, StftConfig};

const RATE: f64 = 8000.0;

/// The signal of `make_stft.py`.
fn signal() -> Array1<f32> {
    Array1::from_shape_fn(3000, |i| {
        let t = i as f64 / RATE;
        let tones =
            (TAU * 440.0 * t).sin() + 0.5 * (TAU * (1000.0 + 400.0 * t) * t).sin() + 0.1 * (TAU * 3999.0 * t).cos();
        (tones + if i == 1234 { 1.0 } else { 0.0 }) as f32
    })
}

#[test]
fn values_equal_those_of_librosa() {
    let file = std::fs::File::open(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden/stft_librosa.npz"));
    let mut golden = NpzReader::new(file.expect("the golden file is part of the repository")).expect("npz");
    let cases = [
        (512, 512, 128, Window::Hann),
        (512, 400, 100, Window::Hamming),
        (256, 256, 64, Window::Blackman),
        (300, 300, 75, Window::BlackmanHarris),
    ];
    for (i, (n_fft, win_length, hop_length, window)) in cases.into_iter().enumerate() {
        let stft = Stft::new(StftConfig { n_fft, win_length, hop_length, window }).expect("config");
        let ours = stft.forward(signal().view());
        let re: Array2<f32> = golden.by_name(&format!("case_{i}_re")).expect("array");
        let im: Array2<f32> = golden.by_name(&format!("case_{i}_im")).expect("array");
        // librosa ends with the last frame whose center lies inside the signal or on its end; one more may follow here.
        assert_eq!(re.nrows(), 1 + 3000 / hop_length);
        assert_eq!(ours.nrows(), 1 + 3000usize.div_ceil(hop_length));
        assert_eq!(ours.ncols(), re.ncols());
        let peak = re.iter().zip(&im).map(|(re, im)| re.hypot(*im)).fold(0.0, f32::max);
        let gap = ndarray::Zip::from(ours.slice(ndarray::s![..re.nrows(), ..]))
            .and(&re)
            .and(&im)
            .fold(0.0f32, |worst, x, re, im| worst.max((x.re - re).hypot(x.im - im)));
        // Both transform in f32; 1e-5 of the peak is -100 dB.
        assert!(gap < 1e-5 * peak, "case {i}: off by {:e} of the peak", gap / peak);
    }
}
