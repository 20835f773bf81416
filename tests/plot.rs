//! Pictures show the right thing in the right place: read back from the files, as a viewer would.
#![cfg(feature = "plot")]

#[path = "common/picture.rs"]
mod picture;

use std::f64::consts::TAU;
use std::path::Path;

use ndarray::{Array2, Array3, s};
use partita::atomic::Existing;
use partita::plot::{self, ColorMap, Columns, Group, PlotConfig, Rows};
use partita::spectrogram::{FrequencyAxis, FrequencyScale, Overview, OverviewBuilder};
use partita::{Audio, Error, Spectrogram, Stft, StftConfig};
use picture::{colors, read_png};

/// A small picture, for speed.
fn small() -> PlotConfig {
    PlotConfig { title: "test".into(), width: 640, height: 400, existing: Existing::Replace, ..PlotConfig::default() }
}

fn overview(samples: Array2<f32>, sample_rate: u32, n_fft: usize, config: &PlotConfig) -> Overview {
    let stft = Stft::new(StftConfig::new(n_fft)).expect("stft");
    let audio = Audio::new(samples, sample_rate).expect("audio");
    Spectrogram::new(&audio, &stft).overview(config.max_columns())
}

fn tone(hz: f64, sample_rate: u32, n_samples: usize) -> Array2<f32> {
    Array2::from_shape_fn((1, n_samples), |(_, i)| (TAU * hz * i as f64 / f64::from(sample_rate)).sin() as f32)
}

/// The first and the last of the longest run of numbers for which a test holds.
fn longest_run(n: usize, test: impl Fn(usize) -> bool) -> (usize, usize) {
    let mut best = (0, 0);
    let mut start = 0;
    for i in 0..n {
        if !test(i) {
            start = i + 1;
        } else if i - start > best.1 - best.0 {
            best = (start, i);
        }
    }
    best
}

/// Left, right, top and bottom pixel of the heat map, found by the frame around it, whose color is known.
fn heat_map_of(pixels: &Array3<u8>) -> (usize, usize, usize, usize) {
    let (height, width, _) = pixels.dim();
    let is_frame = |y: usize, x: usize| (0..3).all(|c| pixels[[y, x, c]] == 0x77);
    let rows: Vec<(usize, (usize, usize))> = (0..height)
        .map(|y| (y, longest_run(width, |x| is_frame(y, x))))
        .filter(|(_, (left, right))| right - left > width / 2)
        .collect();
    let [(top, (left, right)), .., (bottom, _)] = rows[..] else { panic!("no frame: {rows:?}") };
    (left + 1, right - 1, top + 1, bottom - 1)
}

fn luminance(pixels: &Array3<u8>, y: usize, x: usize) -> u32 {
    (0..3).map(|c| u32::from(pixels[[y, x, c]])).sum()
}

#[test]
fn a_tone_is_a_bright_row_at_its_frequency() {
    let folder = tempfile::tempdir().expect("folder");
    for scale in FrequencyScale::ALL {
        for (hz, sample_rate) in [(440.0, 8000), (3000.0, 8000), (1000.0, 44_100), (15_000.0, 192_000)] {
            let config = PlotConfig { scale, ..small() };
            let overview = overview(tone(hz, sample_rate, sample_rate as usize), sample_rate, 2048, &config);
            let path = folder.path().join("tone.png");
            plot::spectrogram(&overview, &config, &path).expect("picture");
            let pixels = read_png(&path);
            assert_eq!(pixels.dim(), (400, 640, 3));
            let (left, right, top, bottom) = heat_map_of(&pixels);
            let brightness = |y: &usize| luminance(&pixels, *y, (left + right) / 2);
            let brightest = (top..=bottom).map(|y| brightness(&y)).max().expect("rows");
            let rows: Vec<usize> = (top..=bottom).filter(|y| brightness(y) == brightest).collect();
            let row = (rows[0] + rows[rows.len() - 1]) as f64 / 2.0 + 0.5;

            let axis = FrequencyAxis::new(scale, &StftConfig::new(2048), sample_rate, None, None).expect("axis");
            let n_rows = (bottom + 1 - top) as f64;
            let got = axis.hz(1.0 - (row - top as f64) / n_rows);
            // One bin, which is as far as a transform tells frequencies apart, and one row.
            let bin_hz = f64::from(sample_rate) / 2048.0;
            let row_hz = axis.hz(axis.fraction(hz) + 1.0 / n_rows) - hz;
            assert!((got - hz).abs() <= bin_hz + row_hz, "{} at {sample_rate}: {got} Hz, not {hz}", scale.name());
            let top_color = PlotConfig::default().color_map.color(1.0);
            let peak = (0..3).map(|c| u32::from(top_color[c])).sum::<u32>();
            assert!(brightest + 24 >= peak, "the peak has the last color of the map: {brightest}, {peak}");
        }
    }
}

