//! Reads AU files (`.au`, `.snd`) of PCM, floating-point, A-law or mu-law samples, big-endian or, as some old machines
//! wrote them, little-endian.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom};

use super::fault::Fault;
use super::format::{Format, MAX_CHANNELS};
use super::pcm::{self, Encoding, Pcm, Stretch};

/// How a file starts whose numbers are big-endian.
const BIG_ENDIAN: &[u8] = b".snd";

/// How one starts whose numbers are little-endian: the same turned round, and what DEC's machines wrote.
const LITTLE_ENDIAN: [&[u8]; 2] = [b"dns.", b"\0ds."];

/// The size of samples whose writer could not know it.
const OPEN_SIZE: u32 = u32::MAX;

/// What the header of a file says, or of one of several that are strung together.
struct Header {
    sample_rate: u32,
    n_channels: usize,
    /// As many bytes as are there.
    samples: Stretch,
    /// Bytes of samples; `None` where its writer could not know.
    declared: Option<u64>,
}

/// Reads the headers.
pub(super) fn open(mut file: File) -> Result<(Pcm, Format), Fault> {
    let len = file.seek(SeekFrom::End(0))?;
    let mut input = BufReader::new(file);
    let first = Header::read(&mut input, 0, len)?;
    let (sample_rate, n_channels, codec) = (first.sample_rate, first.n_channels, first.samples.encoding.name().into());
    let (mut notes, mut stretches, mut fault) = (Vec::new(), Vec::new(), None);
    let mut n_samples = 0;
    let mut next = Some(first);
    while let Some(Header { mut samples, declared, .. }) = next.take() {
        let (available, row_bytes) = (samples.n_bytes, samples.row_bytes(n_channels));
        let declared = declared.unwrap_or(available);
        let n_missing = pcm::n_missing(declared, available, &mut notes);
        if n_missing > 0 {
            fault = Some(Fault::CutOff { n_samples: Some(n_samples + declared / row_bytes) });
        } else if declared < available {
            let end = samples.at + declared;
            samples.n_bytes = declared;
            if is_au(&read_head(&mut input, end)?) {
                match Header::read(&mut input, end, len) {
                    Ok(header) if (header.sample_rate, header.n_channels) == (sample_rate, n_channels) => {
                        next = Some(header);
                    }
                    Ok(header) => {
                        let to = (header.sample_rate, header.n_channels);
                        fault = Some(Fault::Changed { from: (sample_rate, n_channels), to });
                    }
                    Err(error) => fault = Some(error),
                }
            } else {
                let declared_s = (declared / row_bytes) as f64 / f64::from(sample_rate.max(1));
                samples.n_bytes =
                    samples.rest(&mut input, n_channels)?.note(&mut notes, declared, available, declared_s);
            }
            pcm::note_part_of_a_sample(samples.n_bytes, row_bytes, &mut notes);
        }
        n_samples += (samples.n_bytes + n_missing) / row_bytes;
        stretches.push(samples);
    }
    let pcm = Pcm::new(input, n_channels, stretches, fault, Vec::new())?;
    let n_samples = Some(n_samples);
    Ok((pcm, Format { container: "AU", codec, sample_rate, n_channels, channel_mask: None, n_samples, notes }))
}

/// Whether an AU file begins like this.
pub(super) fn is_au(head: &[u8]) -> bool {
    head.starts_with(BIG_ENDIAN) || LITTLE_ENDIAN.iter().any(|magic| head.starts_with(magic))
}

fn read_head(input: &mut BufReader<File>, at: u64) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    input.seek(SeekFrom::Start(at))?;
    input.take(4).read_to_end(&mut head)?;
    Ok(head)
}

impl Header {
    fn read(input: &mut BufReader<File>, start: u64, len: u64) -> Result<Self, Fault> {
        let mut head = [0; 24];
        input.seek(SeekFrom::Start(start))?;
        input.read_exact(&mut head)?;
        let is_big_endian = head.starts_with(BIG_ENDIAN);
        let number = |i: usize| {
            let bytes = head.get(4 * i..).and_then(|bytes| bytes.first_chunk()).copied().unwrap_or_default();
            if is_big_endian { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
        };
        let [offset, size, encoding, sample_rate, n_channels] = [1, 2, 3, 4, 5].map(number);
        let encoding = match encoding {
            1 => Encoding::Mulaw,
            2 => Encoding::Signed8,
            3 => Encoding::Signed16,
            4 => Encoding::Signed24,
            5 => Encoding::Signed32,
            6 => Encoding::Float32,
            7 => Encoding::Float64,
            27 => Encoding::Alaw,
            23..=26 => return Err(Fault::Unsupported { codec: "AU with ADPCM".into() }),
            other => return Err(Fault::Unsupported { codec: format!("AU with encoding {other}") }),
        };
        let n_channels = n_channels as usize;
        if n_channels == 0 || n_channels > MAX_CHANNELS {
            return Err(Fault::channels(n_channels));
        }
        let at = start + u64::from(offset);
        let n_bytes = len.checked_sub(at).ok_or(Fault::CutOff { n_samples: None })?;
        let samples = Stretch { at, n_bytes, encoding, is_big_endian };
        Ok(Self { sample_rate, n_channels, samples, declared: (size != OPEN_SIZE).then_some(size.into()) })
    }
}
