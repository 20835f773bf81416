//! Reads every format that symphonia demultiplexes, packet by packet, and trims what encoders add at both ends.
//! Takes the kind of file from [`super::kind`], so that nothing is guessed from bytes in the middle of a file.

use std::fmt;
use std::fs::File;
use std::io::{self, Seek};
use std::sync::LazyLock;

use symphonia::core::audio::Channels;
use symphonia::core::codecs::CodecParameters;
use symphonia::core::codecs::audio::well_known as codec;
use symphonia::core::codecs::audio::{AudioCodecId, AudioCodecParameters, AudioDecoder, AudioDecoderOptions};
use symphonia::core::codecs::registry::{CodecRegistry, RegisterableAudioDecoder};
use symphonia::core::common::Limit;
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::{Hint, Probe};
use symphonia::core::formats::{FormatOptions, FormatReader, Track, TrackType};
use symphonia::core::io::{MediaSourceStream, MediaSourceStreamOptions};
use symphonia::core::meta::MetadataOptions;
use symphonia::core::packet::Packet;
use symphonia::default::{formats, meta, register_enabled_codecs};

use super::fault::{Fault, guarded};
use super::format::{Format, MAX_CHANNELS};
use super::kind::Kind;
use super::opus::{self, OpusDecoder};
use super::vorbis::VorbisDecoder;
use super::{aac, frames, matroska, mp4, ogg, tags};
use crate::audio::tags::Tags;

/// A stream of packets and its decoder.
pub(super) struct Coded {
    kind: Kind,
    reader: Box<dyn FormatReader>,
    decoder: Box<dyn AudioDecoder>,
    track_id: u32,
    sample_rate: u32,
    channels: Channels,
    /// Decoded samples per channel that are still to be dropped from the start.
    skip: u64,
    /// Packets from this time on are padding, in ticks of the track.
    end_pts: Option<i64>,
    /// When the next packet is due, in ticks of the track.
    next_pts: Option<i64>,
    /// Samples per channel that pad the end.
    n_padding: u64,
    /// Samples per channel that the file promises, where the promise is exact.
    promised: Option<u64>,
    /// Where the file stops being whole, and why.
    damage: Option<ogg::Damage>,
    /// Samples per channel handed out.
    n_samples: u64,
    he_aac: aac::SbrWatch,
    codec: AudioCodecId,
    /// What came of the first packet, which is decoded on opening.
    first: Option<Result<(), Fault>>,
    /// The samples of the last packet, interleaved.
    decoded: Vec<f32>,
    /// Samples that may turn out to be padding, interleaved.
    held: Vec<f32>,
}

/// The decoders of symphonia, and ours.
static CODECS: LazyLock<CodecRegistry> = LazyLock::new(|| {
    let mut codecs = CodecRegistry::new();
    register_enabled_codecs(&mut codecs);
    codecs.register_audio_decoder::<OpusDecoder>();
    codecs
});

impl Coded {
    /// What the file says of its sound.
    pub(super) fn tags(&mut self) -> Tags {
        tags::of_reader(self.reader.as_mut())
    }

