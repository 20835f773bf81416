//! Where the ticks of an axis lie, and what stands beside them.

use crate::spectrogram::{FrequencyAxis, FrequencyScale};

/// A tick: `at` is 0 at the start of its axis and 1 at the end; without a label it is a short one.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tick {
    pub(super) at: f64,
    pub(super) label: String,
}

/// Ticks and the title of an axis.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Ticks {
    pub(super) ticks: Vec<Tick>,
    pub(super) title: String,
}

/// Steps that clocks are read in, in seconds, up to a day; shorter and longer ones are decimal.
const CLOCK_S: [f64; 16] =
    [1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 900.0, 1800.0, 3600.0, 7200.0, 21_600.0, 86_400.0];

/// Of an axis that begins at a time and lasts so long, with at most about `max_ticks` steps: seconds where it ends before a
/// minute, m:ss before an hour, h:mm:ss after that.
pub(super) fn time(start_s: f64, duration_s: f64, max_ticks: usize) -> Ticks {
    let (least, end_s) = (duration_s / max_ticks.max(1) as f64, start_s + duration_s);
    if end_s < 60.0 {
        let (unit, per_s) = if end_s < 0.5 { ("ms", 1000.0) } else { ("s", 1.0) };
        let ticks = even(start_s * per_s, end_s * per_s, nice_step(least * per_s), start_s * per_s);
        return Ticks { ticks, title: format!("time ({unit})") };
    }
    let step = match CLOCK_S.into_iter().find(|step| *step >= least) {
        Some(step) if least > 0.5 => step,
        Some(_) => nice_step(least),
        None => nice_step(least / 3600.0) * 3600.0,
    };
    let digits = n_digits(step);
    let label = |time_s: f64| {
        let scale = 10u64.pow(digits as u32);
        let time = (time_s * scale as f64).round() as u64;
        let (s, fraction) = (time / scale, time % scale);
        let fraction = if digits > 0 { format!(".{fraction:0digits$}") } else { String::new() };
        match (s / 3600, s / 60 % 60, s % 60) {
            (hours, minutes, s) if end_s >= 3600.0 => format!("{hours}:{minutes:02}:{s:02}{fraction}"),
            (_, minutes, s) => format!("{minutes}:{s:02}{fraction}"),
        }
    };
    let ticks = multiples(start_s, end_s, step);
    let ticks = ticks.map(|time_s| Tick { at: (time_s - start_s) / duration_s, label: label(time_s) }).collect();
    Ticks { ticks, title: if end_s >= 3600.0 { "time (h:mm:ss)" } else { "time (m:ss)" }.into() }
}

/// Of a frequency axis that is `length` pixels long, with labels at least `gap` pixels apart.
pub(super) fn frequency(axis: &FrequencyAxis, length: f64, gap: f64) -> Vec<Tick> {
    let (min_hz, max_hz) = axis.range_hz();
    let evenly = || {
        let step = nice_step((max_hz - min_hz) * 1.5 * gap / length);
        let hz = |tick: &Tick| ((min_hz + tick.at * (max_hz - min_hz)) * 1e6).round() / 1e6;
        let ticks = even(min_hz, max_hz, step, min_hz).into_iter();
        ticks.map(|tick| Tick { at: axis.fraction(hz(&tick)), label: hz_label(hz(&tick)) }).collect()
    };
    if axis.scale() == FrequencyScale::Linear {
        return evenly();
    }
    let decades = || (-3..9).map(|power| 10f64.powi(power));
    let multiples = |factors: &'static [f64]| decades().flat_map(|ten| factors.iter().map(move |f| f * ten));
    // The rounder, the earlier; each is labeled if none of those before is too near.
    let candidates = std::iter::once(0.0)
        .chain(decades())
        .chain(multiples(&[5.0]))
        .chain(multiples(&[2.0]))
        .chain(multiples(&[3.0, 7.0]))
        .chain(multiples(&[1.5, 4.0]));
    let within = |hz: &f64| (min_hz..=max_hz).contains(hz) && (*hz > 0.0 || axis.scale() == FrequencyScale::Mel);
    let mut ticks: Vec<Tick> = Vec::new();
    for hz in candidates.filter(within) {
        let at = axis.fraction(hz);
        if ticks.iter().all(|tick| (tick.at - at).abs() * length >= gap) {
            ticks.push(Tick { at, label: hz_label(hz) });
        }
    }
    if ticks.len() < 2 {
        // So small a part of the axis is nearly linear.
        return evenly();
    }
    let minor: Vec<f64> =
        multiples(&[1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0]).filter(within).map(|hz| axis.fraction(hz)).collect();
    for at in minor {
        if ticks.iter().all(|tick| (tick.at - at).abs() * length >= 0.3 * gap) {
            ticks.push(Tick { at, label: String::new() });
        }
    }
    ticks
}

/// From `-range_db` at the start to 0 dB at the end.
pub(super) fn decibel(range_db: f64, max_ticks: usize) -> Vec<Tick> {
    even(-range_db, 0.0, nice_step(range_db / max_ticks.max(1) as f64), -range_db)
}