#[test]
fn an_impulse_is_a_bright_column_at_its_time() {
    let folder = tempfile::tempdir().expect("folder");
    let (sample_rate, n_samples) = (8000, 24_000);
    for at in [3000, 12_000, 20_500] {
        // A long recording is pooled, a short hop interpolates less than a pixel.
        let mut samples = Array2::zeros((1, n_samples));
        samples[[0, at]] = 1.0;
        let overview = overview(samples, sample_rate, 256, &small());
        let path = folder.path().join("impulse.png");
        plot::spectrogram(&overview, &small(), &path).expect("picture");
        let pixels = read_png(&path);
        let (left, right, top, bottom) = heat_map_of(&pixels);
        let sums: Vec<u32> =
            (left..=right).map(|x| (top..=bottom).map(|y| luminance(&pixels, y, x)).sum::<u32>()).collect();
        let brightest = sums.iter().copied().max().expect("columns");
        let columns: Vec<usize> = (0..sums.len()).filter(|i| sums[*i] * 100 >= brightest * 99).collect();
        let column = (columns[0] + columns[columns.len() - 1]) as f64 / 2.0 + 0.5;
        let got = column / (right + 1 - left) as f64 * n_samples as f64;
        // Half a hop of 64, and one pixel of 45 samples.
        assert!((got - at as f64).abs() < 32.0 + 45.0, "sample {got}, not {at}");
    }
}

#[test]
fn an_svg_holds_text_and_one_image_and_is_small() {
    let folder = tempfile::tempdir().expect("folder");
    let config = PlotConfig { title: "été & <fjörd>.wav".into(), ..small() };
    let overview = overview(tone(440.0, 8000, 80_000), 8000, 1024, &config);
    let path = folder.path().join("a.SVG");
    plot::spectrogram(&overview, &config, &path).expect("picture");
    let svg = std::fs::read_to_string(&path).expect("svg");
    assert!(svg.contains("été &amp; &lt;fjörd&gt;.wav") && svg.contains("frequency (Hz)"), "text stays text");
    assert_eq!(svg.matches("<image ").count(), 2, "heat map and color bar");
    assert!(svg.matches("<rect ").count() < 200 && svg.len() < 640 * 400 * 3, "{} bytes", svg.len());
}

#[test]
fn other_formats_and_places_that_cannot_be_written_are_refused_with_a_hint() {
    let overview = overview(tone(440.0, 8000, 8000), 8000, 1024, &small());
    let error = plot::spectrogram(&overview, &small(), Path::new("song.jpg")).expect_err("jpg");
    assert_eq!(error.to_string(), "cannot draw `song.jpg`: expected a name that ends in `.png` or `.svg`");
    assert_eq!(error.hint().as_deref(), Some("use `song.png`"));
    let inside_a_file = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml/song.png");
    let error = plot::spectrogram(&overview, &small(), &inside_a_file).expect_err("a file is no folder");
    assert!(error.hint().is_some() && std::error::Error::source(&error).is_some(), "{error:?}");
    for config in [PlotConfig { width: 10, ..small() }, PlotConfig { height: 100_000, ..small() }] {
        assert!(matches!(plot::spectrogram(&overview, &config, Path::new("a.png")), Err(Error::Setting { .. })));
    }
    for range_db in [0.0, -3.0, f64::NAN, f64::INFINITY] {
        let config = PlotConfig { range_db, ..small() };
        assert!(matches!(plot::spectrogram(&overview, &config, Path::new("a.png")), Err(Error::Setting { .. })));
    }
}

#[test]
fn silence_and_the_shortest_recordings_are_drawn() {
    let folder = tempfile::tempdir().expect("folder");
    for (n_fft, sample_rate) in [(2, 8000), (64, 44_100), (2048, 192_000)] {
        for n_samples in [0, 1, 10_000] {
            for scale in FrequencyScale::ALL {
                let config = PlotConfig { scale, width: 320, height: 320, ..small() };
                let overview = overview(Array2::zeros((2, n_samples)), sample_rate, n_fft, &config);
                let path = folder.path().join("silence.png");
                plot::spectrogram(&overview, &config, &path).expect("picture");
                let pixels = read_png(&path);
                let (left, right, top, bottom) = heat_map_of(&pixels);
                let dark = ColorMap::Magma.color(0.0);
                let is_dark = |y: usize, x: usize| (0..3).all(|c| pixels[[y, x, c]] == dark[c]);
                let all_dark = (top..=bottom).all(|y| (left..=right).all(|x| is_dark(y, x)));
                assert!(all_dark, "{n_samples} samples, n_fft {n_fft}, {}", scale.name());
            }
        }
    }
}

