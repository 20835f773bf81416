//! A noise that was planted goes out again, and what is left sums to what was there.

mod common;

use std::f32::consts::TAU;

use common::{Dir, sample, si_sdr, stderr, stems_of};
use ndarray::Array2;
use partita::audio::decode;
use partita::separate::denoise::{Content, DenoiseConfig, Noise, NoiseProfile, fit};
use partita::separate::{Analysis, AnalysisConfig, Found, Stems};
use partita::watch::Watch;
use partita::{Audio, Error, Result, Separation};

/// White noise in -1 to 1.
fn hiss(seed: u32) -> impl FnMut() -> f32 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 8) as f32 / 8_388_608.0 - 1.0
    }
}

/// Something like a voice: syllables of harmonics under two formants, at a moving pitch, with pauses.
fn voice(n_samples: usize, sample_rate: u32) -> Vec<f32> {
    let mut phase = 0.0f32;
    (0..n_samples)
        .map(|i| {
            let t = i as f32 / sample_rate as f32;
            let pitch_hz = 140.0 + 20.0 * (TAU * 0.7 * t).sin();
            phase = (phase + pitch_hz / sample_rate as f32).fract();
            let formant = |hz: f32, center: f32| (-((hz - center) / 250.0).powi(2)).exp();
            let vowel = 500.0 + 150.0 * (TAU * 1.3 * t).sin();
            let tone = |h: u16| {
                let hz = pitch_hz * f32::from(h);
                (formant(hz, vowel) + 0.5 * formant(hz, 1600.0) + 0.02) * (TAU * phase * f32::from(h)).sin()
            };
            let syllable = (TAU * 1.5 * t).sin().max(0.0);
            0.3 * syllable * (1..=20).map(tone).sum::<f32>()
        })
        .collect()
}

fn mono(samples: Vec<f32>, sample_rate: u32) -> Audio {
    let n_samples = samples.len();
    Audio::new(Array2::from_shape_vec((1, n_samples), samples).expect("one row"), sample_rate).expect("audio")
}

/// Where the noise is heard.
#[derive(Debug, Clone, PartialEq)]
enum Heard {
    InPauses,
    /// In a recording of its own.
    Alone(Audio),
    /// From one second to another.
    Between(f64, f64),
}

fn noise_example(level: f32, n_samples: usize, sample_rate: u32) -> Heard {
    let mut hiss = hiss(99);
    Heard::Alone(mono((0..n_samples).map(|_| level * hiss()).collect(), sample_rate))
}

fn run(recording: &Audio, heard: &Heard, config: &DenoiseConfig) -> Result<Separation> {
    let watch = &mut Watch::none();
    let analysis = Analysis::of(recording, &AnalysisConfig::speech(), watch)?;
    let noise = match heard {
        Heard::InPauses => Noise::Quietest,
        Heard::Alone(noise) => Noise::Profile(NoiseProfile::of(noise, "hiss.wav", &analysis, watch)?),
        Heard::Between(start_s, end_s) => {
            Noise::Profile(NoiseProfile::of_range(recording, *start_s..*end_s, &analysis, watch)?)
        }
    };
    fit(&analysis, &DenoiseConfig { noise, ..config.clone() }, None, watch)
}

