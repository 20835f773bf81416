//! Several microphones: what leaks into each goes, what is its own stays, and nothing goes wrong where there is
//! nothing.

mod common;

use common::{Dir, sample, si_sdr, stderr, stems_of};
use ndarray::{Array2, ArrayView1, s};
use partita::audio::{decode, resample};
use partita::knowledge::score::{Note, Part};
use partita::separate::bleed::{self, BleedConfig, Microphone, Shared};
use partita::separate::{Analysis, AnalysisConfig, Detail, Stems};
use partita::watch::Watch;
use partita::{Audio, Error, Result, Score, Separation};

const RATE: u32 = 8000;
const N_SAMPLES: usize = 20_000;
const NAMES: [&str; 3] = ["drums", "bass", "guitar"];

/// The sources of the sample, each at the same level.
fn sources() -> Array2<f32> {
    let mut sources = Array2::zeros((3, N_SAMPLES));
    for (mut to, name) in sources.outer_iter_mut().zip(NAMES) {
        let audio = decode::read(&sample(&format!("drums-bass-guitar/{name}.wav"))).expect("sample");
        let audio = resample::resample(&audio, RATE).expect("resampled");
        to.assign(&audio.samples().slice(s![0, ..N_SAMPLES]));
        let level = (to.iter().map(|x| x * x).sum::<f32>() / N_SAMPLES as f32).sqrt();
        to.mapv_inplace(|x| 0.1 * x / level);
    }
    sources
}

/// What the microphones hear of each source: its own at once, the others' later and quieter, all with some echoes.
fn images(sources: &Array2<f32>) -> Vec<Array2<f32>> {
    let image = |source: usize| {
        let mut image = Array2::zeros((3, N_SAMPLES));
        for mic in 0..3 {
            let (delay, gain) = if mic == source { (3, 1.0) } else { (23 + 9 * mic + 5 * source, 0.3) };
            for (echo, level) in [(0, 1.0), (57 + 3 * mic, 0.3), (131 + 7 * source, -0.2), (307, 0.1)] {
                let (late, gain) = (delay + echo, gain * level);
                for i in late..N_SAMPLES {
                    image[(mic, i)] += gain * sources[(source, i - late)];
                }
            }
        }
        image
    };
    (0..3).map(image).collect()
}

fn audio(samples: Array2<f32>) -> Audio {
    Audio::new(samples, RATE).expect("audio")
}

fn session() -> (Vec<Array2<f32>>, Audio) {
    let images = images(&sources());
    let mixture = images.iter().fold(Array2::zeros((3, N_SAMPLES)), |sum, image| sum + image);
    (images, audio(mixture))
}

fn config(n_mics: usize) -> BleedConfig {
    let microphone = |channel: usize| Microphone { name: NAMES[channel].into(), channel };
    BleedConfig { has_rest: true, n_components: 8, ..BleedConfig::new((0..n_mics).map(microphone).collect()) }
}

fn try_to_clean(recording: &Audio, config: &BleedConfig) -> Result<Separation> {
    let analysis = Analysis::of(recording, &BleedConfig::analysis(recording.n_channels()), &mut Watch::none())?;
    bleed::fit(&analysis, config, None, &mut Watch::none())
}

fn clean(recording: &Audio, config: &BleedConfig) -> Vec<Audio> {
    stems_of(&try_to_clean(recording, config).expect("cleaned"), recording)
}

/// Each stem and its rest are the microphone.
fn assert_whole(recording: &Audio, stems: &[Audio], what: &str) {
    let n_mics = recording.n_channels();
    for mic in 0..n_mics {
        let (own, rest) = (stems[mic].channel(0), stems[n_mics + mic].channel(0));
        assert_eq!((own.len(), stems[mic].n_channels()), (recording.n_samples(), 1), "{what}");
        let gap = own.iter().zip(rest).zip(recording.channel(mic)).map(|((a, b), x)| (a + b - x).abs());
        let (gap, peak) = (gap.fold(0.0, f32::max), recording.peak().max(1e-9));
        assert!(gap <= 2e-6 * peak, "{what}: microphone {mic} is missed by {gap} of {peak}");
        assert!(own.iter().chain(rest).all(|x| x.is_finite()), "{what}: microphone {mic}");
    }
}