/// A heat map of several levels has several colors of the map.
#[track_caller]
fn assert_shows_levels(path: &Path, n_values: usize) {
    let pixels = read_png(path);
    assert_eq!(pixels.dim(), (400, 640, 3));
    let (left, right, top, bottom) = heat_map_of(&pixels);
    let shown = colors(&pixels.slice(s![top..=bottom, left..=right, ..]).as_standard_layout().into_owned());
    let n_shown = (0..192).filter(|level| shown.contains(&ColorMap::Magma.color(*level as f32 / 191.0))).count();
    let least = if n_values > 1 { 5 } else { 0 };
    assert!(n_shown >= least, "{n_shown} levels of {n_values} values, expected {least}");
}

#[test]
fn dictionaries_and_activations_of_any_size_are_drawn() {
    let folder = tempfile::tempdir().expect("folder");
    let transform = StftConfig::new(64);
    let (png, svg) = (folder.path().join("a.png"), folder.path().join("a.svg"));
    for n_components in [0_usize, 1, 7, 64, 1000] {
        let value = |(i, k): (usize, usize)| ((i * 7 + k * 3) % 11) as f32 * if k % 5 == 4 { 0.0 } else { 1.0 };
        let groups = match n_components {
            0 | 1 => vec![],
            n => vec![
                Group {
                    name: "a source with quite a long name".into(),
                    components: (1..n.div_ceil(2)).rev().collect(),
                },
                Group { name: "b".into(), components: vec![0] },
                Group { name: "empty".into(), components: vec![] },
            ],
        };
        for sample_rate in [8000, 192_000] {
            let w = Array2::from_shape_fn((transform.n_bins(), n_components), value);
            let rows = Rows::Frequency { config: transform, sample_rate };
            plot::dictionary(w.view(), rows, &groups, &small(), &png).expect("dictionary");
            plot::dictionary(w.view(), Rows::Index, &[], &small(), &svg).expect("dictionary");
            assert_shows_levels(&png, n_components);
        }
        for n_frames in [0, 1, 3000] {
            let h = Array2::from_shape_fn((n_components, n_frames), |(k, i)| value((i, k)));
            let columns = Columns::Time { config: transform, sample_rate: 8000 };
            plot::activations(h.view(), columns, &groups, &small(), &png).expect("activations");
            plot::activations(h.view(), Columns::Index, &groups, &small(), &svg).expect("activations");
            // Each component's hill stands on a line of its color.
            let pixels = read_png(&png);
            let (left, right, top, bottom) = heat_map_of(&pixels);
            let is_colored = |y: usize, x: usize| (0..2).any(|c| pixels[[y, x, c]] != pixels[[y, x, c + 1]]);
            let is_shown = (top..=bottom).any(|y| (left..=right).all(|x| is_colored(y, x)));
            assert_eq!(is_shown, n_components > 0, "{n_components} components, {n_frames} frames");
        }
    }
}

#[test]
fn a_dictionary_shows_each_template_in_its_column() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("w.png");
    // Row i belongs to component i.
    let w = Array2::from_shape_fn((6, 6), |(i, k)| f32::from(i == k));
    plot::dictionary(w.view(), Rows::Index, &[], &small(), &path).expect("picture");
    let pixels = read_png(&path);
    let (left, right, top, bottom) = heat_map_of(&pixels);
    for i in 0..6 {
        for k in 0..6 {
            let x = left + (2 * k + 1) * (right - left) / 12;
            let y = top + (2 * i + 1) * (bottom - top) / 12;
            let expected = ColorMap::Magma.color(w[[i, k]]);
            let got: Vec<u8> = (0..3).map(|c| pixels[[y, x, c]]).collect();
            assert_eq!(got, expected, "row {i}, component {k}");
        }
    }
}

#[test]
fn wrong_shapes_and_groups_are_refused() {
    let w = Array2::<f32>::ones((10, 3));
    let rows = Rows::Frequency { config: StftConfig::new(64), sample_rate: 8000 };
    let error = plot::dictionary(w.view(), rows, &[], &small(), Path::new("a.png")).expect_err("33 bins");
    assert_eq!(error.to_string(), "the dictionary is 10 x 3, expected 33 x 3");
    for components in [vec![3], vec![1, 1]] {
        let groups = [Group { name: "a".into(), components }];
        let error = plot::dictionary(w.view(), Rows::Index, &groups, &small(), Path::new("a.png"));
        assert!(matches!(error, Err(Error::Setting { name: "groups", .. })), "{error:?}");
    }
    assert!(matches!(plot::panels(&[], &small(), Path::new("a.png")), Err(Error::Setting { name: "panels", .. })));
}