/// The twelve pitch classes, each at the middle of its share of the axis.
pub(super) fn pitch_classes() -> Vec<Tick> {
    let names = ["C", "C\u{266f}", "D", "D\u{266f}", "E", "F", "F\u{266f}", "G", "G\u{266f}", "A", "A\u{266f}", "B"];
    let at = |i: usize| (i as f64 + 0.5) / names.len() as f64;
    names.into_iter().enumerate().map(|(i, name)| Tick { at: at(i), label: name.into() }).collect()
}

/// From `-limit` to `limit`.
pub(super) fn amplitude(limit: f64, max_ticks: usize) -> Vec<Tick> {
    even(-limit, limit, nice_step(2.0 * limit / max_ticks.max(1) as f64), -limit)
}

/// From 0 to 1.
pub(super) fn unit(max_ticks: usize) -> Vec<Tick> {
    even(0.0, 1.0, nice_step(1.0 / max_ticks.max(1) as f64), 0.0)
}

/// Of `n` items, each at the middle of its share of the axis, numbered from `first`.
pub(super) fn items(n: usize, first: usize, max_ticks: usize) -> Vec<Tick> {
    let step = nice_step(n as f64 / max_ticks.max(1) as f64).max(1.0) as usize;
    let is_shown = |number: &usize| step == 1 || number.is_multiple_of(step);
    (first..first + n)
        .filter(is_shown)
        .map(|number| Tick { at: ((number - first) as f64 + 0.5) / n as f64, label: number.to_string() })
        .collect()
}

/// From 0 to the iteration `last`.
pub(super) fn iterations(last: f64, max_ticks: usize) -> Vec<Tick> {
    even(0.0, last, nice_step(last / max_ticks.max(1) as f64).max(1.0), 0.0)
}

/// Of an axis of logarithms from `min` to `max`, both above 0: powers of ten, and below two decades 1, 2, 5.
pub(super) fn logarithmic(min: f64, max: f64, max_ticks: usize) -> Vec<Tick> {
    let n_decades = (max / min).log10();
    let powers = (min.log10().floor() as i32)..=(max.log10().ceil() as i32);
    let factors: &[f64] = match n_decades {
        n if n < 0.8 => {
            return even(min, max, nice_step((max - min) / max_ticks.max(1) as f64), min)
                .into_iter()
                .map(|tick| Tick { at: (1.0 + tick.at * (max - min) / min).ln() / (max / min).ln(), ..tick })
                .collect();
        }
        n if n < 2.5 => &[1.0, 2.0, 5.0],
        _ => &[1.0],
    };
    let every = (n_decades / max_ticks.max(1) as f64).ceil().max(1.0) as i32;
    powers
        .filter(|power| power.rem_euclid(every) == 0)
        .flat_map(|power| factors.iter().map(move |factor| factor * 10f64.powi(power)))
        .filter(|value| (min * (1.0 - 1e-9)..=max * (1.0 + 1e-9)).contains(value))
        .map(|value| Tick { at: (value / min).ln() / (max / min).ln(), label: number(value) })
        .collect()
}

/// Multiples of `step` between two ends, with as many digits as the step has. `at` counts from `origin`.
fn even(min: f64, max: f64, step: f64, origin: f64) -> Vec<Tick> {
    let digits = n_digits(step);
    let label = |value: f64| match max.abs() {
        large if large >= 1e6 => number(value),
        _ => format!("{value:.digits$}").replace('-', "−"),
    };
    multiples(min, max, step)
        .map(|value| Tick {
            at: (value - origin) / (max - origin),
            label: label(if value == 0.0 { 0.0 } else { value }),
        })
        .collect()
}

/// Multiples of `step` between two ends.
fn multiples(min: f64, max: f64, step: f64) -> impl Iterator<Item = f64> {
    // The last multiple counts as inside in spite of rounding.
    let (first, last) = ((min / step - 1e-9).ceil(), (max / step + 1e-9).floor());
    let n_ticks = (last - first).clamp(-1.0, 1000.0) as i64;
    (0..=n_ticks).map(move |i| (first + i as f64) * step)
}

/// Digits after the point that a step has.
fn n_digits(step: f64) -> usize {
    (-step.log10().floor()).clamp(0.0, 9.0) as usize
}

/// 50, 440, 1k, 2.5k.
fn hz_label(hz: f64) -> String {
    if hz >= 1000.0 { format!("{}k", hz / 1000.0) } else { format!("{hz}") }
}

/// A number of any size: 0.02, 1, 500, 20k is 2e4.
fn number(value: f64) -> String {
    if value == 0.0 || (1e-3..1e4).contains(&value.abs()) {
        format!("{}", (value * 1e9).round() / 1e9)
    } else {
        format!("{value:e}")
    }
}