#[test]
fn what_leaks_is_taken_out_and_both_are_the_microphone() {
    let (images, mixture) = session();
    let separation = try_to_clean(&mixture, &config(3)).expect("cleaned");
    let expected = ["drums", "bass", "guitar", "drums_rest", "bass_rest", "guitar_rest"];
    assert_eq!((separation.names(), separation.n_stem_channels()), (&expected.map(String::from)[..], 1));
    let stems = stems_of(&separation, &mixture);
    assert_whole(&mixture, &stems, "the session");
    let mut gains = Vec::new();
    for (mic, name) in NAMES.iter().enumerate() {
        let own = images[mic].row(mic);
        let (before, after) = (si_sdr(own, mixture.channel(mic)), si_sdr(own, stems[mic].channel(0)));
        assert!(after > before + 3.0, "{name}: {before:.1} dB before, {after:.1} dB after");
        gains.push(after - before);
    }
    // Measured: 9.0, 9.6 and 3.8 dB.
    assert!(gains.iter().sum::<f64>() > 18.0, "{gains:?}");
    // A part of it, as in the whole.
    let mut part: Vec<f32> = Vec::new();
    let wanted = Stems::Only(vec!["bass".into()]);
    separation
        .render_range(&mixture, &wanted, 9000..9500, &mut |blocks| {
            assert_eq!((blocks.len(), blocks[0].nrows()), (1, 1));
            part.extend(blocks[0].row(0));
            Ok(())
        })
        .expect("range");
    assert_eq!(part, stems[1].channel(0).slice(s![9000..9500]).to_vec());
}

#[test]
fn microphones_as_they_are_heard_are_stems_too() {
    let (_, mixture) = session();
    let outline = AnalysisConfig { detail: Detail::Outline, ..AnalysisConfig::default() };
    let analysis = Analysis::of(&mixture, &outline, &mut Watch::none()).expect("analysis");
    let separation = bleed::as_heard(&analysis, &config(3).microphones).expect("as heard");
    assert_eq!((separation.names(), separation.n_stem_channels()), (&NAMES.map(String::from)[..], 1));
    for (mic, stem) in stems_of(&separation, &mixture).iter().enumerate() {
        let gap = stem.channel(0).iter().zip(mixture.channel(mic)).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
        assert!(gap < 1e-6, "microphone {mic} is off by {gap}");
    }
    let beyond = [Microphone { name: "a".into(), channel: 0 }, Microphone { name: "b".into(), channel: 3 }];
    assert!(matches!(bleed::as_heard(&analysis, &beyond), Err(Error::Setting { .. })));
}

#[test]
fn files_of_a_session_are_microphones_and_those_of_several_channels_share_a_source() {
    let told = |files: &[(&str, usize)]| {
        let files: Vec<_> = files.iter().map(|(name, n_channels)| ((*name).to_owned(), *n_channels)).collect();
        let config = BleedConfig::of_files(&files);
        let channels: Vec<_> = config.microphones.iter().map(|microphone| microphone.channel).collect();
        assert_eq!(channels, (0..channels.len()).collect::<Vec<_>>());
        (config.names().join(" "), config.shared)
    };
    let shared = vec![Shared { name: "oh".into(), microphones: vec![1, 2] }];
    assert_eq!(told(&[("kick", 1), ("oh", 2), ("snare", 1)]), ("kick oh-1 oh-2 snare".into(), shared));
    assert_eq!(told(&[("live", 3)]), ("mic-1 mic-2 mic-3".into(), Vec::new()));
}

