//! Decodes Vorbis with more than two channels: lewton behind symphonia's decoder interface. Knows no container.
//!
//! symphonia 0.6.1 undoes the coupling of channels in the order of the header, where the last has to come first
//! (Vorbis I specification, section 4.3.5). That is right for one pair of channels and wrong for more.

use std::fmt;

use lewton::audio::{PreviousWindowRight, read_audio_packet_generic};
use lewton::header::{IdentHeader, SetupHeader, read_header_ident, read_header_setup};
use symphonia::core::audio::{AsGenericAudioBufferRef, AudioBuffer, AudioMut, AudioSpec, GenericAudioBufferRef};
use symphonia::core::codecs::CodecInfo;
use symphonia::core::codecs::audio::well_known::CODEC_ID_VORBIS;
use symphonia::core::codecs::audio::{AudioCodecParameters, AudioDecoder, AudioDecoderOptions, FinalizeResult};
use symphonia::core::codecs::registry::{RegisterableAudioDecoder, SupportedAudioCodec};
use symphonia::core::errors::{Error, Result};
use symphonia::core::packet::PacketRef;

use super::opus::wav_order;

/// Decodes the packets of one stream.
pub(super) struct VorbisDecoder {
    params: AudioCodecParameters,
    ident: IdentHeader,
    setup: SetupHeader,
    overlap: PreviousWindowRight,
    /// For each channel in the order of WAV files, the decoded channel.
    order: &'static [usize],
    buffer: AudioBuffer<f32>,
}

/// Length of the identification header, which symphonia puts before the setup header.
const IDENT_LEN: usize = 30;

impl AudioDecoder for VorbisDecoder {
    fn reset(&mut self) {
        self.overlap = PreviousWindowRight::new();
    }

    fn codec_info(&self) -> &CodecInfo {
        &SUPPORTED[0].info
    }

    fn codec_params(&self) -> &AudioCodecParameters {
        &self.params
    }

    fn decode_ref(&mut self, packet: &PacketRef<'_>) -> Result<GenericAudioBufferRef<'_>> {
        self.buffer.clear();
        let decoded: Vec<Vec<f32>> =
            read_audio_packet_generic(&self.ident, &self.setup, packet.data, &mut self.overlap)
                .map_err(|_| Error::DecodeError("vorbis: damaged packet"))?;
        let n_samples = decoded.first().map_or(0, Vec::len);
        // The first packet only starts the overlap.
        if n_samples > 0 {
            self.buffer.render_silence(Some(n_samples));
            for (channel_idx, &decoded_idx) in self.order.iter().enumerate() {
                if let (Some(out), Some(samples)) = (self.buffer.plane_mut(channel_idx), decoded.get(decoded_idx)) {
                    out.copy_from_slice(samples);
                }
            }
            self.buffer.trim(packet.trim_start.get() as usize, packet.trim_end.get() as usize);
        }
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
    id: CODEC_ID_VORBIS,
    info: CodecInfo { short_name: "vorbis", long_name: "Vorbis", profiles: &[] },
}];

impl RegisterableAudioDecoder for VorbisDecoder {
    fn try_registry_new(params: &AudioCodecParameters, _: &AudioDecoderOptions) -> Result<Box<dyn AudioDecoder>> {
        const DAMAGED: Error = Error::DecodeError("vorbis: damaged header");
        let headers = params.extra_data.as_deref().and_then(|headers| headers.split_at_checked(IDENT_LEN));
        let (ident, setup) = headers.ok_or(DAMAGED)?;
        let ident = read_header_ident(ident).map_err(|_| DAMAGED)?;
        let blocks = (ident.blocksize_0, ident.blocksize_1);
        let setup = read_header_setup(setup, ident.audio_channels, blocks).map_err(|_| DAMAGED)?;

        let channels = params.channels.clone().ok_or(DAMAGED)?;
        let (order, _) = wav_order(ident.audio_channels)
            .filter(|(order, _)| order.len() == channels.count())
            .ok_or(Error::Unsupported("vorbis: more than 8 channels"))?;
        let buffer = AudioBuffer::new(AudioSpec::new(ident.audio_sample_rate, channels), 1 << ident.blocksize_1);
        let overlap = PreviousWindowRight::new();
        Ok(Box::new(Self { params: params.clone(), ident, setup, overlap, order, buffer }))
    }

    fn supported_codecs() -> &'static [SupportedAudioCodec] {
        SUPPORTED
    }
}

impl fmt::Debug for VorbisDecoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("VorbisDecoder").finish_non_exhaustive()
    }
}
