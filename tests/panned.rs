//! Sources that stand apart between left and right: found, said, and learned from masks; and what does not stand apart.

mod common;

use common::{Dir, assert_sum, sample, si_sdr, stems_of};
use ndarray::{Array2, s};
use partita::audio::{decode, resample};
use partita::nmf::NmfConfig;
use partita::separate::blind::{self, BlindConfig};
use partita::separate::panned::{self, PannedConfig};
use partita::separate::{Analysis, AnalysisConfig, Block, HowPlaced, Model, Places, Split};
use partita::watch::Watch;
use partita::{Audio, Error, Result, Separation};

const RATE: u32 = 8000;
const N_SAMPLES: usize = 20_000;
const NAMES: [&str; 3] = ["drums", "bass", "guitar"];

/// Drums, bass and guitar, each as loud, at these places.
fn images(places: [f32; 3]) -> Vec<Array2<f32>> {
    let image = |(name, place): (&str, f32)| {
        let audio = decode::read(&sample(&format!("drums-bass-guitar/{name}.wav"))).expect("sample");
        let audio = resample::resample(&audio, RATE).expect("resampled");
        let heard = audio.samples().slice(s![0, ..N_SAMPLES]).to_owned();
        let level = (heard.iter().map(|x| x * x).sum::<f32>() / N_SAMPLES as f32).sqrt();
        let angle = (place + 1.0) * std::f32::consts::FRAC_PI_4;
        let gains = [angle.cos(), angle.sin()];
        Array2::from_shape_fn((2, N_SAMPLES), |(channel, i)| 0.1 / level * gains[channel] * heard[i])
    };
    NAMES.into_iter().zip(places).map(image).collect()
}

fn audio(samples: Array2<f32>) -> Audio {
    Audio::new(samples, RATE).expect("audio")
}

fn mixture(images: &[Array2<f32>]) -> Audio {
    audio(images.iter().skip(1).fold(images[0].clone(), |sum, image| sum + image))
}

fn analysis(recording: &Audio, max_frames: usize) -> Analysis {
    let config = AnalysisConfig { max_frames, ..AnalysisConfig::default() };
    Analysis::of(recording, &config, &mut Watch::none()).expect("analysis")
}

fn blind_config(n_sources: Option<usize>) -> BlindConfig {
    let nmf = NmfConfig { n_components: 16, max_iter: 30, ..NmfConfig::default() };
    BlindConfig { n_sources, nmf, ..BlindConfig::default() }
}

fn separate(recording: &Audio, n_sources: Option<usize>, said: &[(&str, f64)]) -> Result<Separation> {
    let said = said.iter().map(|(name, place)| ((*name).to_owned(), *place)).collect();
    let config = PannedConfig { blind: blind_config(n_sources), said };
    panned::fit(recording, &analysis(recording, 20_000), &config, &mut Watch::none())
}

/// How well each source is in its best stem, above the mixture, on the channel where it is the louder.
fn gains(images: &[Array2<f32>], mixture: &Audio, stems: &[Audio]) -> Vec<f64> {
    let gain = |image: &Array2<f32>| {
        let energy = |channel: usize| image.row(channel).iter().map(|x| x * x).sum::<f32>();
        let channel = usize::from(energy(1) > energy(0));
        let of = |audio: &Audio| si_sdr(image.row(channel), audio.channel(channel));
        stems.iter().map(of).fold(f64::MIN, f64::max) - of(mixture)
    };
    images.iter().map(gain).collect()
}