#[test]
fn the_same_bits_come_of_any_number_of_threads_and_another_fit_goes_on() {
    let (_, mixture) = session();
    let mixture = mixture.excerpt(0, 8000);
    let config = BleedConfig { max_iter: 5, ..config(3) };
    let with = |n_threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().expect("threads");
        pool.install(|| clean(&mixture, &config))
    };
    assert_eq!(with(1), with(3));
    let analysis = Analysis::of(&mixture, &BleedConfig::analysis(3), &mut Watch::none()).expect("analysis");
    let first = bleed::fit(&analysis, &config, None, &mut Watch::none()).expect("fit");
    let again = bleed::fit(&analysis, &config, Some(&first), &mut Watch::none()).expect("fit");
    let weak = BleedConfig { strength: 0.5, has_rest: true, ..config.clone() };
    let reused = bleed::reuse(&analysis, &weak, &first).expect("settings").expect("the same recording");
    let anew = bleed::fit(&analysis, &weak, None, &mut Watch::none()).expect("fit");
    assert_eq!(stems_of(&reused, &mixture), stems_of(&anew, &mixture));
    let other = BleedConfig { n_steps: 1, ..config.clone() };
    assert!(bleed::reuse(&analysis, &other, &first).expect("settings").is_none());
    let later =
        Analysis::of(&mixture.excerpt(100, 7900), &BleedConfig::analysis(3), &mut Watch::none()).expect("analysis");
    assert!(bleed::reuse(&later, &config, &first).expect("settings").is_none());
    let (first, again) = (stems_of(&first, &mixture), stems_of(&again, &mixture));
    assert_whole(&mixture, &again, "the second fit");
    assert_ne!(first, again, "it went on");
}

#[test]
fn nothing_goes_wrong_where_there_is_nothing_or_twice_the_same() {
    let (_, mixture) = session();
    let mixture = mixture.excerpt(0, 8000);
    let changed = |change: &dyn Fn(&mut Array2<f32>)| {
        let mut samples = mixture.samples().to_owned();
        change(&mut samples);
        audio(samples)
    };
    // Sine waves only: above them there is nothing, as above the low-pass of an MP3.
    let tones = changed(&|samples| {
        for ((mic, i), x) in samples.indexed_iter_mut() {
            *x = (0.2 + 0.1 * mic as f32) * (i as f32 * (0.05 + 0.01 * mic as f32)).sin();
        }
    });
    let quick = BleedConfig { max_iter: 5, n_components: 4, ..config(3) };
    for (what, recording) in [
        ("silence", changed(&|samples| samples.fill(0.0))),
        ("a dead microphone", changed(&|samples| samples.row_mut(1).fill(0.0))),
        ("silence in the middle", changed(&|samples| samples.slice_mut(s![.., 2000..6000]).fill(0.0))),
        (
            "equal channels",
            changed(&|samples| {
                let first = samples.row(0).to_owned();
                samples.outer_iter_mut().for_each(|mut row| row.assign(&first));
            }),
        ),
        (
            "a flipped channel",
            changed(&|samples| {
                let first = samples.row(0).mapv(|x| -x);
                samples.row_mut(1).assign(&first);
            }),
        ),
        ("tones", tones),
        (
            "a single sample",
            changed(&|samples| {
                samples.fill(0.0);
                samples[(0, 4000)] = 1.0;
            }),
        ),
        ("very quiet", changed(&|samples| samples.mapv_inplace(|x| 1e-9 * x))),
        ("very loud", changed(&|samples| samples.mapv_inplace(|x| 1e9 * x))),
        ("one far louder than the others", changed(&|samples| samples.row_mut(2).mapv_inplace(|x| 1e6 * x))),
        ("an offset", changed(&|samples| samples.mapv_inplace(|x| x + 0.5))),
    ] {
        assert_whole(&recording, &clean(&recording, &quick), what);
    }
}

#[test]
fn a_dead_or_flipped_microphone_does_not_spoil_the_others() {
    let (images, mixture) = session();
    let own = |mic: usize, stems: &[Audio]| si_sdr(images[mic].row(mic), stems[mic].channel(0));
    let mut flipped = mixture.samples().to_owned();
    flipped.row_mut(1).mapv_inplace(|x| -x);
    let usual = clean(&mixture, &config(3));
    let flipped = clean(&audio(flipped), &config(3));
    let (a, b) = (own(0, &usual), own(0, &flipped));
    assert!((a - b).abs() < 0.5, "{a:.2} dB, with a flipped neighbor {b:.2} dB");
    let mut dead = mixture.samples().to_owned();
    dead.row_mut(1).fill(0.0);
    // With two microphones for three sources: less, but more than before.
    let before = si_sdr(images[0].row(0), mixture.channel(0));
    let dead = own(0, &clean(&audio(dead), &config(3)));
    assert!(dead > before, "{before:.2} dB before, {dead:.2} dB after");
}

