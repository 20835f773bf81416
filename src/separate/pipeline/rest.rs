//! What the first stages of a separation leave to the next, as a recording. Knows no method.

use ndarray::ArrayView2;

use super::model::Stage;
use super::renderer::{Form, Output, Renderer};
use crate::Result;
use crate::audio::Recording;

/// What a separation's first stages leave to the next, as a recording.
pub(in crate::separate) struct Rest<'a> {
    pub(in crate::separate) stages: &'a [Stage],
    pub(in crate::separate) form: &'a Form,
    pub(in crate::separate) recording: &'a dyn Recording,
}

impl Recording for Rest<'_> {
    fn sample_rate(&self) -> u32 {
        self.recording.sample_rate()
    }

    fn n_channels(&self) -> usize {
        self.recording.n_channels()
    }

    fn channel_mask(&self) -> Option<u32> {
        self.recording.channel_mask()
    }

    fn start_s(&self) -> f64 {
        self.recording.start_s()
    }

    fn n_samples_hint(&self) -> Option<u64> {
        self.recording.n_samples_hint()
    }

    fn read(&self, sink: &mut dyn FnMut(ArrayView2<'_, f32>) -> Result<()>) -> Result<()> {
        if self.stages.is_empty() {
            return self.recording.read(sink);
        }
        // A stage takes the last part of the one before, so that the parts are all of the last and all but one of the others.
        let n_parts: usize = self.stages.iter().map(|stage| stage.model.n_parts()).sum();
        let last = n_parts - (self.stages.len() - 1) - 1;
        let output = Output { name: String::new(), parts: vec![last] };
        let mut renderer = Renderer::new(self.stages, self.form, &[output], false);
        self.recording.read(&mut |block| renderer.push(block, &mut |blocks| sink(blocks[0].view())))?;
        renderer.finish(&mut |blocks| sink(blocks[0].view())).map(drop)
    }
}
