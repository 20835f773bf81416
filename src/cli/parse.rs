//! Values of options, from text.

use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use clap::builder::{PossibleValuesParser, TypedValueParser};
use partita::{Error, names};

/// A parser of one of `all`, by name.
pub(super) fn named<T, const N: usize>(all: [T; N], name: fn(T) -> &'static str) -> impl TypedValueParser<Value = T>
where
    T: Copy + Send + Sync + 'static,
{
    PossibleValuesParser::new(all.map(name))
        .map(move |given| all.into_iter().find(|x| name(*x) == given).unwrap_or(all[0]))
}

/// `12.5`, `1:02.5` or `1:00:02.5`.
pub(super) fn time(text: &str) -> Result<Duration, String> {
    const EXPECTED: &str = "expected seconds (12.5) or [h:]m:s (1:02.5)";
    let mut seconds = 0.0;
    let parts: Vec<_> = text.split(':').collect();
    if parts.len() > 3 {
        return Err(EXPECTED.into());
    }
    for (i, part) in parts.iter().enumerate() {
        let is_last = i + 1 == parts.len();
        let value: f64 = part.parse().map_err(|_| EXPECTED)?;
        let is_plain = part.bytes().all(|b| b.is_ascii_digit() || (is_last && b == b'.'));
        if !is_plain || (i > 0 && value >= 60.0) {
            return Err(EXPECTED.into());
        }
        seconds = 60.0 * seconds + value;
    }
    Duration::try_from_secs_f64(seconds).map_err(|_| EXPECTED.into())
}

/// `drums=kick,snare`: a name, and others.
pub(super) fn named_list(text: &str) -> Result<(String, Vec<String>), String> {
    let (name, list) = text.split_once('=').ok_or("expected NAME=MIC,MIC,..., as in drums=kick,snare")?;
    names::check(name).map_err(|error| error.to_string())?;
    let members: Vec<_> = list.split(',').map(|member| member.trim().to_owned()).collect();
    match members.len() > 1 && members.iter().all(|member| !member.is_empty()) {
        true => Ok((name.to_owned(), members)),
        false => Err("expected at least two microphones, as in drums=kick,snare".into()),
    }
}

/// `drums=3`: a name, and a number from 1 on.
pub(super) fn named_channel(text: &str) -> Result<(String, usize), String> {
    let (name, number) = text.split_once('=').ok_or("expected NAME=CHANNEL, as in drums=3")?;
    names::check(name).map_err(|error| error.to_string())?;
    match number.parse() {
        Ok(channel) if channel > 0 => Ok((name.to_owned(), channel)),
        _ => Err("expected a channel, counted from 1, as in drums=3".into()),
    }
}

/// `guitar=-0.6`: a name, and a place from -1 to 1.
pub(super) fn named_place(text: &str) -> Result<(String, f64), String> {
    let (name, place) = text.split_once('=').ok_or("expected NAME=PLACE, as in guitar=-0.6")?;
    names::check(name).map_err(|error| error.to_string())?;
    match place.parse() {
        Ok(place) if (-1.0..=1.0).contains(&place) => Ok((name.to_owned(), place)),
        _ => Err("expected a place from -1 (left) to 1 (right), as in guitar=-0.6".into()),
    }
}

/// `0:01-0:02.5`.
pub(super) fn time_range(text: &str) -> Result<(Duration, Duration), String> {
    let (start, end) = text.split_once('-').ok_or("expected two times, as in 0:01-0:02.5")?;
    let (start, end) = (time(start)?, time(end)?);
    if start < end { Ok((start, end)) } else { Err("expected the earlier time first".into()) }
}

/// `500MB`, `2GiB` or a number of bytes.
pub(super) fn size_bytes(text: &str) -> Result<u64, String> {
    const UNITS: [(&str, u64); 8] = [
        ("KiB", 1 << 10),
        ("MiB", 1 << 20),
        ("GiB", 1 << 30),
        ("TiB", 1 << 40),
        ("KB", 1000),
        ("MB", 1_000_000),
        ("GB", 1_000_000_000),
        ("TB", 1_000_000_000_000),
    ];
    let of = |(unit, bytes): &(&str, u64)| Some((text.strip_suffix(unit)?.trim_end(), *bytes));
    let (number, bytes) = UNITS.iter().find_map(of).unwrap_or((text, 1));
    let size = number.parse::<u64>().ok().and_then(|number| number.checked_mul(bytes)).filter(|size| *size > 0);
    size.ok_or_else(|| "expected a size, as in 500MB or 2GiB".into())
}

/// `kick=one-shot.wav`.
pub(super) fn named_file(text: &str) -> Result<(String, PathBuf), String> {
    let named = text.split_once('=').filter(|(name, file)| !name.is_empty() && !file.is_empty());
    let (name, file) = named.ok_or("expected a name and a file, as in kick=kick.wav")?;
    if let Err(Error::SourceName { reason, .. }) = names::check(name) {
        return Err(format!("expected a name that a file can have, got `{name}`, which {reason}"));
    }
    Ok((name.into(), file.into()))
}

/// `2-12`.
pub(super) fn range(text: &str) -> Result<RangeInclusive<usize>, String> {
    let range = text.split_once('-').and_then(|(a, b)| Some(a.parse().ok()?..=b.parse().ok()?));
    range.ok_or_else(|| "expected two numbers, as in 2-12".into())
}

/// `1600x900`.
pub(super) fn size(text: &str) -> Result<(u32, u32), String> {
    let size = text.split_once('x').and_then(|(w, h)| Some((w.parse().ok()?, h.parse().ok()?)));
    size.ok_or_else(|| "expected width and height, as in 1600x900".into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_or_minutes_and_seconds() {
        let parse = |text| time(text).map(|t| t.as_secs_f64());
        assert_eq!(parse("12.5"), Ok(12.5));
        assert_eq!(parse("1:02.5"), Ok(62.5));
        assert_eq!(parse("1:00:02"), Ok(3602.0));
        for text in ["", "abc", "-1", "1:60", "1:2:3:4", "1.5:00", "nan", "inf", "1e3", "1:"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }
}
