pub(crate) const ENVELOPES: [[f32; 2]; 1] = [[1.0, 1.0]];