#[test]
fn sources_at_places_of_their_own_are_told_apart_without_being_told_of_them() {
    let images = images([0.6, -0.7, 0.0]);
    let mixture = mixture(&images);
    let places: Vec<_> = analysis(&mixture, 20_000).places().expect("looked for").to_vec();
    assert_eq!(places.len(), 3, "{places:?}");
    for (place, expected) in places.iter().zip([-0.7, 0.0, 0.6]) {
        assert!((place.at - expected).abs() < 0.02, "{places:?}");
    }
    let separation = separate(&mixture, None, &[]).expect("separated");
    assert_eq!(separation.names().len(), 3, "as many sources as places");
    let stems = stems_of(&separation, &mixture);
    assert_sum(&mixture, &stems, "panned");
    let with_places = gains(&images, &mixture, &stems);
    let blind = blind::fit(&analysis(&mixture, 20_000), &blind_config(Some(3)), None, &mut Watch::none());
    let without = gains(&images, &mixture, &stems_of(&blind.expect("separated"), &mixture));
    assert!(with_places.iter().all(|gain| *gain > 8.0), "{with_places:?} dB");
    let mean = |gains: &[f64]| gains.iter().sum::<f64>() / gains.len() as f64;
    assert!(mean(&with_places) > mean(&without) + 4.0, "{with_places:?} dB, by one mask {without:?} dB");
}

#[test]
fn a_source_that_is_said_to_stand_somewhere_has_its_name() {
    let images = images([0.6, -0.7, 0.0]);
    let mixture = mixture(&images);
    let separation = separate(&mixture, Some(3), &[("bass", -0.65)]).expect("separated");
    assert_eq!(separation.names(), ["bass", "source-2", "source-3"]);
    let stems = stems_of(&separation, &mixture);
    let gain = si_sdr(images[1].row(0), stems[0].channel(0)) - si_sdr(images[1].row(0), mixture.channel(0));
    assert!(gain > 8.0, "{gain} dB");
    // Two at one place are left to likeness; fewer sources than places are merged.
    let two = separate(&mixture, Some(2), &[("bass", -0.65)]).expect("separated");
    assert_eq!(two.names(), ["bass", "source-2"]);
    assert_sum(&mixture, &stems_of(&two, &mixture), "two");
    // All are said: no other is left.
    let all = separate(&mixture, None, &[("bass", -0.7), ("guitar", 0.0), ("drums", 0.6)]).expect("separated");
    assert_eq!(all.names(), ["bass", "guitar", "drums"]);
    let more = separate(&mixture, Some(4), &[("bass", -0.7), ("guitar", 0.0), ("drums", 0.6)]).expect("separated");
    assert_eq!(more.names(), ["bass", "guitar", "drums", "source-4"]);
}

#[test]
fn sources_that_share_a_place_are_grouped_by_likeness() {
    let images = images([0.0, 0.0, 0.7]);
    let mixture = mixture(&images);
    let separation = separate(&mixture, Some(3), &[]).expect("separated");
    let stems = stems_of(&separation, &mixture);
    assert_sum(&mixture, &stems, "two in the middle");
    let gains = gains(&images, &mixture, &stems);
    // Measured: 21 dB; who is who of the two in the middle is a guess.
    assert!(gains[2] > 12.0, "{gains:?} dB");
    let energy = |stem: &Audio| stem.samples().iter().map(|x| x * x).sum::<f32>();
    assert!(stems.iter().all(|stem| energy(stem) > 1e-3 * energy(&mixture)), "none is silent");
    // Of its components, too, each is heard at its place, and together they are all.
    let components = separation.groups().iter().map(|(_, members)| members.len()).sum::<usize>();
    assert!(components > 16, "{components}");
}

#[test]
fn what_does_not_stand_apart_is_as_without_places() {
    let images = images([0.0; 3]);
    for recording in [mixture(&images), audio(mixture(&images).samples().slice(s![..1, ..]).to_owned())] {
        let with = separate(&recording, Some(3), &[]).expect("separated");
        let without = blind::fit(&analysis(&recording, 20_000), &blind_config(Some(3)), None, &mut Watch::none());
        assert_eq!(stems_of(&with, &recording), stems_of(&without.expect("separated"), &recording));
    }
}

/// A third of everything for each part, and more of what is its own.
#[derive(Debug)]
struct Leaky(Vec<Array2<f32>>);

impl Model for Leaky {
    fn n_parts(&self) -> usize {
        self.0.len()
    }