    /// Opens a file of a known kind. `cut_off`: it is already known to end before its headers say.
    pub(super) fn open(kind: Kind, mut file: File, cut_off: bool) -> Result<(Self, Format), Fault> {
        let edit = if kind == Kind::Mp4 { mp4::scan(&mut file)? } else { mp4::Edit::default() };
        let elements = if kind == Kind::Matroska { matroska::scan(&mut file)? } else { matroska::Scan::default() };
        let cut_off = cut_off || edit.is_cut_off || elements.is_cut_off;
        let damage = match kind {
            Kind::Ogg => ogg::find_damage(&mut file)?,
            Kind::Mpeg | Kind::Adts => frames::find_damage(&mut file)?,
            // Only at the end is it known where that is.
            _ => cut_off.then_some((u64::MAX, Fault::CutOff { n_samples: None })),
        };
        file.rewind()?;
        let reader = guarded(|| probe(kind, file)).map_err(|error| match error {
            _ if cut_off => Fault::CutOff { n_samples: None },
            error => opening_fault(kind, error),
        })?;
        let (track_id, params) = choose_track(reader.as_ref())?;
        let track = reader.tracks().iter().find(|track| track.id == track_id);
        let promised = track.and_then(|track| promised_samples(kind, track));
        let decoder = make_decoder(kind, &params)?;
        let params = decoder.codec_params();

        let mut coded = Self {
            kind,
            track_id,
            sample_rate: params.sample_rate.unwrap_or(0),
            channels: params.channels.clone().unwrap_or_default(),
            skip: 0,
            end_pts: edit.end.and_then(|end| i64::try_from(end).ok()),
            next_pts: None,
            n_padding: 0,
            promised,
            damage,
            n_samples: 0,
            he_aac: aac::SbrWatch::new(params.codec == codec::CODEC_ID_AAC),
            codec: params.codec,
            reader,
            decoder,
            first: None,
            decoded: Vec::new(),
            held: Vec::new(),
        };
        coded.decode_first();
        let (sample_rate, n_channels) = (coded.sample_rate, coded.channels.count());
        if n_channels == 0 || n_channels > MAX_CHANNELS {
            return Err(Fault::channels(n_channels));
        }
        coded.skip = match kind {
            Kind::Mp4 => edit.start(sample_rate),
            _ => coded.opus_pre_skip(),
        };
        coded.n_padding = elements.padding(track_id, sample_rate);
        let format = Format {
            container: kind.name(),
            codec: codec_name(coded.codec).into(),
            sample_rate,
            n_channels,
            channel_mask: channel_mask(&coded.channels),
            n_samples: promised,
        };
        Ok((coded, format))
    }

    /// Appends the samples of the next packet, interleaved. `false`: there are none left.
    pub(super) fn next(&mut self, block: &mut Vec<f32>) -> Result<bool, Fault> {
        match self.next_whole(block) {
            Ok(true) => Ok(true),
            // What was found before is the cause of whatever came up now.
            Ok(false) => self.damage.take().map_or(Ok(false), |(_, fault)| Err(fault)),
            Err(fault) => Err(self.damage.take().map_or(fault, |(_, fault)| fault)),
        }
    }

    /// As [`Coded::next`], but ends in silence where the file is known to be damaged.
    fn next_whole(&mut self, block: &mut Vec<f32>) -> Result<bool, Fault> {
        let n_left = self.damage.as_ref().map_or(u64::MAX, |&(at, _)| at.saturating_sub(self.n_samples));
        if n_left == 0 {
            return Ok(false);
        }
        match self.first.take() {
            Some(outcome) => outcome?,
            None => match self.next_packet()? {
                Some(packet) => self.decode(&packet)?,
                None => {
                    return match self.promised {
                        Some(promised) if self.n_samples < promised => Err(Fault::CutOff { n_samples: Some(promised) }),
                        _ => Ok(false),
                    };
                }
            },
        }
        let n_channels = self.channels.count();
        let n_decoded = (self.decoded.len() / n_channels) as u64;
        let n_dropped = n_decoded.min(self.skip);
        self.skip -= n_dropped;
        // At most the count of the decoded samples, so it fits.
        self.held.extend_from_slice(&self.decoded[n_dropped as usize * n_channels..]);

        // The padding is known by its length only, so as much as that is held back until more comes.
        let n_held = (self.held.len() / n_channels) as u64;
        let n_kept = n_held.saturating_sub(self.n_padding).min(n_left);
        block.extend(self.held.drain(..n_kept as usize * n_channels));
        self.n_samples += n_kept;
        Ok(true)
    }

    /// Decodes the first packet, because some headers are wrong about channels and sample rate, or say nothing.
    fn decode_first(&mut self) {
        let outcome = match self.next_packet() {
            Ok(None) => return,
            Ok(Some(packet)) => {
                let declared = (std::mem::take(&mut self.sample_rate), std::mem::take(&mut self.channels));
                let outcome = self.decode(&packet);
                if self.sample_rate == 0 {
                    (self.sample_rate, self.channels) = declared;
                }
                outcome
            }
            Err(fault) => Err(fault),
        };
        self.first = Some(outcome);
    }

    fn opus_pre_skip(&self) -> u64 {
        if self.codec == codec::CODEC_ID_OPUS { opus::pre_skip(self.decoder.codec_params()) } else { 0 }
    }

