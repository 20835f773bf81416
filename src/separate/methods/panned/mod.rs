//! Without knowledge but for where sources stand between left and right: each place of a stereo recording has
//! components of its own. Leads `blind`, for recordings whose sources do not stand apart.

mod factors;
mod model;

use std::ops::Range;
use std::sync::Arc;

use ndarray::{Array2, Axis, concatenate, s};

use self::factors::{Factors, Spot};
use self::model::{PannedModel, PlaceParts};
use super::blind::{self, BlindConfig};
use super::components::ComponentModel;
use super::{check_mask_exponent, group};
use crate::audio::Recording;
use crate::error::Advice;
use crate::knowledge::dictionary::Bands;
use crate::nmf::{Factorization, StopReason, fit_with};
use crate::separate::pipeline::{
    Analysis, AnalysisConfig, BLOCK_FRAMES, Covariance, Detail, Model, Place, Stage, check_pans,
};
use crate::separate::separation::{Components, Found, Separation};
use crate::stft::StftOptions;
use crate::watch::Watch;
use crate::{Error, Result, names};

/// Bytes of spectra and magnitudes that components of places are learned from at the most.
pub const MAX_BYTES: usize = 160 << 20;

/// Places that are told apart at the most: of more, the loudest.
const MAX_PLACES: usize = 8;

/// It looks at so many blocks of frames to put the sources in order, at the most.
const MAX_BLOCKS: usize = 16;

/// A source that is said to stand this near a place that was found stands there.
const NEAR: f64 = 0.15;

/// How to take a stereo recording apart by where its sources stand.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct PannedConfig {
    /// How many sources and components there are; components are shared out among the places. Divergence and tolerance
    /// count only where sources do not stand apart. Sources: by default as many as places.
    pub blind: BlindConfig,
    /// Names of sources and where they stand, from -1 (left) to 1 (right) by gains of constant power. Default: places
    /// are found, and have no names.
    pub said: Vec<(String, f64)>,
}

