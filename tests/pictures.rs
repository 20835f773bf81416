//! `partita spectrogram`: pictures of one recording and of thousands show what was asked for, where it belongs.
#![cfg(feature = "cli")]

mod common;
#[path = "common/picture.rs"]
mod picture;

use std::f64::consts::TAU;
use std::fs;

use common::{Dir, stderr, stdout, tune};
use ndarray::{Array2, Array3};
use partita::atomic::Existing;
use partita::knowledge::score::{Note, Part, Score};
use partita::plot::{self, ColorMap, Panel, PlotConfig};
use partita::spectrogram::{Bands, Channels, FrequencyScale, Level, Tiles, View, ViewConfig, survey, tiles, views};
use partita::watch::Watch;
use partita::{Audio, Error, StftConfig};
use picture::read_png;
use serde_json::Value;

const FRAME: [u8; 3] = [0x77; 3];
const WAVE: [u8; 3] = [0x44, 0x77, 0xaa];
const FIRST_PART: [u8; 3] = [0x66, 0xe0, 0xff];

fn tone(hz: f64, i: usize, sample_rate: f64) -> f32 {
    (TAU * hz * i as f64 / sample_rate).sin() as f32
}

fn is(pixels: &Array3<u8>, y: usize, x: usize, color: [u8; 3]) -> bool {
    (0..3).all(|c| pixels[[y, x, c]] == color[c])
}

/// Left, right, top and bottom pixel of each place of a color, the whole of which is taken as a box.
fn extent(pixels: &Array3<u8>, color: [u8; 3]) -> (usize, usize, usize, usize) {
    let (height, width, _) = pixels.dim();
    let places = (0..height).flat_map(|y| (0..width).map(move |x| (y, x))).filter(|(y, x)| is(pixels, *y, *x, color));
    let nothing = (usize::MAX, 0, usize::MAX, 0);
    let extent = places.fold(nothing, |(l, r, t, b), (y, x)| (l.min(x), r.max(x), t.min(y), b.max(y)));
    assert_ne!(extent, nothing, "no pixel of {color:?}");
    extent
}

/// Left and right pixel, and the row, of each horizontal line of frames that is longer than some pixels.
fn frame_lines(pixels: &Array3<u8>, least: usize) -> Vec<(usize, usize, usize)> {
    let (height, width, _) = pixels.dim();
    let mut lines = Vec::new();
    for y in 0..height {
        let mut start = 0;
        for x in 0..=width {
            if x == width || !is(pixels, y, x, FRAME) {
                if x - start > least {
                    lines.push((start, x - 1, y));
                }
                start = x + 1;
            }
        }
    }
    lines
}