    /// The next packet of the chosen track; `None` at the end.
    fn next_packet(&mut self) -> Result<Option<Packet>, Fault> {
        loop {
            match guarded(|| self.reader.next_packet()) {
                Ok(Some(packet)) if packet.track_id == self.track_id => {
                    if self.end_pts.is_some_and(|end| packet.pts.get() >= end) {
                        return Ok(None);
                    }
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
    fn decode(&mut self, packet: &Packet) -> Result<(), Fault> {
        if self.he_aac.finds(&packet.data) {
            return Err(Fault::Unsupported { codec: "HE-AAC".into() });
        }
        let decoder = &mut self.decoder;
        let decoded = &mut self.decoded;
        let spec = guarded(|| {
            let buffer = decoder.decode(packet)?;
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
        let (track_id, params) = choose_track(self.reader.as_ref())?;
        self.decoder = make_decoder(self.kind, &params)?;
        self.track_id = track_id;
        self.codec = params.codec;
        self.skip = self.opus_pre_skip();
        // The count of the first stream says nothing about the others.
        self.promised = None;
        let params = self.decoder.codec_params();
        let (rate, n_channels) = (params.sample_rate.unwrap_or(0), params.channels.as_ref().map_or(0, Channels::count));
        self.check_unchanged(rate, n_channels)
    }

    fn check_unchanged(&self, sample_rate: u32, n_channels: usize) -> Result<(), Fault> {
        if sample_rate == self.sample_rate && n_channels == self.channels.count() {
            return Ok(());
        }
        Err(Fault::Changed { from: (self.sample_rate, self.channels.count()), to: (sample_rate, n_channels) })
    }
}

impl fmt::Debug for Coded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Coded").field("kind", &self.kind).field("n_samples", &self.n_samples).finish_non_exhaustive()
    }
}

/// Opens the container. Only the format that was recognized is tried.
fn probe(kind: Kind, file: File) -> Result<Box<dyn FormatReader>, Error> {
    let mut probe = Probe::default();
    match kind {
        Kind::Wav => probe.register_format::<formats::WavReader<'_>>(),
        Kind::Aiff => probe.register_format::<formats::AiffReader<'_>>(),
        Kind::Caf => probe.register_format::<formats::CafReader<'_>>(),
        Kind::Flac => probe.register_format::<formats::FlacReader<'_>>(),
        Kind::Ogg => probe.register_format::<formats::OggReader<'_>>(),
        Kind::Mp4 => probe.register_format::<formats::IsoMp4Reader<'_>>(),
        Kind::Matroska => probe.register_format::<formats::MkvReader<'_>>(),
        Kind::Mpeg => probe.register_format::<formats::MpaReader<'_>>(),
        Kind::Adts => probe.register_format::<formats::AdtsReader<'_>>(),
    }
    if matches!(kind, Kind::Flac | Kind::Mpeg | Kind::Adts) {
        probe.register_metadata::<meta::Id3v2Reader<'_>>();
    }
    let stream = MediaSourceStream::new(Box::new(file), MediaSourceStreamOptions::default());
    // Pictures in the tags are of no use here.
    let metadata = MetadataOptions::default().limit_visual_bytes(Limit::Maximum(0));
    probe.probe(&Hint::new(), stream, FormatOptions::default(), metadata)
}

/// The default audio track, or the first that can be decoded.
fn choose_track(reader: &dyn FormatReader) -> Result<(u32, AudioCodecParameters), Fault> {
    let audio = |track: &Track| match &track.codec_params {
        Some(CodecParameters::Audio(params)) => Some((track.id, params.clone())),
        _ => None,
    };
    let default = reader.default_track(TrackType::Audio).and_then(audio);
    let tracks = || reader.tracks().iter().filter_map(audio);
    default
        .filter(|(_, params)| CODECS.get_audio_decoder(params.codec).is_some())
        .or_else(|| tracks().find(|(_, params)| CODECS.get_audio_decoder(params.codec).is_some()))
        .or_else(|| tracks().next())
        .ok_or_else(|| {
            let unknown = reader.tracks().iter().any(|track| track.codec_params.is_none());
            if unknown { Fault::Unsupported { codec: "an unknown codec".into() } } else { Fault::NoAudioTrack }
        })
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
fn channel_mask(channels: &Channels) -> Option<u32> {
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

fn codec_name(id: AudioCodecId) -> &'static str {
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