/// Takes a stereo recording apart by where its sources stand between left and right. Places are those of
/// [`Analysis::places`] and those that are said; each has components of its own, which are learned from the phases,
/// too. Where a place has several sources, what stands there is taken apart as [`blind::fit`] does. A recording whose
/// sources do not stand apart, or that is not stereo, is taken apart by [`blind::fit`].
///
/// # Errors
/// Those of [`blind::fit`] and of the recording, and [`Error::Setting`] where something is said of a recording that is
/// not stereo, or of more sources than there are.
///
/// # Cost
/// One pass over the recording and time O(`n_frames` `n_bins` `n_components`) for each of 55 iterations, of at most
/// some 4000 frames at 44.1 kHz; of a longer recording, 20 such iterations on each block that is rendered.
///
/// # References
/// A. Ozerov and C. Févotte, "Multichannel nonnegative matrix factorization in convolutive mixtures for audio source
/// separation", IEEE TASLP 18(3), 2010: factors of the power of each source beside how it is mixed, by expectation and
/// maximization. Covariances are those of N. Q. K. Duong, E. Vincent and R. Gribonval, IEEE TASLP 18(7), 2010.
pub fn fit(
    recording: &dyn Recording,
    analysis: &Analysis,
    config: &PannedConfig,
    watch: &mut Watch<'_>,
) -> Result<Separation> {
    check_mask_exponent(config.blind.mask_exponent)?;
    check_pans(&config.said, analysis.n_channels())?;
    analysis.need_magnitudes()?;
    let found = analysis.places().unwrap_or_default();
    if config.said.is_empty() && found.len() < 2 || analysis.is_silent() {
        return blind::fit(analysis, &config.blind, None, watch);
    }
    let n_components = config.blind.nmf.n_components;
    let spots = spots(found, &config.said, n_components, config.blind.n_sources);
    let n_sources = config.blind.n_sources.unwrap_or(spots.len()).max(1);
    check_numbers(n_sources, spots.len(), &config.said, n_components)?;
    let stft = analysis.stft().config();
    let options = StftOptions { n_fft: Some(stft.n_fft), hop_length: Some(stft.hop_length), window: stft.window };
    let bytes_of_frame = stft.n_bins() * size_of::<f32>() * 5;
    let max_frames = MAX_BYTES / bytes_of_frame;
    let looks = AnalysisConfig { stft: options, max_frames, detail: Detail::Spectra, ..AnalysisConfig::default() };
    let looked = Analysis::of(recording, &looks, watch)?;
    let Some([left, right]) = looked.spectra() else {
        return blind::fit(analysis, &config.blind, None, watch);
    };
    let nmf = &config.blind.nmf;
    let (factors, activations, n_iter) =
        Factors::learn(&spots, [left.view(), right.view()], n_components, nmf.max_iter, nmf.seed, watch)?;
    let factorization = factorization(&factors, &activations, n_iter);
    let n_said = config.said.len();
    let place_of = factors.places();
    let n_at = n_at(&spots, n_said, n_sources);
    let assignment = match n_sources < spots.len() {
        true => merged(analysis, &factorization, &place_of, n_said, n_sources),
        false => place_of.iter().map(|place| n_at[..*place].iter().sum()).collect(),
    };
    let kept = PannedModel::new(Arc::new(factors), activations, places(&place_of, &assignment));
    let (kept, factorization) = refine(kept, factorization, &n_at, &looked, &config.blind, watch)?;
    let assignment = strongest_first(&kept, &looked, n_said)?;
    let names = names_of(&config.said, kept.n_parts());
    let kept = kept.with_partition(&assignment);
    let model = if looked.is_complete() { kept } else { kept.by_block() };
    let by_component = model.with_partition(&(0..assignment.len()).collect::<Vec<_>>());
    let components = Components {
        factorization,
        assignment,
        stage: Stage { stft: looked.stft().clone(), model: Arc::new(by_component) },
        settings: blind::settings(&looked, &config.blind),
    };
    Ok(Separation { found: Found::Components(Box::new(components)), ..Separation::new(&looked, model, names)? })
}

/// Where components stand: sources that are said to stand somewhere first, where they were found if that is near, then
/// what else was found. Where that is a single place, or there is to be another source, there is also what comes from
/// anywhere.
fn spots(found: &[Place], said: &[(String, f64)], n_components: usize, n_sources: Option<usize>) -> Vec<Spot> {
    let mut left: Vec<Place> = found.to_vec();
    left.sort_by(|a, b| b.share.total_cmp(&a.share));
    let mut spots: Vec<Spot> = Vec::new();
    for (_, at) in said {
        let gap = |place: &Place| (place.at - at).abs();
        let nearest =
            (0..left.len()).filter(|i| gap(&left[*i]) < NEAR).min_by(|a, b| gap(&left[*a]).total_cmp(&gap(&left[*b])));
        let at = nearest.map_or(*at, |nearest| left.remove(nearest).at);
        spots.push(Spot { at: Some(at), share: 0.0, covariance: Covariance::at(at) });
    }
    let n_left = MAX_PLACES.min(n_components).saturating_sub(spots.len());
    left.truncate(n_left);
    left.sort_by(|a, b| a.at.total_cmp(&b.at));
    let spot = |place: &Place| Spot { at: Some(place.at), share: place.share, covariance: Covariance::at(place.at) };
    spots.extend(left.iter().map(spot));
    let has_others = spots.len() > said.len() || n_sources.is_none_or(|n_sources| n_sources <= said.len());
    if spots.len() < 2 || !has_others {
        spots.push(Spot { at: None, share: 0.0, covariance: Covariance::ANYWHERE });
    }
    spots
}