#[test]
fn a_planted_noise_is_taken_out_of_a_voice() {
    let (n_samples, sample_rate) = (64_000, 16_000);
    let clean = mono(voice(n_samples, sample_rate), sample_rate);
    let mut hiss = hiss(1);
    let mixture = Audio::new(clean.samples().mapv(|x| x + 0.1 * hiss()), sample_rate).expect("audio");
    let before = si_sdr(clean.channel(0), mixture.channel(0));
    // The voice pauses from 0.333 to 0.667 s. Silence found automatically is as good as silence that is shown.
    for (noise, content, least) in [
        (noise_example(0.1, 32_000, sample_rate), Content::Speech, 6.0),
        (noise_example(0.1, 32_000, sample_rate), Content::Any, 4.0),
        // White noise of this level at 48 kHz has a third of its power below 8 kHz.
        (noise_example(0.1 * 3f32.sqrt(), 96_000, 48_000), Content::Speech, 6.0),
        (Heard::Between(0.35, 0.65), Content::Speech, 5.0),
        (Heard::InPauses, Content::Speech, 5.0),
    ] {
        let label = format!("{content:?}, {}", if noise == Heard::InPauses { "quietest" } else { "given" });
        let config = DenoiseConfig { content, ..DenoiseConfig::default() };
        let denoised = run(&mixture, &noise, &config).expect("denoised");
        let stems = stems_of(&denoised, &mixture);
        let gain = si_sdr(clean.channel(0), stems[0].channel(0)) - before;
        assert!(gain > least, "{label}: {gain} dB, expected {least}");
        let Found::Noise { parts_s, is_speech } = denoised.found() else { panic!("{:?}", denoised.found()) };
        assert_eq!(*is_speech, content == Content::Speech, "{label}");
        assert_eq!(parts_s.is_empty(), matches!(noise, Heard::Alone(_)), "{label}: {parts_s:?}");
        for part in parts_s {
            assert!(part.start < part.end && part.end <= 4.0, "{label}: {part:?}");
        }
    }
}

/// Silence as a file of 16 bits has it, in units of full scale.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Silence {
    Digital,
    Dithered,
    /// Dither whose noise lies high up.
    Shaped,
}

impl Silence {
    fn samples(self, n: usize) -> Vec<f32> {
        let mut uniform = hiss(77);
        let mut before = 0.0;
        let mut sample = || match self {
            Self::Digital => 0.0,
            Self::Dithered => (0.5 * (uniform() + uniform())).round() / 32_768.0,
            Self::Shaped => {
                let now = (0.5 * (uniform() + uniform())).round();
                (now - std::mem::replace(&mut before, now)) / 32_768.0
            }
        };
        (0..n).map(|_| sample()).collect()
    }
}

#[test]
fn a_voice_with_hardly_any_noise_stays_as_it_is() {
    let (n_samples, sample_rate) = (64_000, 16_000);
    let clean = mono(voice(n_samples, sample_rate), sample_rate);
    // The model of speech alone would leave 20 to 30 dB.
    for level in [3e-4, 3e-3] {
        let mut hiss = hiss(1);
        let mixture = Audio::new(clean.samples().mapv(|x| x + level * hiss()), sample_rate).expect("audio");
        let config = DenoiseConfig::default();
        let denoised = run(&mixture, &noise_example(level, 32_000, sample_rate), &config).expect("denoised");
        let [before, after] = [&mixture, &stems_of(&denoised, &mixture)[0]]
            .map(|audio: &Audio| si_sdr(clean.channel(0), audio.channel(0)));
        assert!(after > before - 0.3, "noise of {level}: {before} dB before, {after} dB after");
    }
}

