//! How a matrix and its factors are cut for a graphics processor: padded to tiles, the tiles gathered to parts, the
//! parts to blocks. Plain arithmetic.
//!
//! The longer axis of V is cut; the shorter one lies together in memory, whole. What decides on the order of a sum, the
//! parts, comes from the shape alone: two devices may hold V in other blocks, and add the same numbers in the same
//! order.

/// Entries along each side of a tile.
pub(super) const TILE: usize = 64;
/// Workgroups that a pass is cut into, about: enough for 132 processors with 4 each.
const WORKGROUPS: usize = 512;
/// Bytes of V in a part at the most, so that a part fits into the smallest buffer that any device has, 128 MiB.
const PART_BYTES: usize = 64 << 20;
/// Tiles of the longer axis in a part at the most: so many activations of one component are 64 KiB.
const PART_TILES: usize = 256;
/// Bytes of V in a block at the most: all of it, times 64 components, is a tenth of a second on a small device.
const BLOCK_BYTES: u64 = 256 << 20;
/// Tiles of the longer axis in a block at the most, for its activations to fit into a buffer, too.
const BLOCK_TILES: usize = 4096;
/// Components in a slice, which is what workgroups have room for at a time.
const SLICE: usize = 32;
/// Components whose numerators a workgroup keeps in registers at the most.
const GROUP: usize = 128;

/// The axes of V: `long` at least `short`, in entries and in tiles.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Shape {
    pub(super) long: usize,
    pub(super) short: usize,
    /// Whether the rows of V are the longer axis, to which W belongs.
    pub(super) rows_are_long: bool,
    /// Tiles of a part of the longer axis, over which the numerators of the shorter factor are summed.
    pub(super) long_part: usize,
    /// Tiles of a part of the shorter axis.
    pub(super) short_part: usize,
}

impl Shape {
    pub(super) fn new((n_rows, n_columns): (usize, usize)) -> Self {
        let rows_are_long = n_rows > n_columns;
        let (long, short) = if rows_are_long { (n_rows, n_columns) } else { (n_columns, n_rows) };
        let (long_tiles, short_tiles) = (tiles(long), tiles(short));
        let most = (PART_BYTES / (4 * TILE * TILE * short_tiles)).clamp(1, PART_TILES);
        Self {
            long,
            short,
            rows_are_long,
            long_part: part(short_tiles, long_tiles).min(most),
            short_part: part(long_tiles, short_tiles),
        }
    }

    /// Entries of the shorter axis, padded.
    pub(super) fn short_padded(&self) -> usize {
        tiles(self.short) * TILE
    }

    /// Parts of the shorter axis.
    pub(super) fn short_parts(&self) -> usize {
        tiles(self.short).div_ceil(self.short_part)
    }

    /// Tiles of the longer axis in each block, whole parts but in the last, for buffers of at most so many bytes; none
    /// where not even one part fits into a buffer.
    pub(super) fn blocks(&self, buffer_bytes: u64) -> Option<Vec<usize>> {
        let tile_bytes = (4 * TILE * self.short_padded()) as u64;
        let fitting = (buffer_bytes.min(BLOCK_BYTES) / tile_bytes) as usize;
        let each = fitting.min(BLOCK_TILES) / self.long_part * self.long_part;
        if each == 0 {
            return None;
        }
        let total = tiles(self.long);
        Some((0..total).step_by(each).map(|first| each.min(total - first)).collect())
    }
}

/// Tiles for so many entries; at least one, as no buffer can be empty.
pub(super) fn tiles(n: usize) -> usize {
    n.div_ceil(TILE).max(1)
}

/// Tiles in a part of the axis that is summed over, where each tile of the other axis has its own workgroups.
fn part(own_tiles: usize, tiles: usize) -> usize {
    tiles.div_ceil(WORKGROUPS.div_ceil(own_tiles))
}

/// Components as the shaders have them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct Components {
    /// Padded: whole groups.
    pub(super) n: usize,
    /// In a slice.
    pub(super) slice: usize,
    /// In a group, whose numerators one workgroup makes: whole slices.
    pub(super) group: usize,
}

impl Components {
    pub(super) fn new(n: usize) -> Self {
        let slice = if n <= SLICE / 2 { SLICE / 2 } else { SLICE };
        let slices = n.div_ceil(slice);
        let n_groups = (slices * slice).div_ceil(GROUP);
        let group = slices.div_ceil(n_groups) * slice;
        Self { n: group * n_groups, slice, group }
    }

    pub(super) fn n_groups(&self) -> usize {
        self.n / self.group
    }

    pub(super) fn n_slices(&self) -> usize {
        self.n / self.slice
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn blocks_hold_all_tiles_in_whole_parts_whatever_the_buffers() {
        for shape in [(1, 1), (0, 5), (64, 64), (1025, 2584), (2584, 1025), (4097, 310_000), (90, 3_000_000)] {
            let shape = Shape::new(shape);
            for limit in [128 * MIB, 200 * MIB, 2048 * MIB] {
                let blocks = shape.blocks(limit).unwrap();
                assert_eq!(blocks.iter().sum::<usize>(), tiles(shape.long), "{shape:?}");
                let (last, others) = blocks.split_last().unwrap();
                assert!(others.iter().all(|n| n.is_multiple_of(shape.long_part)), "{shape:?} in {limit}");
                let bytes = |n: &usize| (n * 4 * TILE * shape.short_padded()) as u64;
                assert!(others.iter().chain([last]).all(|n| bytes(n) <= limit.min(BLOCK_BYTES)), "{shape:?}");
            }
        }
        assert_eq!(Shape::new((1025, 2584)).blocks(MIB / 8), None, "less than one tile by 17");
    }

    #[test]
    fn passes_have_about_as_many_workgroups_as_wanted_where_there_are_tiles_enough() {
        for (shape, expected) in [((1025, 2584), [357, 369]), ((4097, 310_000), [65 * 77, 4844]), ((100, 100), [4, 4])]
        {
            let shape = Shape::new(shape);
            let (long, short) = (tiles(shape.long), tiles(shape.short));
            assert_eq!([short * long.div_ceil(shape.long_part), long * shape.short_parts()], expected, "{shape:?}");
        }
    }

    #[test]
    fn components_are_padded_to_slices_of_groups() {
        for (n, expected) in [
            (1, (16, 16, 16)),
            (16, (16, 16, 16)),
            (17, (32, 32, 32)),
            (33, (64, 32, 64)),
            (128, (128, 32, 128)),
            (129, (192, 32, 96)),
            (200, (256, 32, 128)),
        ] {
            let found = Components::new(n);
            assert_eq!((found.n, found.slice, found.group), expected, "{n}");
        }
    }
}