/// Refuses numbers of sources and components that are too few.
fn check_numbers(n_sources: usize, n_spots: usize, said: &[(String, f64)], n_components: usize) -> Result<()> {
    let refuse = |name, got: usize, expected: String, advice: Advice| {
        Err(Error::Setting { name, got: got.to_string(), expected, advice: Some(advice.into()) })
    };
    for (i, (name, _)) in said.iter().enumerate() {
        names::check(name)?;
        if said[..i].iter().any(|(other, _)| other == name) {
            return Err(Error::SourceName { name: name.clone(), reason: "is said to stand at two places" });
        }
    }
    let least = said.len() + usize::from(n_spots > said.len());
    if n_sources < least {
        let expected = format!("at least {least}: those that are said to stand somewhere, and another");
        return refuse("n_sources", n_sources, expected, Advice::set("n_sources", least));
    }
    if n_components < n_sources.max(n_spots) {
        let expected = format!("at least {n_sources}, one for each source");
        return refuse(
            "n_components",
            n_components,
            expected,
            Advice::set("n_components", 4 * n_sources).note("or more"),
        );
    }
    Ok(())
}

/// What was learned of powers, as magnitudes.
fn factorization(factors: &Factors, activations: &Array2<f32>, n_iter: usize) -> Factorization {
    let rows: Vec<_> = factors.templates.iter().map(|templates| templates.view()).collect();
    let dictionary = concatenate(Axis(0), &rows).expect("templates of one number of bins").reversed_axes();
    Factorization {
        dictionary: dictionary.mapv(f32::sqrt).as_standard_layout().to_owned(),
        activations: activations.mapv(f32::sqrt).reversed_axes().as_standard_layout().to_owned(),
        n_iter,
        divergence: 0.0,
        divergence_curve: Vec::new(),
        stop_reason: StopReason::MaxIter,
        warnings: Vec::new(),
    }
}

/// How many sources stand at each place: one, and of those that are left the more, the more is heard from there, as
/// seats are given to parties (by V. D'Hondt's rule). Those that are said to stand somewhere stand there alone.
fn n_at(spots: &[Spot], n_said: usize, n_sources: usize) -> Vec<usize> {
    let mut n_at = vec![1; spots.len()];
    for _ in spots.len()..n_sources {
        let weight = |place: &usize| spots[*place].share / (n_at[*place] + 1) as f64;
        let next = (n_said..spots.len()).max_by(|a, b| weight(a).total_cmp(&weight(b)).then(b.cmp(a)));
        n_at[next.unwrap_or(0)] += 1;
    }
    n_at
}

/// The source of each component where there are fewer sources than places: those that are said to stand somewhere
/// first, and of other places those together whose components are alike.
fn merged(
    analysis: &Analysis,
    factorization: &Factorization,
    place_of: &[usize],
    n_said: usize,
    n_sources: usize,
) -> Vec<usize> {
    let others: Vec<usize> = (0..place_of.len()).filter(|k| place_of[*k] >= n_said).collect();
    let only = Factorization {
        dictionary: factorization.dictionary.select(Axis(1), &others),
        activations: factorization.activations.select(Axis(0), &others),
        ..factorization.clone()
    };
    let places: Vec<usize> = others.iter().map(|k| place_of[*k]).collect();
    let n_others = (n_sources - n_said).min(others.len());
    let groups = group::within_places(&only, analysis.stft().config(), analysis.sample_rate(), &places, n_others);
    let mut assignment = place_of.to_vec();
    others.iter().zip(groups).for_each(|(k, group)| assignment[*k] = n_said + group);
    assignment
}

/// The components of each place, and their parts.
fn places(place_of: &[usize], assignment: &[usize]) -> Vec<PlaceParts> {
    let n_places = place_of.last().map_or(0, |last| last + 1);
    let parts =
        |place| place_of.iter().zip(assignment).filter(move |(other, _)| **other == place).map(|(_, part)| *part);
    (0..n_places).map(|place| PlaceParts::Components(parts(place).collect())).collect()
}