#[test]
fn silence_is_not_taken_for_the_noise() {
    let (n_samples, sample_rate) = (64_000, 16_000);
    let clean = voice(n_samples, sample_rate);
    let mut hiss = hiss(1);
    let noisy: Vec<_> = clean.iter().map(|x| x + 0.05 * hiss()).collect();
    let fade = |n_fade: usize| move |i: usize| (i.min(n_samples - 1 - i) as f32 / n_fade as f32).min(1.0);
    let faded =
        |samples: &[f32], n_fade| samples.iter().enumerate().map(|(i, x)| x * fade(n_fade)(i)).collect::<Vec<_>>();
    let cut = |samples: &[f32]| {
        let mut samples = samples.to_vec();
        for start in [17_000, 41_000] {
            samples[start..start + 5000].copy_from_slice(&Silence::Dithered.samples(5000));
        }
        samples
    };
    // A gate is open where there is a voice, and a tenth of a second on.
    let gated = |samples: &[f32]| {
        let is_open = |i: usize| clean[i.saturating_sub(1600)..=i].iter().any(|x| x.abs() > 0.02);
        let closed = Silence::Dithered.samples(n_samples);
        (0..n_samples).map(|i| if is_open(i) { samples[i] } else { closed[i] }).collect::<Vec<_>>()
    };
    // What stands before and after, what is heard between, and what of it is voice.
    let mut cases = Vec::new();
    for (silence, n) in [
        (Silence::Digital, 24_000),
        (Silence::Shaped, 24_000),
        (Silence::Dithered, 8000),
        (Silence::Dithered, 24_000),
        (Silence::Dithered, 80_000),
    ] {
        cases.push((format!("{silence:?} {n}"), silence.samples(n), noisy.clone(), clean.clone()));
    }
    let lead = Silence::Dithered.samples(16_000);
    cases.push(("fades".into(), lead.clone(), faded(&noisy, 8000), faded(&clean, 8000)));
    cases.push(("fades alone".into(), vec![], faded(&noisy, 8000), faded(&clean, 8000)));
    cases.push(("edits".into(), vec![], cut(&noisy), cut(&clean)));
    cases.push(("a gate".into(), vec![], gated(&noisy), gated(&clean)));
    for (what, lead, noisy, clean) in cases {
        let scales = if what == "fades" { &[1.0, 1e-3][..] } else { &[1.0] };
        for &scale in scales {
            let sound: Vec<_> = [&lead[..], &noisy, &lead].concat().iter().map(|x| x * scale).collect();
            let mixture = mono(sound, sample_rate);
            let heard = |audio: &Audio| audio.excerpt(lead.len(), n_samples);
            let of_clean = |audio: &Audio| si_sdr(ndarray::ArrayView1::from(&clean), heard(audio).channel(0));
            let config = DenoiseConfig { content: Content::Speech, ..DenoiseConfig::default() };
            let denoised = run(&mixture, &Heard::InPauses, &config).expect("denoised");
            let shown = run(&mixture, &noise_example(0.05 * scale, 32_000, sample_rate), &config).expect("denoised");
            let [found, expected] = [&denoised, &shown].map(|denoised| of_clean(&stems_of(denoised, &mixture)[0]));
            let before = of_clean(&mixture);
            assert!(expected > before + 2.0, "{what}, times {scale}: {expected} dB, {before} before");
            // Behind a gate the noise is hardly ever alone for as long as a breath.
            let behind = if what == "a gate" { 6.0 } else { 1.0 };
            assert!(found > before + 1.0, "{what}, times {scale}: {found} dB, {before} before");
            assert!(
                found > expected - behind,
                "{what}, times {scale}: {found} dB, {expected} where the noise is shown"
            );
            let Found::Noise { parts_s, .. } = denoised.found() else { panic!("{:?}", denoised.found()) };
            let lead_s = lead.len() as f64 / f64::from(sample_rate);
            // A window reaches so far beyond the frame.
            let sound_s = lead_s - 0.064..lead_s + 4.0 + 0.064;
            let is_in = |part: &std::ops::Range<f64>| part.start >= sound_s.start && part.end <= sound_s.end;
            assert!(parts_s.iter().all(is_in), "{what}, times {scale}: {parts_s:?}");
        }
    }
}

#[test]
fn a_silent_channel_and_silence_beside_an_example_change_nothing() {
    let (n_samples, sample_rate) = (64_000, 16_000);
    let clean = voice(n_samples, sample_rate);
    let mut hiss = hiss(1);
    let lead = Silence::Dithered.samples(24_000);
    let noisy: Vec<_> = clean.iter().map(|x| x + 0.05 * hiss()).collect();
    let sound = [&lead[..], &noisy].concat();
    let config = DenoiseConfig { content: Content::Speech, ..DenoiseConfig::default() };
    let gain = |mixture: &Audio, heard: &Heard, channel: usize| {
        let stems = stems_of(&run(mixture, heard, &config).expect("denoised"), mixture);
        let of = |audio: &Audio| {
            si_sdr(ndarray::ArrayView1::from(&clean), audio.excerpt(24_000, n_samples).channel(channel))
        };
        of(&stems[0]) - of(mixture)
    };
    let alone = gain(&mono(sound.clone(), sample_rate), &Heard::InPauses, 0);
    for silence in [Silence::Digital, Silence::Dithered] {
        let silent = silence.samples(sound.len());
        let samples =
            Array2::from_shape_fn((2, sound.len()), |(channel, i)| if channel == 0 { silent[i] } else { sound[i] });
        let of_both = gain(&Audio::new(samples, sample_rate).expect("audio"), &Heard::InPauses, 1);
        assert!((of_both - alone).abs() < 0.1, "{silence:?}: {of_both} dB, {alone} dB alone");
    }
    let Heard::Alone(example) = noise_example(0.05, 32_000, sample_rate) else { unreachable!() };
    let longer = mono([&lead[..], &example.channel(0).to_vec(), &lead].concat(), sample_rate);
    let mixture = mono(noisy.iter().chain(&lead).copied().collect(), sample_rate);
    let clean_first = |heard: &Heard| {
        let stems = stems_of(&run(&mixture, heard, &config).expect("denoised"), &mixture);
        si_sdr(ndarray::ArrayView1::from(&clean), stems[0].excerpt(0, n_samples).channel(0))
    };
    let (found, expected) = (clean_first(&Heard::Alone(longer)), clean_first(&Heard::Alone(example)));
    assert!((found - expected).abs() < 0.3, "{found} dB, {expected} dB without silence");
}