/// The least of 1, 2, 5, 10, ... times a power of ten that is not below `least`.
fn nice_step(least: f64) -> f64 {
    if !(least > 0.0 && least.is_finite()) {
        return 1.0;
    }
    let ten = 10f64.powf(least.log10().floor());
    [1.0, 2.0, 5.0]
        .into_iter()
        .map(|factor| factor * ten)
        .find(|step| *step >= least * (1.0 - 1e-9))
        .unwrap_or(10.0 * ten)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::StftConfig;

    fn labels(ticks: &[Tick]) -> Vec<&str> {
        ticks.iter().map(|tick| tick.label.as_str()).filter(|label| !label.is_empty()).collect()
    }

    #[test]
    fn time_is_read_as_on_a_clock() {
        assert_eq!(labels(&time(0.0, 2.0, 8).ticks), ["0.0", "0.5", "1.0", "1.5", "2.0"]);
        assert_eq!(labels(&time(0.0, 0.02, 5).ticks), ["0", "5", "10", "15", "20"]);
        assert_eq!(labels(&time(0.0, 150.0, 6).ticks), ["0:00", "0:30", "1:00", "1:30", "2:00", "2:30"]);
        assert_eq!(labels(&time(0.0, 10_800.0, 6).ticks)[..3], ["0:00:00", "0:30:00", "1:00:00"]);
        assert_eq!(time(0.0, 10_800.0, 3).ticks[1], Tick { at: 1.0 / 3.0, label: "1:00:00".into() });
        assert!(time(0.0, 1e7, 10).ticks.len() <= 11);
    }

    #[test]
    fn time_of_an_excerpt_is_that_of_the_recording() {
        let ticks = time(4.25, 2.0, 5).ticks;
        assert_eq!(labels(&ticks), ["4.5", "5.0", "5.5", "6.0"]);
        assert_eq!(ticks[0].at, 0.125);
        assert_eq!(labels(&time(65.0, 1.0, 4).ticks), ["1:05.0", "1:05.5", "1:06.0"]);
        assert_eq!(labels(&time(59.0, 3.0, 4).ticks), ["0:59", "1:00", "1:01", "1:02"]);
        assert_eq!(labels(&time(3605.0, 120.0, 4).ticks), ["1:00:30", "1:01:00", "1:01:30", "1:02:00"]);
    }

    #[test]
    fn frequencies_are_round_and_apart() {
        let config = StftConfig::new(2048);
        for (scale, expected) in [
            (
                FrequencyScale::Linear,
                vec!["0", "2k", "4k", "6k", "8k", "10k", "12k", "14k", "16k", "18k", "20k", "22k"],
            ),
            (FrequencyScale::Log, vec!["50", "100", "200", "500", "1k", "2k", "5k", "10k", "20k"]),
            (FrequencyScale::Mel, vec!["0", "500", "1k", "2k", "5k", "10k", "20k"]),
        ] {
            let axis = FrequencyAxis::new(scale, &config, 44_100, None, None).expect("axis");
            let mut ticks = frequency(&axis, 700.0, 40.0);
            ticks.sort_by(|a, b| a.at.total_cmp(&b.at));
            let labels = labels(&ticks);
            assert!(expected.iter().all(|label| labels.contains(label)), "{}: {labels:?}", scale.name());
            let labeled: Vec<f64> = ticks.iter().filter(|tick| !tick.label.is_empty()).map(|tick| tick.at).collect();
            assert!(labeled.windows(2).all(|pair| (pair[1] - pair[0]) * 700.0 >= 40.0 - 1e-6), "{labeled:?}");
        }
    }

    #[test]
    fn a_small_part_of_an_axis_has_ticks_too() {
        for scale in FrequencyScale::ALL {
            let axis = FrequencyAxis::new(scale, &StftConfig::new(2048), 8000, Some(430.0), Some(450.0)).expect("axis");
            let ticks = frequency(&axis, 300.0, 30.0);
            assert!(labels(&ticks).contains(&"440") && ticks.len() >= 3, "{}: {ticks:?}", scale.name());
            assert!(ticks.iter().all(|tick| (-1e-9..=1.0 + 1e-9).contains(&tick.at)), "{ticks:?}");
        }
    }

    #[test]
    fn decibels_end_at_the_peak() {
        assert_eq!(labels(&decibel(80.0, 4)), ["−80", "−60", "−40", "−20", "0"]);
        assert_eq!(decibel(80.0, 8).last(), Some(&Tick { at: 1.0, label: "0".into() }));
    }

    #[test]
    fn logarithms_and_items_have_round_labels() {
        assert_eq!(labels(&logarithmic(1.0, 1e4, 6)), ["1", "10", "100", "1000", "1e4"]);
        assert_eq!(labels(&logarithmic(30.0, 700.0, 6)), ["50", "100", "200", "500"]);
        assert_eq!(labels(&logarithmic(10.0, 14.0, 4)), ["10", "11", "12", "13", "14"]);
        assert_eq!(labels(&items(3, 1, 20)), ["1", "2", "3"]);
        assert_eq!(labels(&items(64, 1, 16)), ["5", "10", "15", "20", "25", "30", "35", "40", "45", "50", "55", "60"]);
    }
}
