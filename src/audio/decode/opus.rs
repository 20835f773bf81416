//! Decodes Opus packets: ropus behind symphonia's decoder interface. Knows no container.

use std::fmt;

use ropus::OpusMSDecoder;
use symphonia::core::audio::{
    AsGenericAudioBufferRef, AudioBuffer, AudioMut, AudioSpec, Channels, GenericAudioBufferRef, Position,
};
use symphonia::core::codecs::CodecInfo;
use symphonia::core::codecs::audio::well_known::CODEC_ID_OPUS;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions, FinalizeResult};
use symphonia::core::codecs::registry::{RegisterableAudioDecoder, SupportedAudioCodec};
use symphonia::core::errors::{Error, Result};
use symphonia::core::packet::PacketRef;

/// Opus always decodes to this rate, in Hz, whatever was encoded.
const SAMPLE_RATE: u32 = 48_000;

/// Longest packet, in samples per channel: 120 ms (RFC 6716, section 2.1.4).
const MAX_PACKET_SAMPLES: usize = 5_760;

/// What the identification header says (RFC 7845, section 5.1).
#[derive(Debug, PartialEq)]
struct Head {
    pre_skip: u16,
    /// dB, in 256ths.
    gain: i16,
    n_streams: u8,
    n_coupled: u8,
    /// For each output channel, in the order of WAV files, the decoded channel; 255 is silence.
    mapping: Vec<u8>,
    channels: Channels,
}

/// Decodes the packets of one stream, all channels together.
pub(super) struct OpusDecoder {
    params: AudioCodecParameters,
    decoder: OpusMSDecoder,
    head: Head,
    /// Linear factor of the header's output gain.
    gain: f32,
    interleaved: Vec<i16>,
    buffer: AudioBuffer<f32>,
}

/// Samples at 48 kHz that the decoder needs to converge, to be dropped from the start of the stream.
pub(super) fn pre_skip(params: &AudioCodecParameters) -> u64 {
    let head = params.extra_data.as_deref().and_then(Head::parse);
    head.map_or(0, |head| u64::from(head.pre_skip))
}

impl Head {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let bytes = bytes.strip_prefix(b"OpusHead")?;
        let (fixed, table) = bytes.split_first_chunk::<11>()?;
        let [version, n_channels, skip_0, skip_1, _, _, _, _, gain_0, gain_1, family] = *fixed;
        // The upper half of the version is the one that breaks compatibility.
        if version >= 16 || n_channels == 0 {
            return None;
        }
        let (n_streams, n_coupled, mapping) = match (family, n_channels) {
            (0, 1) => (1, 0, vec![0]),
            (0, 2) => (1, 1, vec![0, 1]),
            (0, _) => return None,
            _ => (*table.first()?, *table.get(1)?, table.get(2..2 + usize::from(n_channels))?.to_vec()),
        };
        let (mapping, channels) = match family {
            0 | 1 => {
                let (order, mask) = wav_order(n_channels)?;
                let positions = Position::from_bits(mask)?;
                (order.iter().filter_map(|&i| mapping.get(i).copied()).collect(), Channels::Positioned(positions))
            }
            255 => (mapping, Channels::Discrete(u16::from(n_channels))),
            // Ambisonics (RFC 8486).
            _ => return None,
        };
        Some(Self {
            pre_skip: u16::from_le_bytes([skip_0, skip_1]),
            gain: i16::from_le_bytes([gain_0, gain_1]),
            n_streams,
            n_coupled,
            mapping,
            channels,
        })
    }
}

impl AudioDecoder for OpusDecoder {
    fn reset(&mut self) {
        self.decoder.reset();
    }

    fn codec_info(&self) -> &CodecInfo {
        &SUPPORTED[0].info
    }

    fn codec_params(&self) -> &AudioCodecParameters {
        &self.params
    }