#[test]
fn a_quiet_noise_between_words_is_heard_however_far_below_them() {
    let sample_rate = 16_000;
    let clean = voice(64_000, sample_rate);
    // 40 dB below the voice, before it and in its pauses.
    let mut hiss = hiss(1);
    let mut noise = |_| 0.002 * hiss();
    let mixture: Vec<_> = (0..16_000).map(&mut noise).collect();
    let mixture = mono(mixture.into_iter().chain(clean.iter().map(|x| x + 0.002 * hiss())).collect(), sample_rate);
    let denoised = run(&mixture, &Heard::InPauses, &DenoiseConfig::default()).expect("denoised");
    let Found::Noise { parts_s, .. } = denoised.found() else { panic!("{:?}", denoised.found()) };
    assert!(parts_s.iter().any(|part| part.start < 1.0), "the second before the voice is part of it: {parts_s:?}");
    let stems = stems_of(&denoised, &mixture);
    let energy = |audio: &Audio| audio.samples().iter().take(15_000).map(|x| x * x).sum::<f32>();
    assert!(energy(&stems[0]) < 0.1 * energy(&mixture), "it goes");
}

#[test]
fn stems_sum_to_the_mixture_at_every_rate_and_number_of_channels() {
    for (sample_rate, n_channels) in [(8000, 1), (16_000, 6), (44_100, 2), (96_000, 1)] {
        let n_samples = sample_rate as usize + 17;
        let voice = voice(n_samples, sample_rate);
        let mut hiss = hiss(3);
        let samples =
            Array2::from_shape_fn((n_channels, n_samples), |(c, i)| voice[i] / (c + 1) as f32 + 0.05 * hiss());
        let mixture = Audio::new(samples, sample_rate).expect("audio");
        for content in [Content::Speech, Content::Any] {
            let config = DenoiseConfig { content, ..DenoiseConfig::default() };
            let stems = stems_of(&run(&mixture, &Heard::InPauses, &config).expect("denoised"), &mixture);
            assert_eq!(stems[0].samples().dim(), (n_channels, n_samples));
            let sum = &stems[0].samples() + &stems[1].samples();
            let gap = (&sum - &mixture.samples()).iter().fold(0.0f32, |worst, x| worst.max(x.abs()));
            // Rounding of two transforms, relative to full scale.
            assert!(gap < 1e-5 * mixture.peak(), "{sample_rate} Hz, {n_channels} channels: {gap}");
        }
    }
}

#[test]
fn strength_goes_from_nothing_to_more() {
    let sample_rate = 16_000;
    let mut hiss = hiss(5);
    let mixture = mono(voice(32_000, sample_rate).into_iter().map(|x| x + 0.1 * hiss()).collect(), sample_rate);
    let energies: Vec<f32> = [0.0, 0.5, 1.0, 2.0]
        .into_iter()
        .map(|strength| {
            let noise = noise_example(0.1, 16_000, sample_rate);
            let config = DenoiseConfig { strength, content: Content::Speech, ..DenoiseConfig::default() };
            let stems = stems_of(&run(&mixture, &noise, &config).expect("denoised"), &mixture);
            stems[1].samples().iter().map(|x| x * x).sum()
        })
        .collect();
    assert_eq!(energies[0], 0.0, "nothing is taken out");
    assert!(energies.is_sorted_by(|a, b| a < b), "{energies:?}");
}