/// Places of several sources are taken apart by what stands there: by components as [`blind::fit`] finds them, whose
/// magnitudes tell more of likeness than powers do: in a trial on six mixes with two sources in the middle, 9.6 instead
/// of 6.4 dB.
fn refine(
    model: PannedModel,
    factorization: Factorization,
    n_at: &[usize],
    looked: &Analysis,
    config: &BlindConfig,
    watch: &mut Watch<'_>,
) -> Result<(PannedModel, Factorization)> {
    let (mut dictionaries, mut activations) = (Vec::new(), Vec::new());
    let mut refined = model.places.clone();
    let mut first = 0;
    for (i, place) in refined.iter_mut().enumerate() {
        let PlaceParts::Components(parts) = place else { continue };
        let own = first..first + parts.len();
        first = own.end;
        if n_at[i] < 2 {
            dictionaries.push(factorization.dictionary.slice(s![.., own.clone()]).to_owned());
            activations.push(factorization.activations.slice(s![own, ..]).to_owned());
            continue;
        }
        let found = fit_with(model.heard_at(i, looked, blocks_of(looked))?.t(), &config.nmf, watch)?.complete()?;
        let groups = group::by_likeness(&found, looked.stft().config(), looked.sample_rate(), Some(n_at[i]));
        let masks = ComponentModel::new(
            &found.dictionary,
            Some(found.activations.clone()),
            &Bands::new(looked.stft().config(), looked.sample_rate()),
            config.nmf.divergence,
            config.mask_exponent,
        )?;
        *place = PlaceParts::Masks(Box::new(masks), groups.iter().map(|group| parts[0] + group).collect());
        dictionaries.push(found.dictionary);
        activations.push(found.activations);
    }
    let dictionaries: Vec<_> = dictionaries.iter().map(|dictionary| dictionary.view()).collect();
    let activations: Vec<_> = activations.iter().map(|activations| activations.view()).collect();
    let factorization = Factorization {
        dictionary: concatenate(Axis(1), &dictionaries).expect("templates of one number of bins"),
        activations: concatenate(Axis(0), &activations).expect("activations of the same frames"),
        ..factorization
    };
    Ok((model.with_places(refined), factorization))
}

/// The part of each component with the strongest part first among those of which nothing is said; as strong as they are
/// in some blocks.
fn strongest_first(model: &PannedModel, looked: &Analysis, n_said: usize) -> Result<Vec<usize>> {
    let mut energies = vec![0.0f64; model.n_parts()];
    let blocks: Vec<_> = blocks_of(looked).collect();
    for rows in blocks.iter().step_by(blocks.len().div_ceil(MAX_BLOCKS).max(1)) {
        for (energy, own) in energies.iter_mut().zip(model.energies(looked, rows.clone())?) {
            *energy += own;
        }
    }
    let mut order: Vec<_> = (0..energies.len()).collect();
    order[n_said..].sort_by(|a, b| energies[*b].total_cmp(&energies[*a]));
    let mut rank = vec![0; order.len()];
    order.iter().enumerate().for_each(|(r, part)| rank[*part] = r);
    Ok(model.partition().iter().map(|part| rank[*part]).collect())
}

/// The kept rows that follow one another, block by block.
fn blocks_of(looked: &Analysis) -> impl Iterator<Item = Range<usize>> {
    let blocks = |rows: Range<usize>| {
        let end = rows.end;
        rows.step_by(BLOCK_FRAMES).map(move |start| start..(start + BLOCK_FRAMES).min(end))
    };
    looked.consecutive().into_iter().flat_map(blocks)
}

/// Names of sources: those that are said, and numbers.
fn names_of(said: &[(String, f64)], n_sources: usize) -> Vec<String> {
    let mut all: Vec<String> = said.iter().map(|(name, _)| name.clone()).collect();
    let numbered: Vec<_> =
        (said.len() + 1..).map(names::source).filter(|name| !all.contains(name)).take(n_sources - said.len()).collect();
    all.extend(numbered);
    all
}