    fn decode_ref(&mut self, packet: &PacketRef<'_>) -> Result<GenericAudioBufferRef<'_>> {
        self.buffer.clear();
        let len = i32::try_from(packet.data.len()).map_err(|_| Error::DecodeError("opus: packet too long"))?;
        // An empty packet would ask the decoder to conceal a loss; nothing is lost here.
        if len == 0 {
            return Err(Error::DecodeError("opus: empty packet"));
        }
        let decoded =
            self.decoder.decode(Some(packet.data), len, &mut self.interleaved, MAX_PACKET_SAMPLES as i32, false);
        let n_samples = decoded
            .ok()
            .and_then(|n| usize::try_from(n).ok())
            .filter(|&n| n <= MAX_PACKET_SAMPLES)
            .ok_or(Error::DecodeError("opus: damaged packet"))?;

        self.buffer.render_silence(Some(n_samples));
        let n_channels = self.head.mapping.len();
        let scale = self.gain / 32_768.0;
        for channel_idx in 0..n_channels {
            let samples = self.interleaved.iter().skip(channel_idx).step_by(n_channels);
            for (out, &sample) in self.buffer.plane_mut(channel_idx).into_iter().flatten().zip(samples) {
                *out = f32::from(sample) * scale;
            }
        }
        self.buffer.trim(packet.trim_start.get() as usize, packet.trim_end.get() as usize);
        Ok(self.buffer.as_generic_audio_buffer_ref())
    }

    fn finalize(&mut self) -> FinalizeResult {
        FinalizeResult::default()
    }

    fn last_decoded(&self) -> GenericAudioBufferRef<'_> {
        self.buffer.as_generic_audio_buffer_ref()
    }
}

const SUPPORTED: &[SupportedAudioCodec] = &[SupportedAudioCodec {
    id: CODEC_ID_OPUS,
    info: CodecInfo { short_name: "opus", long_name: "Opus", profiles: &[] },
}];

impl RegisterableAudioDecoder for OpusDecoder {
    fn try_registry_new(params: &AudioCodecParameters, _: &AudioDecoderOptions) -> Result<Box<dyn AudioDecoder>> {
        let head = params.extra_data.as_deref().and_then(Head::parse);
        let head =
            head.ok_or(Error::Unsupported("opus: channel mapping other than mono, stereo, surround, discrete"))?;
        let n_channels = head.mapping.len();
        let decoder = OpusMSDecoder::new(
            SAMPLE_RATE as i32,
            n_channels as i32,
            i32::from(head.n_streams),
            i32::from(head.n_coupled),
            &head.mapping,
        )
        .map_err(|_| Error::DecodeError("opus: bad channel mapping"))?;

        let mut params = params.clone();
        params.with_sample_rate(SAMPLE_RATE).with_channels(head.channels.clone());
        let spec = AudioSpec::new(SAMPLE_RATE, head.channels.clone());
        Ok(Box::new(Self {
            params,
            decoder,
            gain: 10f32.powf(f32::from(head.gain) / (20.0 * 256.0)),
            head,
            interleaved: vec![0; MAX_PACKET_SAMPLES * n_channels],
            buffer: AudioBuffer::new(spec, MAX_PACKET_SAMPLES),
        }))
    }

    fn supported_codecs() -> &'static [SupportedAudioCodec] {
        SUPPORTED
    }
}

impl fmt::Debug for OpusDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OpusDecoder").field("head", &self.head).finish_non_exhaustive()
    }
}

/// Where each channel of a WAV file stands in Vorbis order, which Opus shares, and the WAV channel mask (RFC 7845,
/// section 5.1.1.2).
pub(super) fn wav_order(n_channels: u8) -> Option<(&'static [usize], u64)> {
    Some(match n_channels {
        1 => (&[0], 0x4),
        2 => (&[0, 1], 0x3),
        3 => (&[0, 2, 1], 0x7),
        4 => (&[0, 1, 2, 3], 0x33),
        5 => (&[0, 2, 1, 3, 4], 0x37),
        6 => (&[0, 2, 1, 5, 3, 4], 0x3f),
        7 => (&[0, 2, 1, 6, 5, 3, 4], 0x70f),
        8 => (&[0, 2, 1, 7, 5, 6, 3, 4], 0x63f),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(n_channels: u8, family: u8, table: &[u8]) -> Option<Head> {
        let mut bytes = b"OpusHead\x01".to_vec();
        bytes.extend([n_channels, 0x38, 0x01, 0x80, 0xbb, 0, 0, 0, 0, family]);
        bytes.extend(table);
        Head::parse(&bytes)
    }

    #[test]
    fn surround_is_put_into_the_order_of_wav_files() {
        let head = head(6, 1, &[4, 2, 0, 4, 1, 2, 3, 5]).expect("5.1");
        assert_eq!(head.mapping, [0, 1, 4, 5, 2, 3]);
        assert_eq!((head.pre_skip, head.n_streams, head.n_coupled), (312, 4, 2));
    }

    #[test]
    fn broken_headers_are_no_headers() {
        assert_eq!(head(3, 0, &[]), None, "family 0 has at most two channels");
        assert_eq!(head(0, 255, &[1, 0]), None, "no channels");
        assert_eq!(head(6, 1, &[4, 2, 0]), None, "table cut short");
        assert_eq!(head(4, 2, &[4, 0, 0, 1, 2, 3]), None, "ambisonics");
        assert_eq!(Head::parse(b"OpusHead\x01"), None);
    }
}