    fn split(&self, block: &Block<'_>) -> Result<Split> {
        let rows = s![block.frames.clone(), ..];
        Ok(Split::Masks(self.0.iter().map(|mask| mask.slice(rows).to_owned()).collect()))
    }
}

/// Masks that leave much of the others, for the sources of these images.
fn leaky(images: &[Array2<f32>], recording: &Audio) -> Separation {
    let analysis = analysis(recording, 20_000);
    let powers: Vec<Array2<f32>> =
        images.iter().map(|image| analysis.stft().magnitude(image.view()).mapv(|x| x.sqrt() + 1e-3)).collect();
    let total = powers.iter().skip(1).fold(powers[0].clone(), |sum, power| sum + power);
    let masks = powers.into_iter().map(|power| power / &total).collect();
    Separation::new(&analysis, Leaky(masks), NAMES.map(String::from).to_vec()).expect("separation")
}

#[test]
fn places_are_learned_from_the_masks_of_any_method_and_make_them_better() {
    let images = images([0.6, -0.7, 0.0]);
    let mixture = mixture(&images);
    let by_masks = leaky(&images, &mixture);
    let before = gains(&images, &mixture, &stems_of(&by_masks, &mixture));
    for said in [vec![], vec![("guitar".to_owned(), 0.05)]] {
        let placed = by_masks.clone().with_pans(&mixture, &said, &mut Watch::none()).expect("placed");
        let stems = stems_of(&placed, &mixture);
        assert_sum(&mixture, &stems, "placed");
        let after = gains(&images, &mixture, &stems);
        let better: Vec<_> = after.iter().zip(&before).map(|(after, before)| after - before).collect();
        // Measured: 2.6, 6.7 and 3.9 dB.
        assert!(better.iter().all(|gain| *gain > 2.0) && better.iter().sum::<f64>() > 12.0, "{better:?} dB");
    }
    // The same step, chosen by what was found.
    let places = Places { how: HowPlaced::Pan, said: Vec::new() };
    let placed = places.tell_apart(by_masks.clone(), &mixture, Some(3), 1000, &mut Watch::none()).expect("placed");
    let bits = stems_of(&by_masks.clone().with_pans(&mixture, &[], &mut Watch::none()).expect("placed"), &mixture);
    assert_eq!(stems_of(&placed, &mixture), bits);
    let left = places.tell_apart(by_masks.clone(), &mixture, Some(1), 1000, &mut Watch::none()).expect("left");
    assert_eq!(stems_of(&left, &mixture), stems_of(&by_masks, &mixture));
    let centered = self::images([0.0; 3]);
    let same = leaky(&centered, &self::mixture(&centered));
    let placed = same.clone().with_pans(&self::mixture(&centered), &[], &mut Watch::none()).expect("placed");
    assert_eq!(stems_of(&placed, &self::mixture(&centered)), stems_of(&same, &self::mixture(&centered)));
}

#[test]
fn the_same_bits_come_of_any_number_of_threads_and_in_any_range() {
    let images = images([0.6, -0.7, 0.0]);
    let mixture = mixture(&images).excerpt(0, 12_000);
    let with = |n_threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(n_threads).build().expect("threads");
        pool.install(|| {
            let separation = separate(&mixture, Some(3), &[]).expect("separated");
            let mut part = Vec::new();
            let all = partita::separate::Stems::All;
            let sink = &mut |blocks: &[Array2<f32>]| {
                part.push(blocks.to_vec());
                Ok(())
            };
            separation.render_range(&mixture, &all, 5000..7000, sink).expect("rendered");
            (stems_of(&separation, &mixture), part)
        })
    };
    let (stems, part) = with(1);
    assert_eq!((stems.clone(), part.clone()), with(3));
    let first = part[0][0].slice(s![.., ..100]).to_owned();
    assert_eq!(first, stems[0].samples().slice(s![.., 5000..5100]));
}