fn lines(dir: &Dir, manifest: &str) -> Vec<Value> {
    let text = fs::read_to_string(dir.path(manifest)).expect("manifest");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn recordings_of_folders_patterns_and_lists_are_drawn_and_bad_ones_reported() {
    let dir = Dir::new();
    ["in/a.wav", "in/b/c.wav", "in/b/d.wav"].iter().for_each(|name| drop(dir.tune(name)));
    fs::write(dir.path("in/bad.wav"), "no sound").expect("file");
    let output = dir.partita(&["spectrogram", "in", "-o", "out", "-j", "2", "--size", "400x320"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert!(stderr(&output).contains("error: 3 of 4 drawn"), "{}", stderr(&output));
    assert!(stderr(&output).contains("in/b/c.wav -> out/b/c.png"), "{}", stderr(&output));
    for name in ["a", "b/c", "b/d"] {
        assert_eq!(read_png(&dir.path(&format!("out/{name}.png"))).dim(), (320, 400, 3));
    }
    dir.succeeds(&["spectrogram", "in/b/*.wav", "-o", "flat", "--filename", "x-{track}.svg", "-q"]);
    fs::write(dir.path("list"), "in/a.wav\nin/b/c.wav\n").expect("list");
    dir.succeeds(&["spectrogram", "--files-from", "list", "-o", "listed/", "-q"]);
    dir.succeeds(&["spectrogram", "in/a.wav", "-o", "one", "-q"]);
    let files = dir.files();
    for name in ["flat/x-c.svg", "flat/x-d.svg", "listed/in/a.png", "listed/in/b/c.png", "one/a.png"] {
        assert!(files.iter().any(|file| file == name), "{name}: {files:?}");
    }
    // The same rules as for stems.
    assert!(dir.fails(&["spectrogram", "in/a.wav", "-o", "out"], 2).contains("`out/a.png` exists already"));
    let output = dir.succeeds(&["spectrogram", "in/a.wav", "-o", "out", "--skip-existing"]);
    assert!(stderr(&output).contains("in/a.wav: skipped, its picture exists"), "{}", stderr(&output));
    let output = dir.succeeds(&["spectrogram", "in/b", "-o", "new", "--dry-run", "--json"]);
    assert!(stdout(&output).contains("new/c.png") && !dir.path("new").exists(), "{}", stdout(&output));
}

#[test]
fn one_picture_for_several_recordings_is_refused() {
    let dir = Dir::new();
    ["in/a.wav", "in/b.wav"].iter().for_each(|name| drop(dir.tune(name)));
    for (args, expected) in [
        (&["in", "-o", "p.png"][..], "`p.png` is one picture, and there are 2 recordings"),
        (&["in/a.wav", "-o", "p.png", "--filename", "{track}.png"], "`--filename` names pictures in a folder"),
        (&["in", "-o", "out", "--filename", "x.png"], "would be written to the same file"),
        (&["in", "-o", "out", "--filename", "{stem}.png"], "`--filename` has `{stem}`, expected `{track}`"),
        (&["in", "-o", "out", "--filename", "../{track}.png"], "expected a path below the output folder"),
        (&["in", "-o", "out", "--filename", "{track}.gif"], "expected a name that ends in `.png` or `.svg`"),
        (&["in", "-o", "out", "--together"], "expected a name that ends in `.png` or `.svg`"),
        (&["in/a.wav", "-o", "p.png", "--size", "20000x20000"], "expected at most 67108864 pixels"),
        (&["in/a.wav", "-o", "p.png", "--cqt", "--hop-length", "0"], "`--hop-length` is 0"),
    ] {
        let message = dir.fails(&[&["spectrogram"], args].concat(), 2);
        assert!(message.contains(expected) && message.contains("hint: "), "{args:?}: {message}");
    }
}

#[test]
fn a_batch_of_pictures_goes_on_where_its_manifest_ends() {
    let dir = Dir::new();
    ["in/a.wav", "in/b.wav", "in/c.wav"].iter().for_each(|name| drop(dir.tune(name)));
    let args = ["spectrogram", "in", "-o", "out", "--manifest", "m.jsonl", "--size", "320x320"];
    let resume = [&args[..], &["--resume"]].concat();
    dir.succeeds(&args);
    let first = lines(&dir, "m.jsonl");
    assert_eq!(first.len(), 3);
    assert_eq!((&first[0]["outputs"][0]["path"], &first[0]["duration_s"]), (&"out/a.png".into(), &1.0.into()));
    fs::remove_file(dir.path("out/b.png")).expect("picture");
    let output = dir.succeeds(&resume);
    let told = stderr(&output);
    assert_eq!(told.matches("done before, and nothing changed since").count(), 2, "{told}");
    assert!(told.contains("in/b.wav -> out/b.png"), "{told}");
    assert_eq!(lines(&dir, "m.jsonl"), first);
    // Another look is another result.
    let told = stderr(&dir.succeeds(&[&resume[..], &["--mel"]].concat()));
    assert!(!told.contains("done before"), "{told}");
    // Shares are disjoint, and together they are the whole.
    for shard in ["1/2", "2/2"] {
        dir.succeeds(&["spectrogram", "in", "-o", "shares", "--shard", shard, "--size", "320x320"]);
    }
    assert_eq!(dir.files().iter().filter(|name| name.starts_with("shares/")).count(), 3);
}

#[test]
fn recordings_together_share_their_scales() {
    let dir = Dir::new();
    // Two seconds at full scale; one second 40 dB below, at another rate and with two equal channels.
    dir.wav("x/take.wav", 8000, &[&|i| tone(1000.0, i, 8000.0)], 16_000);
    let quiet = |i| 0.01 * tone(1000.0, i, 16_000.0);
    dir.wav("y/take.wav", 16_000, &[&quiet, &quiet], 16_000);
    let args =
        ["spectrogram", "x/take.wav", "y/take.wav", "--together", "-o", "p.png", "--size", "800x600", "--linear"];
    let output = dir.succeeds(&args);
    assert!(stderr(&output).contains("2 recordings -> p.png"), "{}", stderr(&output));
    let pixels = read_png(&dir.path("p.png"));
    let frames = frame_lines(&pixels, 100);
    let [(left, right, top, bottom), (left2, right2, top2, bottom2)] = match frames[..] {
        [a, b, c, d] => [(a.0, a.1, a.2, b.2), (c.0, c.1, c.2, d.2)],
        _ => panic!("two panels: {frames:?}"),
    };
    assert_eq!(left, left2);
    let (long, short) = ((right - left - 1) as f64, (right2 - left2 - 1) as f64);
    assert!((long - 2.0 * short).abs() <= 2.0, "as many pixels for a second: {long} and {short}");
    // The axis ends at 8 kHz, so 1 kHz is an eighth of the way up, and of the first nothing is above a half.
    let brightest = |x: usize, top: usize, bottom: usize| {
        let light = |y: &usize| (0..3).map(|c| u32::from(pixels[[*y, x, c]])).sum::<u32>();
        (top + 2..bottom - 1).max_by_key(light).expect("rows")
    };
    for (x, top, bottom, brightness) in [(left + 100, top, bottom, 1.0), (left2 + 100, top2, bottom2, 0.5f32)] {
        let y = brightest(x, top, bottom);
        let fraction = (bottom as f64 - y as f64) / (bottom - top) as f64;
        assert!((fraction - 0.125).abs() < 0.015, "{fraction}");
        let (got, expected) = ([0, 1, 2].map(|c| pixels[[y, x, c]]), ColorMap::Magma.color(brightness));
        // A dB is three levels of color; a tone between two bins and rows misses the peak by up to 1.4 dB.
        assert!(got.iter().zip(expected).all(|(a, b)| a.abs_diff(b) < 16), "{got:?}, expected {expected:?}");
    }
    let dark = ColorMap::Magma.color(0.0);
    assert!((top + 2..(top + bottom) / 2 - 2).all(|y| is(&pixels, y, left + 100, dark)), "nothing above half the rate");
    // More than there is room for.
    let many: Vec<String> = (0..40).map(|i| format!("many/{i:02}.wav")).collect();
    many.iter().for_each(|name| drop(dir.wav(name, 8000, &[&tune], 500)));
    let message = dir.fails(&["spectrogram", "many", "--together", "-o", "q.png"], 2);
    assert!(message.contains("`panels` is 40, expected as many as there is room for"), "{message}");
}

#[test]
fn channels_are_drawn_apart() {
    let dir = Dir::new();
    dir.wav("s.wav", 8000, &[&|i| tone(500.0, i, 8000.0), &|i| tone(3000.0, i, 8000.0)], 8000);
    dir.succeeds(&[
        "spectrogram",
        "s.wav",
        "-o",
        "p.png",
        "--channels",
        "--linear",
        "--size",
        "640x500",
        "--range-db",
        "20",
    ]);
    let pixels = read_png(&dir.path("p.png"));
    let frames = frame_lines(&pixels, 100);
    assert_eq!(frames.len(), 4, "{frames:?}");
    for (pair, hz) in frames.chunks(2).zip([500.0, 3000.0]) {
        let (x, top, bottom) = (pair[0].0 + 50, pair[0].2, pair[1].2);
        let dark = ColorMap::Magma.color(0.0);
        let lit: Vec<_> = (top + 2..bottom - 1).filter(|y| !is(&pixels, *y, x, dark)).collect();
        let middle = 0.5 * (lit[0] + lit[lit.len() - 1]) as f64;
        let got = 4000.0 * (bottom as f64 - middle) / (bottom - top) as f64;
        assert!((got - hz).abs() < 60.0, "{got} Hz, expected {hz}");
    }
}

#[test]
fn a_waveform_reaches_as_far_as_its_samples() {
    let dir = Dir::new();
    // Full scale for a second, then a quarter, then nothing.
    let loudness = |i: usize| [1.0, 0.25, 0.0, 0.0][(i / 8000).min(3)];
    dir.wav("w.wav", 8000, &[&|i| loudness(i) * tone(440.0, i, 8000.0)], 32_000);
    dir.succeeds(&["spectrogram", "w.wav", "-o", "p.png", "--waveform", "--size", "800x600"]);
    let pixels = read_png(&dir.path("p.png"));
    let frames = frame_lines(&pixels, 300);
    assert_eq!(frames.len(), 4, "a waveform and a spectrogram: {frames:?}");
    let (left, right, top, bottom) = (frames[0].0 + 1, frames[0].1, frames[0].2 + 1, frames[1].2);
    let height = |second: f64| {
        let x = left + (second / 4.0 * (right - left) as f64) as usize;
        (top..bottom).filter(|y| is(&pixels, *y, x, WAVE)).count()
    };
    let all = (bottom - top) as f64;
    for (second, share) in [(0.5, 1.0), (1.5, 0.25), (2.5, 0.0), (3.5, 0.0)] {
        // A pixel of smooth edge on either side, and a line for silence.
        let got = height(second) as f64;
        assert!((got - share * all).abs() <= 2.5, "at {second} s: {got} pixels of {all}");
    }
}

/// What `plot::draw` makes of a recording.
fn drawn(dir: &Dir, audio: &Audio, view: &ViewConfig, score: Option<&Score>, config: &PlotConfig) -> Array3<u8> {
    let views = views(audio, view, config.max_columns(), &mut Watch::none()).expect("views");
    let panels: Vec<_> = views.iter().map(|view| Panel::new("", &view.overview)).collect();
    let path = dir.path("drawn.png");
    plot::draw(&panels, score, config, &path).expect("picture").commit().expect("file");
    read_png(&path)
}

#[test]
fn notes_of_a_score_lie_where_they_sound_on_every_axis() {
    let dir = Dir::new();
    // Silence, so that the only color is that of the note: E5, a semitone below what is written, from 1.5 to 2.5 s of the
    // recording, shown from 0.5 s on.
    let audio = Audio::new(Array2::zeros((1, 32_000)), 8000).expect("audio");
    let note = Note { onset_s: 1.5, offset_s: 2.5, pitch: 77, velocity: 90 };
    let early = Note { onset_s: 0.0, offset_s: 0.4, pitch: 40, velocity: 90 };
    let parts = vec![Part::new("violin", vec![early, note])];
    let score = Score { parts, transposition: Some(-1.0), ..Score::default() };
    let transform = StftConfig::new(1024);
    let looks = [
        (Bands::Fourier(transform), FrequencyScale::Linear),
        (Bands::Fourier(transform), FrequencyScale::Log),
        (Bands::Fourier(transform), FrequencyScale::Mel),
        (Bands::ConstantQ { hop_length: 256 }, FrequencyScale::Log),
        (Bands::PitchClasses { hop_length: 256 }, FrequencyScale::Log),
    ];
    for (bands, scale) in looks {
        let config = PlotConfig { scale, start_s: 0.5, existing: Existing::Replace, ..PlotConfig::default() };
        let view = ViewConfig { bands, channels: Channels::Together };
        let pixels = drawn(&dir, &audio, &view, Some(&score), &config);
        let frames = frame_lines(&pixels, 800);
        let (left, right, top, bottom) = (frames[0].0 + 1, frames[0].1, frames[0].2 + 1, frames[1].2);
        let map = pixels.slice(ndarray::s![top..bottom, left..right, ..]).to_owned();
        let (x0, x1, y0, y1) = extent(&map, FIRST_PART);
        let (height, width) = ((bottom - top) as f64, (right - left) as f64);
        assert!(
            (x0 as f64 - 0.25 * width).abs() <= 1.5 && (x1 as f64 - 0.5 * width).abs() <= 2.0,
            "{bands:?}: {x0} {x1}"
        );
        let (low, high) = bands.axis(scale, 8000, None, None).expect("axis").key(76.0);
        let (expected_y0, expected_y1) = ((1.0 - high) * height, (1.0 - low) * height);
        // Grown to five pixels where the axis is narrow.
        let grown = 0.5 * (5.0 - (expected_y1 - expected_y0)).max(0.0);
        let gap = (y0 as f64 - expected_y0 + grown).abs().max((y1 as f64 + 1.0 - expected_y1 - grown).abs());
        assert!(gap <= 2.0, "{bands:?}, {}: rows {y0} to {y1}, expected {expected_y0} to {expected_y1}", scale.name());
    }
    // 659 Hz is found at E on the axis of pitch classes, a third of the way up and a half of a class more.
    assert_eq!(
        Bands::PitchClasses { hop_length: 1 }.axis(FrequencyScale::Log, 8000, None, None).expect("axis").key(76.0),
        (4.0 / 12.0, 5.0 / 12.0)
    );
    fs::write(dir.path("s.mid"), score.to_midi()).expect("score");
    dir.wav("w.wav", 8000, &[&|_| 0.0], 32_000);
    dir.succeeds(&[
        "spectrogram",
        "w.wav",
        "-o",
        "p.png",
        "--start",
        "0.5",
        "--score",
        "s.mid",
        "--score-transpose",
        "-1",
    ]);
    extent(&read_png(&dir.path("p.png")), FIRST_PART);
}

#[test]
fn a_tone_is_in_its_constant_q_band_and_in_its_pitch_class_whatever_the_rate() {
    for (sample_rate, hz, class) in [(8000, 110.0, 9), (22_050, 261.63, 0), (44_100, 1975.53, 11), (48_000, 4186.0, 0)]
    {
        let samples = |(_, i)| 0.5 * tone(hz, i, f64::from(sample_rate));
        let audio = Audio::new(Array2::from_shape_fn((2, sample_rate as usize), samples), sample_rate).expect("audio");
        let view = |bands| {
            let config = ViewConfig { bands, channels: Channels::Together };
            views(&audio, &config, 400, &mut Watch::none()).expect("views").remove(0).overview
        };
        let bands = view(Bands::ConstantQ { hop_length: 512 });
        let middle = bands.values().row(bands.n_columns() / 2).to_vec();
        let loudest = (0..middle.len()).max_by(|a, b| middle[*a].total_cmp(&middle[*b])).expect("bands");
        let expected = (36.0 * (hz / 32.7032).log2()).round() as usize;
        assert_eq!(loudest, expected, "{hz} Hz at {sample_rate}");
        // Amplitude 0.5 in two channels: a quarter of full scale.
        let share = middle[loudest] / bands.full_scale();
        assert!((share - 0.25).abs() < 0.02, "{share}");
        // A whole tone away, it is 30 dB weaker.
        assert!(
            middle[loudest + 6] < 1e-3 * middle[loudest] && middle[loudest - 6] < 1e-3 * middle[loudest],
            "{hz} Hz"
        );
        let classes = view(Bands::PitchClasses { hop_length: 512 });
        let middle = classes.values().row(classes.n_columns() / 2).to_vec();
        assert_eq!((0..12).max_by(|a, b| middle[*a].total_cmp(&middle[*b])), Some(class), "{hz} Hz: {middle:?}");
    }
}

#[test]
fn tiles_show_each_frame_once_in_numbered_files() {
    let dir = Dir::new();
    dir.tune("t.wav");
    let size = ["--hop-length", "16", "--n-fft", "64", "--frames-per-pixel", "1", "--size", "340x320"];
    let output = dir.succeeds(&[&["spectrogram", "t.wav", "-o", "x.png", "--waveform"], &size[..]].concat());
    // 8000 samples, 501 frames; 217 pixels beside axes and color bar.
    assert!(stderr(&output).contains("t.wav -> x-001.png to x-003.png (3 pictures)"), "{}", stderr(&output));
    let widths: Vec<_> = (1..=3).map(|i| read_png(&dir.path(&format!("x-00{i}.png"))).dim().1).collect();
    assert_eq!(widths, [340, 340, 340 + 501 - 3 * 217]);
    assert!(!dir.path("x.png").exists());
    assert!(
        dir.fails(&[&["spectrogram", "t.wav", "-o", "x.png"], &size[..]].concat(), 2).contains("`x-001.png` exists")
    );
    for name in ["x-001.png", "x-003.png"] {
        std::fs::remove_file(dir.path(name)).expect("removed");
    }
    let again = [&["spectrogram", "t.wav", "-o", "x.png", "--dry-run"], &size[..]].concat();
    assert!(dir.fails(&again, 2).contains("`x-002.png` exists"), "told before any work");
    let shorter = ["spectrogram", "t.wav", "-o", "x.png", "--frames-per-pixel", "100", "-f"];
    assert!(stderr(&dir.succeeds(&shorter)).contains("`x-002.png` is still there from an earlier run"));
    // What is narrow enough is one picture.
    dir.succeeds(&["spectrogram", "t.wav", "-o", "y.png", "--frames-per-pixel", "100"]);
    assert!(dir.path("y.png").exists());

    let audio = dir.read("t.wav");
    let transform = StftConfig { hop_length: 16, ..StftConfig::new(64) };
    let config = ViewConfig { bands: Bands::Fourier(transform), channels: Channels::Together };
    let of_tile = |frames_per_column: usize| Tiles {
        frames_per_column: frames_per_column.try_into().expect("some"),
        n_columns: 200.try_into().expect("some"),
    };
    let whole = views(&audio, &config, 1000, &mut Watch::none()).expect("views").remove(0);
    let axis = config.bands.axis(FrequencyScale::Linear, 8000, None, None).expect("axis");
    let level = Level::Decibel { peak: whole.overview.peak(), range_db: 60.0 };
    let mut found: Vec<View> = Vec::new();
    tiles(&audio, &config, of_tile(1), &mut Watch::none(), &mut |mut views| {
        found.push(views.remove(0));
        Ok(())
    })
    .expect("tiles");
    assert_eq!(found.iter().map(|view| view.overview.n_columns()).collect::<Vec<_>>(), [200, 200, 101]);
    for (i, view) in found.iter().enumerate() {
        let n_columns = view.overview.n_columns();
        let raster = view.overview.raster(&axis, level, n_columns, 33);
        for column in 0..n_columns {
            let frame = whole.overview.values().row(200 * i + column).to_vec();
            for row in 1..32 {
                // A row of a linear axis lies between two bins.
                let bin = 32.0 * (1.0 - (row as f64 + 0.5) / 33.0);
                let (low, high) = (level.brightness(frame[bin as usize]), level.brightness(frame[bin as usize + 1]));
                let (got, slack) = (raster[[row, column]], 1e-4);
                assert!(low.min(high) - slack <= got && got <= low.max(high) + slack, "tile {i}, column {column}");
            }
        }
        let (start_s, end_s) = view.overview.span_s();
        assert_eq!(start_s, (200.0 * i as f64 - 0.5) * 16.0 / 8000.0);
        assert!((end_s - start_s - n_columns as f64 * 16.0 / 8000.0).abs() < 1e-9);
        // The waveform of a tile is that of the whole there.
        let spans = view.waveform.spans((start_s.max(0.0), end_s.min(1.0)), 7);
        let peak = spans.iter().fold(0.0f32, |peak, (least, largest)| peak.max(-least).max(*largest));
        assert!(peak > 0.2, "tile {i}: {peak}");
    }
    let all = survey(&audio, &config, of_tile(1), &mut Watch::none()).expect("survey");
    assert_eq!((all.n_tiles, all.n_samples), (3, 8000));
    assert_eq!(all.peak, whole.overview.peak() / whole.overview.full_scale());
}

#[test]
fn pictures_are_of_any_size() {
    let dir = Dir::new();
    dir.tune("t.wav");
    for (size, dim) in [("16x16", (16, 16)), ("64x400", (400, 64)), ("320x320", (320, 320)), ("9000x330", (330, 9000))]
    {
        let name = format!("{size}.png");
        dir.succeeds(&["spectrogram", "t.wav", "-o", &name, "--size", size, "--waveform", "-q"]);
        let pixels = read_png(&dir.path(&name));
        assert_eq!((pixels.dim().0, pixels.dim().1), dim);
        let is_labeled = dim.0.min(dim.1) >= 320;
        // Without axes, the picture reaches to the edge of the page.
        assert_eq!(is(&pixels, dim.0 - 1, dim.1 - 1, [255; 3]), is_labeled, "{size}");
    }
    let config = PlotConfig { width: 10, ..PlotConfig::default() };
    assert!(matches!(config.check("a.png".as_ref()), Err(Error::Setting { name: "width", .. })));
}