#[test]
fn a_long_recording_has_no_seams_between_blocks() {
    // Rendered in blocks of 64 frames of 256 samples. Shifted by some frames, the blocks lie elsewhere: the same comes out.
    let (sample_rate, shift) = (44_100, 20 * 512);
    let mut hiss = hiss(8);
    let mixture: Vec<f32> = voice(120_000, sample_rate).into_iter().map(|x| x + 0.1 * hiss()).collect();
    let clean = |samples: &[f32], content| {
        let audio = mono(samples.to_vec(), sample_rate);
        let noise = noise_example(0.1, 40_000, sample_rate);
        let config = DenoiseConfig { content, ..DenoiseConfig::default() };
        stems_of(&run(&audio, &noise, &config).expect("denoised"), &audio).swap_remove(0)
    };
    for content in [Content::Speech, Content::Any] {
        let (whole, late) = (clean(&mixture, content), clean(&mixture[shift..], content));
        // After the frames in which the recursion settles.
        let gap = (60_000..119_000)
            .map(|i| (whole.samples()[[0, i]] - late.samples()[[0, i - shift]]).abs())
            .fold(0.0f32, f32::max);
        assert!(gap < 1e-3, "{content:?}: {gap}");
    }
}

#[test]
fn music_is_not_taken_for_speech() {
    let song = decode::read(&sample("drums-bass-guitar.wav")).expect("sample").excerpt(0, 5 * 44_100);
    let mut hiss = hiss(4);
    let mixture = Audio::new(song.samples().mapv(|x| x + 0.02 * hiss()), song.sample_rate()).expect("audio");
    let noise = noise_example(0.02, 88_200, song.sample_rate());
    let denoised = run(&mixture, &noise, &DenoiseConfig::default()).expect("denoised");
    assert!(matches!(denoised.found(), Found::Noise { is_speech: false, .. }), "{:?}", denoised.found());
    let stems = stems_of(&denoised, &mixture);
    let gain = si_sdr(song.channel(0), stems[0].channel(0)) - si_sdr(song.channel(0), mixture.channel(0));
    assert!(gain > 0.5, "{gain} dB");
}

#[test]
fn a_noise_that_cannot_be_used_is_refused() {
    let sample_rate = 16_000;
    let mixture = mono(voice(32_000, sample_rate), sample_rate);
    let refusal = |noise| run(&mixture, &noise, &DenoiseConfig::default()).expect_err("refused");
    let range = |start_s, end_s| refusal(Heard::Between(start_s, end_s));
    for error in [range(1.0, 2.5), range(3.0, 4.0), range(1.0, 1.0), range(-1.0, 1.0), range(f64::NAN, 1.0)] {
        assert!(matches!(error, Error::NoiseRange { .. }), "{error}");
        assert!(error.to_string().contains("2.0 s"), "the length is said: {error}");
    }
    assert!(matches!(range(0.0, 0.01), Error::ShortNoise { .. }));
    let silence = refusal(noise_example(0.0, 16_000, sample_rate));
    assert_eq!(silence.to_string(), "the noise `hiss.wav` is silent");
    assert!(matches!(refusal(noise_example(0.1, 500, sample_rate)), Error::ShortNoise { .. }));
    for strength in [-0.1, 4.1, f32::NAN] {
        let config = DenoiseConfig { strength, ..DenoiseConfig::default() };
        let error = run(&mixture, &Heard::InPauses, &config).expect_err("refused");
        assert!(matches!(error, Error::Setting { name: "strength", .. }), "{error}");
    }
}

#[test]
fn a_noise_louder_than_the_recording_is_warned_of() {
    let mixture = mono(voice(32_000, 16_000), 16_000);
    let denoised = run(&mixture, &noise_example(1.0, 16_000, 16_000), &DenoiseConfig::default()).expect("denoised");
    assert!(denoised.warnings()[0].contains("`hiss.wav` is"), "{:?}", denoised.warnings());
    assert_eq!(denoised.stem_names(&Stems::All).expect("names"), ["clean", "noise"]);
}