#[test]
fn divergences_are_drawn_whatever_they_are() {
    let folder = tempfile::tempdir().expect("folder");
    let curves: [&[(usize, f64)]; 7] = [
        &[],
        &[(0, 0.0)],
        &[(0, 5.0)],
        &[(0, 5.0), (10, 5.0)],
        &[(0, 1e9), (10, 1e3), (20, 1e-9), (30, 0.0)],
        &[(0, 1e-300), (1_000_000, 1e299)],
        &[(0, f64::NAN), (10, f64::INFINITY), (20, 3.0)],
    ];
    let draw = |curve: &[(usize, f64)]| {
        let [png, svg] = ["a.png", "a.svg"].map(|name| folder.path().join(name));
        plot::divergence(curve, &small(), &svg).expect("picture");
        plot::divergence(curve, &small(), &png).expect("picture");
        read_png(&png)
    };
    let empty = draw(&[]);
    for curve in curves {
        let pixels = draw(curve);
        assert_eq!(pixels.dim(), (400, 640, 3));
        // The line, and ticks of its own; there is no logarithm of 0.
        let n_drawn = curve.iter().filter(|(_, x)| x.is_finite() && *x > 0.0).count();
        let differs = pixels.iter().zip(&empty).filter(|(a, b)| a != b).count();
        assert!(n_drawn == 0 || differs > 100, "{curve:?}: {differs} values of color");
    }
}

#[test]
fn panels_share_one_scale() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("panels.png");
    let loud = overview(tone(1000.0, 8000, 8000), 8000, 512, &small());
    // 40 dB below: half of the default range.
    let quiet = overview(tone(1000.0, 8000, 8000) * 0.01, 8000, 512, &small());
    for n_panels in [1, 2, 5, 9, 10] {
        let panels: Vec<(&str, &Overview)> =
            (0..n_panels).map(|i| if i == 0 { ("loud", &loud) } else { ("quiet", &quiet) }).collect();
        plot::panels(&panels, &small(), &path).expect("panels");
        plot::masks(&panels, &small(), &path.with_extension("svg")).expect("masks");
    }
    plot::panels(&[("quiet", &quiet), ("loud", &loud)], &small(), &path).expect("panels");
    let pixels = read_png(&path);
    let brightest = |rows: std::ops::Range<usize>| {
        let in_panels = rows.flat_map(|y| (100..400).map(move |x| (y, x)));
        let middle = ColorMap::Magma.color(0.5);
        in_panels.filter(|(y, x)| (0..3).all(|c| pixels[[*y, *x, c]].abs_diff(middle[c]) < 8)).count()
    };
    assert!(brightest(40..190) > 200, "the quiet tone is drawn in the middle color");
}

#[test]
fn a_mask_is_shown_by_its_values() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("mask.png");
    let config = StftConfig::new(64);
    let mut builder = OverviewBuilder::new(&config, 8000, 1000);
    (0..100).for_each(|_| builder.push(vec![0.25; config.n_bins()]));
    let mask = builder.finish(99 * 16);
    plot::masks(&[("a quarter", &mask)], &small(), &path).expect("picture");
    let pixels = read_png(&path);
    let (left, right, top, bottom) = heat_map_of(&pixels);
    let got: Vec<u8> = (0..3).map(|c| pixels[[(top + bottom) / 2, (left + right) / 2, c]]).collect();
    let expected = ColorMap::Magma.color(0.25);
    // Brightness is rounded to one of 192 colors.
    assert!(got.iter().zip(expected).all(|(a, b)| a.abs_diff(b) <= 2), "{got:?}, expected {expected:?}");
}

#[test]
fn pictures_are_the_same_from_many_threads() {
    let folder = tempfile::tempdir().expect("folder");
    let overview = overview(tone(440.0, 8000, 8000), 8000, 512, &small());
    let draw = |i: usize| {
        let path = folder.path().join(format!("{i}.png"));
        plot::spectrogram(&overview, &small(), &path).expect("picture");
        std::fs::read(path).expect("bytes")
    };
    let pictures: Vec<Vec<u8>> = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|i| {
                scope.spawn({
                    let draw = &draw;
                    move || draw(i)
                })
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().expect("thread")).collect()
    });
    assert!(pictures.windows(2).all(|pair| pair[0] == pair[1]));
    let names: Vec<_> = std::fs::read_dir(folder.path()).expect("folder").collect();
    assert_eq!(names.len(), 8, "no temporary file stays");
}