#[test]
fn microphones_of_a_group_keep_their_source() {
    let (images, mixture) = session();
    // Two microphones before the drums: the second hears them as its own, too.
    let mut samples = Array2::zeros((3, N_SAMPLES));
    samples.row_mut(0).assign(&mixture.channel(0));
    samples.row_mut(1).assign(&mixture.channel(2));
    let own = images[0].row(0).mapv(|x| 0.7 * x);
    samples.row_mut(2).assign(&(&own + &images[2].row(0)));
    let recording = audio(samples);
    let microphone = |name: &str, channel| Microphone { name: name.into(), channel };
    let microphones = vec![microphone("kick", 0), microphone("guitar", 1), microphone("over", 2)];
    let shared = vec![Shared { name: "drums".into(), microphones: vec![0, 2] }];
    let grouped =
        clean(&recording, &BleedConfig { shared, ..BleedConfig { microphones: microphones.clone(), ..config(2) } });
    assert_whole(&recording, &grouped, "a group");
    let alone = clean(&recording, &BleedConfig { microphones, ..config(2) });
    let [grouped, alone] = [&grouped, &alone].map(|stems| si_sdr(own.view(), stems[2].channel(0)));
    assert!(grouped > 10.0 && grouped > alone, "{grouped:.1} dB as a group, {alone:.1} dB without");
}

#[test]
fn a_group_of_several_players_loses_nothing_where_little_bleeds() {
    let (mut images, _) = session();
    for (source, image) in images.iter_mut().enumerate() {
        let of_others = image.outer_iter_mut().enumerate().filter(|(mic, _)| *mic != source);
        of_others.for_each(|(_, mut heard)| heard *= 0.1);
    }
    let mixture = audio(images.iter().fold(Array2::zeros((3, N_SAMPLES)), |sum, image| sum + image));
    let shared = vec![Shared { name: "rhythm".into(), microphones: vec![0, 1] }];
    let stems = clean(&mixture, &BleedConfig { shared, ..config(3) });
    assert_whole(&mixture, &stems, "a group of two players");
    for (mic, stem) in stems[..2].iter().enumerate() {
        let own = &images[0].row(mic) + &images[1].row(mic);
        let (before, after) = (si_sdr(own.view(), mixture.channel(mic)), si_sdr(own.view(), stem.channel(0)));
        assert!(after > before, "microphone {mic}: {before:.1} dB before, {after:.1} dB after");
    }
}

#[test]
fn a_source_without_a_microphone_is_a_stem_and_no_part_of_the_others() {
    let (_, mixture) = session();
    let recording = audio(mixture.samples().slice(s![..2, ..8000]).to_owned());
    let others = vec!["guitar".to_owned()];
    let separation = try_to_clean(&recording, &BleedConfig { others, ..config(2) }).expect("cleaned");
    assert_eq!(separation.names(), ["drums", "bass", "drums_rest", "bass_rest", "guitar"].map(String::from));
    assert_whole(&recording, &stems_of(&separation, &recording), "with another source");
}

#[test]
fn strength_leaves_a_share_of_the_bleed() {
    let (_, mixture) = session();
    let mixture = mixture.excerpt(0, 6000);
    let with = |strength| clean(&mixture, &BleedConfig { strength, max_iter: 5, ..config(3) });
    let [none, half, all] = [0.0, 0.5, 1.0].map(with);
    let level = |audio: &Audio| audio.samples().iter().map(|x| x * x).sum::<f32>().sqrt();
    assert!(level(&none[3]) == 0.0, "{} is taken out", level(&none[3]));
    let (half, all) = (level(&half[3]), level(&all[3]));
    assert!((half / all - 0.5).abs() < 1e-3, "{half} of {all}");
}

#[test]
fn where_a_score_has_no_notes_nothing_sounds() {
    let (_, mixture) = session();
    let note = Note { onset_s: 0.0, offset_s: 0.2, pitch: 40, velocity: 90 };
    let parts = vec![Part::new("bass", vec![note]), Part::new("flute", vec![note])];
    let score = Score { parts, ..Score::default() };
    let (config, unknown) = config(3).with_score(&score);
    assert_eq!(unknown, ["flute"]);
    let stems = clean(&mixture, &config);
    // The note, a second in which it may ring on, and a window.
    let power = |x: ArrayView1<'_, f32>| x.iter().map(|x| x * x).sum::<f32>();
    let late = s![12_000..];
    let (heard, left) = (power(mixture.channel(1).slice(late)), power(stems[1].channel(0).slice(late)));
    assert!(left < 1e-4 * heard, "{left} of {heard}");
}