#[test]
fn a_noise_that_is_almost_silent_is_warned_of() {
    // A lead-in of the last bit.
    let mut dither = hiss(3);
    let lead_in = (0..16_000).map(|_| dither().round() / 32_768.0);
    let mixture = mono(lead_in.chain(voice(32_000, 16_000)).collect(), 16_000);
    let dithered = Heard::Alone(mono(mixture.samples().iter().take(16_000).copied().collect(), 16_000));
    for (heard, name) in [(Heard::Between(0.0, 0.9), "0 to 0.9 s"), (dithered, "hiss.wav")] {
        let denoised = run(&mixture, &heard, &DenoiseConfig::default()).expect("denoised");
        let expected = format!("the noise given (`{name}`) is almost silent");
        assert!(denoised.warnings()[0].contains(&expected), "{:?}", denoised.warnings());
    }
    let denoised = run(&mixture, &noise_example(0.001, 16_000, 16_000), &DenoiseConfig::default()).expect("denoised");
    assert!(denoised.warnings().is_empty(), "{:?}", denoised.warnings());
}

#[test]
fn the_command_writes_clean_and_noise_and_says_where_the_noise_was() {
    let dir = Dir::new();
    let voice = voice(32_000, 16_000);
    dir.wav("talk.wav", 16_000, &[&|i| voice[i] + 0.02 * ((i * 7919 % 1000) as f32 / 500.0 - 1.0)], 32_000);
    let output = dir.partita(&["denoise", "talk.wav"]);
    let text = stderr(&output) + &String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}");
    assert!(text.contains("noise learned from the quietest 0.5 s"), "{text}");
    for stem in ["clean", "noise"] {
        let stem = decode::read(&dir.path(&format!("separated/talk/{stem}.wav"))).expect("stem");
        assert_eq!((stem.n_samples(), stem.sample_rate()), (32_000, 16_000));
    }
    let output = dir.partita(&["denoise", "talk.wav", "--noise-range", "0:01-0:05", "-f"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("the noise range is 1 to 5 s, expected a part of 0.0 to 2.0 s"),
        "{}",
        stderr(&output)
    );
    dir.wav("silent.wav", 16_000, &[&|_| 0.0], 16_000);
    let output = dir.partita(&["denoise", "talk.wav", "--noise", "silent.wav", "-f"]);
    assert!(stderr(&output).contains("the noise `silent.wav` is silent"), "{}", stderr(&output));
    let output = dir.partita(&["denoise", "talk.wav", "--noise-range", "2-1", "-f"]);
    assert_eq!(output.status.code(), Some(2), "a range that ends before it begins is wrong usage");
}

#[test]
fn the_command_warns_where_it_is_not_sure_what_is_noise() {
    let dir = Dir::new();
    let voice = voice(64_000, 16_000);
    let mut hiss = hiss(6);
    let hiss: Vec<f32> = (0..16_000).map(|_| hiss()).collect();
    let talk = |i: usize| voice[i] + 0.02 * hiss[i % 16_000];
    dir.wav("talk.wav", 16_000, &[&talk], 32_000);
    // Of several talkers, one is always in the middle of a word.
    let talkers = |i: usize| (0..4).map(|n| voice[i + 5000 * n]).sum::<f32>();
    dir.wav("talkers.wav", 16_000, &[&|i| 0.1 * talkers(i)], 32_000);
    dir.wav("hiss.wav", 16_000, &[&|i| 0.02 * hiss[i % 16_000]], 32_000);
    for (noise, is_unsure) in [("talkers.wav", true), ("hiss.wav", false)] {
        let output = dir.partita(&["denoise", "talk.wav", "--noise", noise, "-f"]);
        assert!(output.status.success(), "{noise}: {}", stderr(&output));
        let is_warned = stderr(&output).contains("not sure what is noise");
        assert_eq!(is_warned, is_unsure, "{noise}: {}", stderr(&output));
    }
}