#[test]
fn nothing_goes_wrong_where_there_is_nothing_or_too_much() {
    let images = images([0.6, -0.7, 0.0]);
    let mixture = mixture(&images).excerpt(0, 10_000);
    let changed = |change: &dyn Fn(&mut Array2<f32>)| {
        let mut samples = mixture.samples().to_owned();
        change(&mut samples);
        audio(samples)
    };
    for (what, recording) in [
        ("a silent channel", changed(&|samples| samples.row_mut(1).fill(0.0))),
        ("silence in the middle", changed(&|samples| samples.slice_mut(s![.., 2000..6000]).fill(0.0))),
        ("very quiet", changed(&|samples| samples.mapv_inplace(|x| 1e-9 * x))),
        ("very loud", changed(&|samples| samples.mapv_inplace(|x| 1e9 * x))),
        ("opposite signs", changed(&|samples| samples.row_mut(1).mapv_inplace(|x| -x))),
    ] {
        for said in [&[][..], &[("drums", 0.6)]] {
            let stems = stems_of(&separate(&recording, None, said).expect("separated"), &recording);
            assert!(stems.iter().all(|stem| stem.samples().iter().all(|x| x.is_finite())), "{what}");
            assert_sum(&recording, &stems, what);
        }
    }
    let silent = changed(&|samples| samples.fill(0.0));
    assert!(stems_of(&separate(&silent, None, &[]).expect("silent"), &silent).iter().all(|stem| stem.peak() == 0.0));
}

#[test]
fn what_cannot_be_is_refused() {
    let images = images([0.6, -0.7, 0.0]);
    let mixture = mixture(&images).excerpt(0, 6000);
    let mono = audio(mixture.samples().slice(s![..1, ..]).to_owned());
    let refused = |recording: &Audio, n_sources, said: &[(&str, f64)]| match separate(recording, n_sources, said) {
        Err(Error::Setting { name, .. }) => name,
        other => panic!("{other:?}"),
    };
    assert_eq!(refused(&mono, None, &[("bass", 0.0)]), "pan");
    assert_eq!(refused(&mixture, None, &[("bass", 1.5)]), "pan");
    assert_eq!(refused(&mixture, None, &[("bass", f64::NAN)]), "pan");
    assert_eq!(refused(&mixture, Some(1), &[("bass", 0.0)]), "n_sources");
    let twice = separate(&mixture, None, &[("bass", 0.0), ("bass", 0.5)]);
    assert!(matches!(twice, Err(Error::SourceName { .. })));
    let unknown = leaky(&images, &self::mixture(&images));
    let said = [("flute".to_owned(), 0.0)];
    let unknown = unknown.with_pans(&self::mixture(&images), &said, &mut Watch::none());
    assert!(matches!(unknown, Err(Error::UnknownStem { .. })));
}

#[test]
fn the_command_line_says_where_sources_stand() {
    let dir = Dir::new();
    let mixture = mixture(&images([0.6, -0.7, 0.0]));
    let sample = |channel: usize| {
        let samples = mixture.samples().to_owned();
        move |i: usize| samples[(channel, i)]
    };
    dir.wav("band.wav", RATE, &[&sample(0), &sample(1)], N_SAMPLES);
    let with = |args: &[&str]| -> Vec<String> {
        [&["separate", "band.wav", "-k", "12", "--max-iter", "5"], args]
            .concat()
            .into_iter()
            .map(String::from)
            .collect()
    };
    let said = with(&["--pan", "bass=-0.7"]);
    dir.succeeds(&said.iter().map(String::as_str).collect::<Vec<_>>());
    let stems: Vec<_> = ["bass", "source-2", "source-3"].map(|name| format!("separated/band/{name}.wav")).into();
    assert_eq!(dir.files(), [&["band.wav".to_owned()][..], &stems].concat());
    let fails = |args: &[&str]| dir.fails(&with(args).iter().map(String::as_str).collect::<Vec<_>>(), 2);
    let message = fails(&["-f", "--pan", "bass=left"]);
    assert!(message.contains("expected a place from -1 (left) to 1 (right), as in guitar=-0.6"), "{message}");
    let message = fails(&["-f", "--pan", "bass=-0.7", "--multichannel", "mask"]);
    assert!(message.contains("`--pan` says where sources stand"), "{message}");
}