#[test]
fn what_cannot_be_is_refused() {
    let (_, mixture) = session();
    let mixture = mixture.excerpt(0, 6000);
    let name = |config: &BleedConfig| match try_to_clean(&mixture, config) {
        Err(Error::Setting { name, .. }) => name,
        Err(Error::SourceName { .. }) => "name",
        other => panic!("{other:?}"),
    };
    assert_eq!(name(&config(1)), "microphones");
    let mut wrong = config(3);
    wrong.microphones[1].channel = 3;
    assert_eq!(name(&wrong), "mic");
    wrong.microphones[1].channel = 0;
    assert_eq!(name(&wrong), "mic");
    let mut wrong = config(3);
    wrong.microphones[1].name = "drums".into();
    assert_eq!(name(&wrong), "name");
    let group = |microphones: &[usize]| Shared { name: "g".into(), microphones: microphones.to_vec() };
    for shared in [vec![group(&[0])], vec![group(&[0, 3])], vec![group(&[0, 1]), group(&[1, 2])]] {
        assert_eq!(name(&BleedConfig { shared, ..config(3) }), "group");
    }
    assert_eq!(name(&BleedConfig { strength: f32::NAN, ..config(3) }), "strength");
    assert_eq!(name(&BleedConfig { n_components: 0, ..config(3) }), "n_components");
    assert_eq!(name(&BleedConfig { max_iter: 0, ..config(3) }), "max_iter");
    let usual = Analysis::of(&mixture, &Default::default(), &mut Watch::none()).expect("analysis");
    let refused = bleed::fit(&usual, &config(3), None, &mut Watch::none()).expect_err("no spectra");
    assert!(refused.to_string().contains("spectra"), "{refused}");
    let separation = try_to_clean(&mixture, &config(3)).expect("cleaned");
    let refused = separation.stem_names(&Stems::Two("bass".into())).expect_err("stems of several microphones");
    assert!(matches!(refused, Error::Setting { name: "two_stems", .. }), "{refused}");
}

// ---- the command line -----------------------------------------------------------------------------------------------

/// Writes the microphones of a session, one file for each.
fn write_session(dir: &Dir, folder: &str, n_samples: usize, late: usize) {
    for (mic, name) in NAMES.iter().enumerate() {
        let late = if mic == 2 { late } else { 0 };
        let at = |i: usize| if i < late { 0.0 } else { mixture_at(mic, i - late) };
        dir.wav(&format!("{folder}/{name}.wav"), RATE, &[&at], n_samples);
    }
}

#[test]
fn a_folder_of_takes_is_a_batch_of_sessions_that_is_resumed() {
    let dir = Dir::new();
    write_session(&dir, "takes/one", 8000, 0);
    write_session(&dir, "takes/two", 9000, 0);
    let line = ["debleed", "takes", "--rest", "--max-iter", "3", "--manifest", "done.jsonl", "--resume"];
    dir.succeeds(&line);
    for (take, n_samples) in [("one", 8000), ("two", 9000)] {
        for name in NAMES {
            let [own, rest] = ["", "_rest"].map(|end| dir.read(&format!("separated/{take}/{name}{end}.wav")));
            let mic = dir.read(&format!("takes/{take}/{name}.wav"));
            assert_eq!((own.n_samples(), own.n_channels()), (n_samples, 1));
            let gap = (&own.samples() + &rest.samples() - mic.samples()).iter().fold(0.0f32, |gap, x| gap.max(x.abs()));
            assert!(gap <= 1e-6, "{take}/{name}: {gap}");
        }
    }
    let told = stderr(&dir.succeeds(&line));
    assert_eq!(told.matches("done before").count(), 2, "{told}");
    // One microphone is another: its session is done again, and only that.
    dir.wav("takes/two/bass.wav", RATE, &[&|i| (i as f32 * 0.1).sin()], 9000);
    let told = stderr(&dir.succeeds(&line));
    assert_eq!(told.matches("done before").count(), 1, "{told}");
}

