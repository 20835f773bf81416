//! Reads one stream of any format that symphonia demultiplexes, packet by packet. Takes the kind of file from
//! [`super::kind`], so that nothing is guessed from bytes in the middle of a file.

use std::fmt;
use std::io;
use std::sync::LazyLock;

use symphonia::core::audio::Channels;
use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::well_known as codec;
use symphonia::core::codecs::audio::{
    AudioCodecId, AudioCodecParameters, AudioDecoder, AudioDecoderOptions, CODEC_ID_NULL_AUDIO,
};
use symphonia::core::codecs::registry::{CodecRegistry, RegisterableAudioDecoder};
use symphonia::core::common::Limit;
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::{Hint, Probe};
use symphonia::core::formats::{FormatOptions, FormatReader, Track};
use symphonia::core::io::{MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::meta::MetadataOptions;
use symphonia::core::packet::Packet;
use symphonia::core::units::Duration;
use symphonia::default::{formats, meta, register_enabled_codecs};

use super::aac;
use super::fault::{Fault, guarded, numbered};
use super::format::{SoundTrack, Trim};
use super::kind::Kind;
use super::metadata;
use super::opus::{self, OpusDecoder};
use super::parts::Says;
use super::section::Section;
use super::vorbis::VorbisDecoder;
use crate::audio::tags::Tags;

/// A stream of packets and its decoder.
pub(super) struct Stream {
    kind: Kind,
    reader: Box<dyn FormatReader>,
    decoder: Box<dyn AudioDecoder>,
    track_id: u32,
    pub(super) sample_rate: u32,
    pub(super) channels: Channels,
    pub(super) codec: AudioCodecId,
    /// What of the decoded samples is to be heard.
    pub(super) trim: Trim,
    /// Samples per channel that the stream promises, where the promise is exact.
    pub(super) promised: Option<u64>,
    /// The packets of an MP3 say rightly what of them is padding.
    is_trimmed: bool,
    /// When the next packet is due, in ticks of the track.
    next_pts: Option<i64>,
    he_aac: aac::SbrWatch,
    /// What came of the first packet, which is decoded on opening.
    first: Option<Result<(), Fault>>,
    /// The samples of the last packet, interleaved.
    pub(super) decoded: Vec<f32>,
}

/// The decoders of symphonia, and ours.
static CODECS: LazyLock<CodecRegistry> = LazyLock::new(|| {
    let mut codecs = CodecRegistry::new();
    register_enabled_codecs(&mut codecs);
    codecs.register_audio_decoder::<OpusDecoder>();
    codecs
});

impl Stream {
    /// What the container says of its sound.
    pub(super) fn tags(&mut self) -> Tags {
        metadata::of_reader(self.reader.as_mut())
    }

    /// Takes an opened stream and decodes its first packet. `audio_track`: which of its sound tracks is read, counted from
    /// 1; without one, what others there are is noted.
    pub(super) fn new(
        kind: Kind,
        reader: Box<dyn FormatReader>,
        says: &Says,
        audio_track: Option<usize>,
        notes: &mut Vec<String>,
    ) -> Result<Self, Fault> {
        let (track_id, params) = choose_track(reader.as_ref(), says, audio_track, notes)?;
        let track = reader.tracks().iter().find(|track| track.id == track_id);
        let is_exact = matches!(says, Says::Frames { is_exact: true });
        let is_trimmed = is_exact && track.is_some_and(|track| track.delay.is_some());
        let promised =
            track.filter(|_| kind != Kind::Mpeg || is_trimmed).and_then(|track| promised_samples(kind, track));
        let of_caf = track.filter(|_| kind == Kind::Caf).map_or(Trim::default(), caf_trim);
        let decoder = make_decoder(kind, &params)?;
        let params = decoder.codec_params();
        let mut stream = Self {
            kind,
            track_id,
            sample_rate: params.sample_rate.unwrap_or(0),
            channels: params.channels.clone().unwrap_or_default(),
            codec: params.codec,
            trim: of_caf,
            promised,
            is_trimmed,
            next_pts: None,
            he_aac: aac::SbrWatch::new(params.codec == codec::CODEC_ID_AAC),
            reader,
            decoder,
            first: None,
            decoded: Vec::new(),
        };
        stream.decode_first();
        match says {
            Says::Movie(movie) => stream.trim = movie.trim(track_id, stream.sample_rate)?,
            Says::Elements(elements) => stream.trim = elements.trim(track_id, stream.sample_rate),
            Says::Nothing | Says::Frames { .. } => {}
        }
        // In MP4 the edit list says it.
        if kind != Kind::Mp4 && stream.codec == codec::CODEC_ID_OPUS {
            stream.trim.skip = opus::pre_skip(stream.decoder.codec_params());
        }
        Ok(stream)
    }

    /// Decodes the next packet into `decoded`. `false`: there is none.
    pub(super) fn next(&mut self) -> Result<bool, Fault> {
        match self.first.take() {
            Some(outcome) => outcome?,
            None => match self.next_packet()? {
                Some(packet) => self.decode(packet)?,
                None => return Ok(false),
            },
        }
        Ok(true)
    }

    /// Decodes the first packet, because some headers are wrong about channels and sample rate, or say nothing.
    fn decode_first(&mut self) {
        let outcome = match self.next_packet() {
            Ok(None) => return,
            Ok(Some(packet)) => {
                let declared = (std::mem::take(&mut self.sample_rate), std::mem::take(&mut self.channels));
                let outcome = self.decode(packet);
                if self.sample_rate == 0 {
                    (self.sample_rate, self.channels) = declared;
                }
                outcome
            }
            Err(fault) => Err(fault),
        };
        self.first = Some(outcome);
    }

    /// The next packet of the chosen track; `None` at the end.
    fn next_packet(&mut self) -> Result<Option<Packet>, Fault> {
        loop {
            match guarded(|| self.reader.next_packet()) {
                Ok(Some(packet)) if packet.track_id == self.track_id => {
                    // Damaged frames are left out in silence; the numbers of the others tell.
                    let pts = packet.pts.get();
                    if self.kind == Kind::Flac && self.next_pts.is_some_and(|next| next != pts) {
                        return Err(Fault::Corrupt("a frame is missing".into()));
                    }
                    self.next_pts = i64::try_from(packet.dur.get()).ok().and_then(|dur| pts.checked_add(dur));
                    return Ok(Some(packet));
                }
                Ok(Some(_)) => {}
                Ok(None) => return Ok(None),
                // Ogg files can be strung together; each has a track of its own.
                Err(Error::ResetRequired) => self.restart()?,
                Err(Error::IoError(error)) if error.kind() == io::ErrorKind::UnexpectedEof => {
                    return match self.kind {
                        // Headers that leave the length open are ended by the end of the file.
                        Kind::Wav | Kind::Caf if self.promised.is_none() => Ok(None),
                        _ => Err(Fault::CutOff { n_samples: self.promised }),
                    };
                }
                Err(error) => return Err(reading_fault(error)),
            }
        }
    }

    /// Decodes a packet into `self.decoded`.
    fn decode(&mut self, mut packet: Packet) -> Result<(), Fault> {
        if self.he_aac.finds(&packet.data) {
            return Err(Fault::Unsupported { codec: "HE-AAC".into() });
        }
        // Without a header the end of an MP3 is guessed, and a wrong header is not better.
        if self.kind == Kind::Mpeg && !self.is_trimmed {
            packet.trim_end = Duration::ZERO;
        }
        let decoder = &mut self.decoder;
        let decoded = &mut self.decoded;
        let spec = guarded(|| {
            let buffer = decoder.decode(&packet)?;
            buffer.copy_to_vec_interleaved(decoded);
            Ok(buffer.spec().clone())
        })
        .map_err(reading_fault)?;
        if self.channels.count() == 0 || self.sample_rate == 0 {
            self.channels = spec.channels().clone();
            self.sample_rate = spec.rate();
        }
        self.check_unchanged(spec.rate(), spec.channels().count())
    }

    /// Goes on with the next of several concatenated streams.
    fn restart(&mut self) -> Result<(), Fault> {
        let (track_id, params) = choose_track(self.reader.as_ref(), &Says::Nothing, None, &mut Vec::new())?;
        self.decoder = make_decoder(self.kind, &params)?;
        self.track_id = track_id;
        self.codec = params.codec;
        if self.codec == codec::CODEC_ID_OPUS {
            self.trim.skip = opus::pre_skip(self.decoder.codec_params());
        }
        // The count of the first stream says nothing about the others.
        self.promised = None;
        let params = self.decoder.codec_params();
        let (rate, n_channels) = (params.sample_rate.unwrap_or(0), params.channels.as_ref().map_or(0, Channels::count));
        self.check_unchanged(rate, n_channels)
    }

    pub(super) fn check_unchanged(&self, sample_rate: u32, n_channels: usize) -> Result<(), Fault> {
        if sample_rate == self.sample_rate && n_channels == self.channels.count() {
            return Ok(());
        }
        Err(Fault::Changed { from: (self.sample_rate, self.channels.count()), to: (sample_rate, n_channels) })
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("kind", &self.kind).field("track_id", &self.track_id).finish_non_exhaustive()
    }
}

/// Opens the container.
pub(super) fn open_container(kind: Kind, section: Section) -> Result<Box<dyn FormatReader>, Fault> {
    guarded(|| probe(kind, section)).map_err(|error| opening_fault(kind, error))
}

/// Only the format that was recognized is tried.
fn probe(kind: Kind, section: Section) -> Result<Box<dyn FormatReader>, Error> {
    let mut probe = Probe::default();
    match kind {
        Kind::Wav | Kind::Au => probe.register_format::<formats::WavReader<'_>>(),
        Kind::Aiff => probe.register_format::<formats::AiffReader<'_>>(),
        Kind::Caf => probe.register_format::<formats::CafReader<'_>>(),
        Kind::Flac => probe.register_format::<formats::FlacReader<'_>>(),
        Kind::Ogg => probe.register_format::<formats::OggReader<'_>>(),
        Kind::Mp4 => probe.register_format::<formats::IsoMp4Reader<'_>>(),
        Kind::Matroska => probe.register_format::<formats::MkvReader<'_>>(),
        Kind::Mpeg => probe.register_format::<formats::MpaReader<'_>>(),
        Kind::Adts => probe.register_format::<formats::AdtsReader<'_>>(),
    }
    // Before frames, tags are no part of the stream.
    if kind == Kind::Flac {
        probe.register_metadata::<meta::Id3v2Reader<'_>>();
    }
    let stream = MediaSourceStream::new(Box::new(section), MediaSourceStreamOptions::default());
    // Pictures in the tags are of no use here.
    let metadata = MetadataOptions::default().limit_visual_bytes(Limit::Maximum(0));
    probe.probe(&Hint::new(), stream, FormatOptions::default(), metadata)
}

/// A sound track as symphonia describes it, beside what else is known of it.
struct Candidate {
    track: SoundTrack,
    /// `None`: of an unknown codec.
    params: Option<AudioCodecParameters>,
    language: Option<String>,
}

/// The sound track that is wanted, counted from 1; else the default one, or the first that can be decoded, with a note on
/// the others.
fn choose_track(
    reader: &dyn FormatReader,
    says: &Says,
    audio_track: Option<usize>,
    notes: &mut Vec<String>,
) -> Result<(u32, AudioCodecParameters), Fault> {
    let params = |track: &Track| match &track.codec_params {
        Some(CodecParameters::Audio(params)) => Some(params.clone()),
        _ => None,
    };
    let mut tracks = match says {
        Says::Movie(movie) => movie.sound_tracks(),
        Says::Elements(elements) => elements.sound_tracks(),
        Says::Nothing | Says::Frames { .. } => Vec::new(),
    };
    if tracks.is_empty() {
        let sound = reader.tracks().iter().filter(|track| params(track).is_some());
        tracks = sound.map(|track| SoundTrack { id: track.id, is_default: false, name: String::new() }).collect();
    }
    let candidate = |track: SoundTrack| {
        let known = reader.tracks().iter().find(|known| known.id == track.id);
        Candidate {
            params: known.and_then(params),
            language: known.and_then(|known| known.language.clone()).filter(|language| language != "und"),
            track,
        }
    };
    let candidates: Vec<_> = tracks.into_iter().map(candidate).collect();
    let told = || candidates.iter().map(Candidate::told).collect::<Vec<_>>();
    let chosen = if let Some(wanted) = audio_track {
        let chosen = wanted.checked_sub(1).filter(|&i| i < candidates.len());
        chosen.ok_or_else(|| Fault::NoSuchTrack { wanted, tracks: told() })?
    } else {
        let is_read = |candidate: &&Candidate| {
            candidate.params.as_ref().is_some_and(|params| CODECS.get_audio_decoder(params.codec).is_some())
        };
        let mut order: Vec<_> = candidates.iter().collect();
        // Stable: the first of those that are alike.
        order.sort_by_key(|candidate| (!is_read(candidate), !candidate.track.is_default));
        let first = order.first().ok_or(Fault::NoAudioTrack)?.track.id;
        let chosen = candidates.iter().position(|candidate| candidate.track.id == first).unwrap_or(0);
        if candidates.len() > 1 {
            let mut others = numbered(&told());
            let (n_tracks, read) = (others.len(), others.remove(chosen));
            notes.push(format!(
                "of its {n_tracks} audio tracks, {read} is read; for another, use `audio_track N`: {}",
                others.join(", ")
            ));
        }
        chosen
    };
    let chosen = candidates.into_iter().nth(chosen).ok_or(Fault::NoAudioTrack)?;
    let id = chosen.track.id;
    chosen.params.map(|params| (id, params)).ok_or(Fault::Unsupported { codec: codec_name(CODEC_ID_NULL_AUDIO).into() })
}

impl Candidate {
    /// Codec, channels, and name or language, in words.
    fn told(&self) -> String {
        let mut words =
            vec![codec_name(self.params.as_ref().map_or(CODEC_ID_NULL_AUDIO, |params| params.codec)).to_owned()];
        let channels = self.params.as_ref().and_then(|params| params.channels.as_ref());
        words.extend(channels.map(|channels| match channels.count() {
            1 => "mono".into(),
            2 => "stereo".into(),
            n => format!("{n} channels"),
        }));
        if !self.track.name.is_empty() {
            words.push(format!("\"{}\"", self.track.name));
        } else if let Some(language) = &self.language {
            words.push(language.clone());
        }
        words.join(", ")
    }
}

fn make_decoder(kind: Kind, params: &AudioCodecParameters) -> Result<Box<dyn AudioDecoder>, Fault> {
    let n_channels = params.channels.as_ref().map_or(0, Channels::count);
    let options = AudioDecoderOptions::default();
    guarded(|| match params.codec {
        codec::CODEC_ID_VORBIS if n_channels > 2 => VorbisDecoder::try_registry_new(params, &options),
        _ => CODECS.make_audio_decoder(params, &options),
    })
    .map_err(|error| {
        let codec = match params.codec {
            codec::CODEC_ID_AAC => aac::name(params.extra_data.as_deref(), n_channels),
            codec::CODEC_ID_OPUS => format!("Opus in {} of this form", kind.name()),
            id => codec_name(id).into(),
        };
        match error {
            Error::IoError(_) | Error::DecodeError(_) => Fault::Malformed(format!("its {codec} header is damaged")),
            _ => Fault::Unsupported { codec },
        }
    })
}

/// What of a CAF file in packets is to be heard, as its packet table says.
fn caf_trim(track: &Track) -> Trim {
    let (delay, padding) = (u64::from(track.delay.unwrap_or(0)), u64::from(track.padding.unwrap_or(0)));
    let limit = track.num_frames.filter(|_| !is_pcm(track) && delay + padding > 0);
    Trim { skip: delay, limit, padding: 0 }
}

/// The number of samples that the headers promise, where the format makes it exact.
fn promised_samples(kind: Kind, track: &Track) -> Option<u64> {
    match kind {
        Kind::Aiff | Kind::Flac => track.num_frames.filter(|&n| n > 0),
        // A packet table counts whole packets.
        Kind::Caf if is_pcm(track) => track.num_frames.filter(|&n| n > 0),
        // From a Xing header; without one it is an estimate, and then no delay is known either.
        Kind::Mpeg if track.delay.is_some() => track.num_frames,
        _ => None,
    }
}

fn is_pcm(track: &Track) -> bool {
    let Some(CodecParameters::Audio(params)) = &track.codec_params else { return false };
    CODECS.get_audio_decoder(params.codec).is_some_and(|decoder| decoder.codec.info.short_name.starts_with("pcm"))
}

/// Speaker positions as in a WAV file, where they are known and not simply mono or stereo.
pub(super) fn channel_mask(channels: &Channels) -> Option<u32> {
    match channels {
        Channels::Positioned(positions) if channels.count() > 2 => {
            u32::try_from(positions.bits()).ok().filter(|mask| mask >> 18 == 0)
        }
        _ => None,
    }
}

fn opening_fault(kind: Kind, error: Error) -> Fault {
    match error {
        Error::IoError(error) if error.kind() != io::ErrorKind::UnexpectedEof => Fault::Io(error),
        Error::IoError(_) => Fault::CutOff { n_samples: None },
        Error::Unsupported(reason) => Fault::Unsupported { codec: format!("{} ({reason})", kind.name()) },
        Error::DecodeError(reason) | Error::LimitError(reason) => Fault::Malformed(reason.into()),
        error => Fault::Malformed(error.to_string()),
    }
}

fn reading_fault(error: Error) -> Fault {
    match error {
        Error::IoError(error) if error.raw_os_error().is_some() => Fault::Io(error),
        // The data of one packet end early.
        Error::IoError(_) => Fault::Corrupt("a packet is too short".into()),
        Error::Unsupported(reason) => Fault::Unsupported { codec: reason.into() },
        Error::DecodeError(reason) | Error::LimitError(reason) => Fault::Corrupt(reason.into()),
        error => Fault::Corrupt(error.to_string()),
    }
}

pub(super) fn codec_name(id: AudioCodecId) -> &'static str {
    match id {
        codec::CODEC_ID_AAC => "AAC",
        codec::CODEC_ID_AC3 => "AC-3",
        codec::CODEC_ID_AC4 => "AC-4",
        codec::CODEC_ID_ADPCM_IMA_QT | codec::CODEC_ID_ADPCM_IMA_WAV => "IMA ADPCM",
        codec::CODEC_ID_ADPCM_MS => "Microsoft ADPCM",
        codec::CODEC_ID_ALAC => "ALAC",
        codec::CODEC_ID_DCA => "DTS",
        codec::CODEC_ID_EAC3 => "E-AC-3",
        codec::CODEC_ID_FLAC => "FLAC",
        codec::CODEC_ID_MP1 => "MP1",
        codec::CODEC_ID_MP2 => "MP2",
        codec::CODEC_ID_MP3 => "MP3",
        codec::CODEC_ID_OPUS => "Opus",
        codec::CODEC_ID_PCM_ALAW => "A-law",
        codec::CODEC_ID_PCM_MULAW => "mu-law",
        codec::CODEC_ID_SPEEX => "Speex",
        codec::CODEC_ID_TRUEHD => "TrueHD",
        codec::CODEC_ID_TTA => "TTA",
        codec::CODEC_ID_VORBIS => "Vorbis",
        codec::CODEC_ID_WAVPACK => "WavPack",
        codec::CODEC_ID_WMA => "WMA",
        id => CODECS.get_audio_decoder(id).map_or("an unknown codec", |decoder| decoder.codec.info.long_name),
    }
}