#[test]
fn files_one_by_one_and_channels_of_one_file_are_the_same_session() {
    let dir = Dir::new();
    write_session(&dir, "take", 8000, 0);
    let [a, b, c] = [0, 1, 2].map(|mic| move |i: usize| mixture_at(mic, i));
    dir.wav("take.wav", RATE, &[&a, &b, &c], 8000);
    let files = ["take/drums.wav", "take/bass.wav", "take/guitar.wav"];
    dir.succeeds(&[&["debleed"], &files[..], &["--max-iter", "3", "-o", "files"]].concat());
    let mics = ["--mic", "drums=1", "--mic", "bass=2", "--mic", "guitar=3"];
    dir.succeeds(&[&["debleed", "take.wav", "--max-iter", "3", "-o", "channels"], &mics[..]].concat());
    for name in NAMES {
        let [one, other] = ["files", "channels"].map(|out| dir.read(&format!("{out}/take/{name}.wav")));
        assert_eq!(one, other, "{name}");
    }
}

/// The sample that a microphone hears.
fn mixture_at(mic: usize, i: usize) -> f32 {
    static MIXTURE: std::sync::OnceLock<Audio> = std::sync::OnceLock::new();
    MIXTURE.get_or_init(|| session().1).channel(mic)[i]
}

#[test]
fn files_out_of_time_are_told_and_lined_up() {
    let dir = Dir::new();
    write_session(&dir, "take", 16_000, 2000);
    let line = ["debleed", "take", "--max-iter", "2", "-f"];
    let told = stderr(&dir.succeeds(&line));
    assert!(told.contains("guitar.wav is 0.2") && told.contains("--align"), "{told}");
    assert_eq!(dir.read("separated/take/drums.wav").n_samples(), 16_000);
    dir.succeeds(&[&line[..], &["--align"]].concat());
    let n_samples = dir.read("separated/take/drums.wav").n_samples();
    assert!(n_samples.abs_diff(18_000) < 50, "{n_samples}: the others wait a quarter of a second");
}

#[test]
fn stems_that_are_lined_up_can_keep_the_times_of_their_files() {
    let dir = Dir::new();
    write_session(&dir, "take", 16_000, 2000);
    let line = ["debleed", "take", "--max-iter", "2", "--rest", "--float32", "--align"];
    dir.succeeds(&[&line[..], &["-o", "lined-up"]].concat());
    dir.succeeds(&[&line[..], &["--keep-times", "-o", "kept"]].concat());
    for name in NAMES {
        let file = dir.read(&format!("take/{name}.wav"));
        let [stem, rest] = ["", "_rest"].map(|end| dir.read(&format!("kept/take/{name}{end}.wav")));
        assert_eq!([stem.n_samples(), rest.n_samples()], [file.n_samples(); 2], "{name}");
        for i in 0..file.n_samples() {
            let (sum, heard) = (stem.channel(0)[i] + rest.channel(0)[i], file.channel(0)[i]);
            assert!((sum - heard).abs() < 1e-5, "{name}, sample {i}: {sum}, expected {heard}");
        }
        // The sound is that of stems that are lined up, from where the file begins.
        let whole = dir.read(&format!("lined-up/take/{name}.wav"));
        let delay = if name == "guitar" { 0 } else { whole.n_samples() - file.n_samples() };
        for i in 0..file.n_samples() {
            assert_eq!(whole.channel(0)[delay + i], stem.channel(0)[i], "{name}, sample {i}");
        }
    }
    let message = dir.fails(&["debleed", "take", "--keep-times"], 2);
    assert!(message.contains("--align"), "{message}");
}

#[test]
fn wrong_lines_are_refused_before_any_work() {
    let dir = Dir::new();
    write_session(&dir, "take", 8000, 0);
    for (more, expected) in [
        (&["take/drums.wav"][..], "one microphone"),
        (&["take", "--group", "all=drums,flute"], "`flute`"),
        (&["take", "--two-stems", "drums"], "--two-stems"),
        (&["take", "--components-out"], "--components-out"),
        (&["take", "--group", "drums"], "drums=kick,snare"),
        (&["take/drums.wav", "--mic", "drums=0"], "counted from 1"),
        (&["take/drums.wav", "--mic", "drums=1", "--mic", "bass=2"], "channels 1 to 1"),
        (&["take", "--strength", "2"], "--strength"),
    ] {
        let message = dir.fails(&[&["debleed"], more].concat(), 2);
        assert!(message.contains(expected), "{more:?}: {message}");
    }
}
