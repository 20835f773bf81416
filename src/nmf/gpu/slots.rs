//! The factors of some fits to one matrix, side by side in a graphics processor's memory, and the work on them.
//! Decides what is dispatched, and how much at a time; which fits still run, and when they are checked, `fit` decides.

use std::sync::Arc;
use std::time::Instant;

use super::device::{Gpu, Pipelines};
use super::matrix::{Block, GpuMatrix};
use super::shape::{Components, TILE, tiles};
use crate::Result;
use crate::error::GpuTrouble;

/// Vectors of four numbers in a tile's side.
const VECTORS: usize = TILE / 4;
/// Bytes that the factors of fits side by side may take, with all that belongs to them, where there are several.
const MANY_BYTES: u64 = 2 << 30;
/// Fits side by side at the most.
const MANY: usize = 256;
/// Seconds that the device is given work for at a time: systems reset those that seem to hang, after 2 s on Windows.
const SUBMISSION_S: f64 = 0.15;
/// Multiplications of the first submission, with which a slow device takes a fraction of a second.
const FIRST_SUBMISSION: f64 = 1e9;
/// Iterations in a submission at the most: there is a check after as many.
const MAX_ITERATIONS: usize = 16;
/// Components at the most: workgroups along one side of a grid.
const MAX_COMPONENTS: usize = 65_535;
/// Bytes of a fit's turn.
const TURN_BYTES: u64 = 8;

/// One of the two factors, by its axis.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Axis {
    Long,
    Short,
}

impl Axis {
    pub(super) fn other(self) -> Self {
        if self == Self::Long { Self::Short } else { Self::Long }
    }
}

/// A fit's turn in a pass: its slot, and how far its factors go on in the direction of their last step.
#[repr(C)]
#[derive(Debug, Clone, Copy, PartialEq, bytemuck::Zeroable, bytemuck::Pod)]
pub(super) struct Turn {
    pub(super) slot: u32,
    pub(super) factor: f32,
}

/// What the fits have in common.
#[derive(Debug, Clone)]
pub(super) struct Plan {
    pub(super) n_components: usize,
    /// Which components of the factor of each axis may change.
    pub(super) free_long: Vec<bool>,
    pub(super) free_short: Vec<bool>,
    pub(super) extrapolates: bool,
}

/// The factors of `n` fits.
#[derive(Debug)]
pub(super) struct Slots<'a, 'v> {
    matrix: &'a GpuMatrix<'v>,
    components: Components,
    pipelines: Arc<Pipelines>,
    plan: Plan,
    /// The factor of the shorter axis.
    short: Piece,
    /// That of the longer one, with V's blocks.
    long: Vec<Piece>,
    groups: Vec<Groups>,
    turns: wgpu::Buffer,
    turns_group: wgpu::BindGroup,
    turns_stride: u64,
    /// What is to be done, and the turns for it.
    pending: Vec<Dispatch>,
    pending_turns: Vec<Vec<Turn>>,
    /// Multiplications in a submission at the most.
    pace: f64,
}

/// A factor along an axis or a block of it, `[slot][component][entry]`.
#[derive(Debug)]
struct Piece {
    /// Vectors in a row.
    width: usize,
    x: wgpu::Buffer,
    /// What it was one iteration ago; next to nothing without extrapolation.
    before: wgpu::Buffer,
    best: wgpu::Buffer,
}

/// What the shaders see of a block.
#[derive(Debug)]
struct Groups {
    long_pass: wgpu::BindGroup,
    short_pass: wgpu::BindGroup,
    loss_pass: wgpu::BindGroup,
    long: wgpu::BindGroup,
    short: wgpu::BindGroup,
    losses: wgpu::Buffer,
}

#[derive(Debug, Clone, Copy)]
enum Program {
    LongPass,
    ShortPass,
    LossPass,
    Update,
    Extrapolate,
    Sums,
}

/// A program's work on one block.
#[derive(Debug, Clone, Copy)]
struct Dispatch {
    program: Program,
    axis: Axis,
    block: usize,
    turn: usize,
    grid: [usize; 3],
    multiplications: f64,
}

impl Piece {
    fn new(gpu: &Gpu, n_tiles: usize, n_rows: usize, extrapolates: bool) -> Result<Self> {
        let n = n_tiles * TILE * n_rows;
        let past = || gpu.buffer(if extrapolates { n } else { 0 });
        Ok(Self { width: n_tiles * VECTORS, x: gpu.buffer(n)?, before: past()?, best: past()? })
    }
}

impl<'a, 'v> Slots<'a, 'v> {
    /// How many fits fit beside one another; none where not even one does.
    pub(super) fn room(matrix: &GpuMatrix<'_>, plan: &Plan) -> Result<usize> {
        let (shape, n) = (&matrix.shape, Components::new(plan.n_components).n);
        let row = |entries: usize| (4 * n * entries) as u64;
        let long = matrix.blocks.iter().map(|block| block.tiles * TILE).max().unwrap_or(0);
        let (short_parts, long_parts) = (shape.short_parts(), (long / TILE).div_ceil(shape.long_part));
        let parts = (row(long) * short_parts as u64).max(row(shape.short_padded()) * long_parts as u64);
        let largest = parts.max(row(long)).max(row(shape.short_padded()));
        if largest > matrix.gpu.buffer_bytes || n > MAX_COMPONENTS {
            let what = format!("{} components of {} entries", plan.n_components, shape.short.max(long));
            let buffer_bytes = matrix.gpu.buffer_bytes;
            return Err(matrix.gpu.trouble(|device| GpuTrouble::Buffers { device, buffer_bytes, what }));
        }
        let copies = if plan.extrapolates { 3 } else { 1 };
        let all = copies * row((tiles(shape.long) + tiles(shape.short)) * TILE) + parts;
        let by_bytes = (MANY_BYTES / all).min(matrix.gpu.buffer_bytes / largest) as usize;
        Ok(by_bytes.clamp(1, MANY))
    }

    /// Room for `n` fits, their factors zeros.
    pub(super) fn new(matrix: &'a GpuMatrix<'v>, plan: Plan, n: usize) -> Result<Self> {
        let (gpu, shape) = (matrix.gpu, &matrix.shape);
        let components = Components::new(plan.n_components);
        let n_rows = n * components.n;
        let short = Piece::new(gpu, tiles(shape.short), n_rows, plan.extrapolates)?;
        let long: Vec<_> = matrix
            .blocks
            .iter()
            .map(|block| Piece::new(gpu, block.tiles, n_rows, plan.extrapolates))
            .collect::<Result<_>>()?;
        let longest = matrix.blocks.iter().map(|block| block.tiles).max().unwrap_or(1);
        let long_parts = longest.div_ceil(shape.long_part);
        let parts = (longest * shape.short_parts()).max(tiles(shape.short) * long_parts) * TILE * n_rows;
        let shared = Shared {
            parts: gpu.buffer(parts)?,
            // Sums that go on from block to block.
            numerators: gpu.buffer(if matrix.blocks.len() > 1 { short.width * 4 * n_rows } else { 0 })?,
            no_numerators: gpu.buffer(0)?,
            short_sums: gpu.buffer(n_rows)?,
            long_sums: gpu.buffer(tiles(shape.long).div_ceil(shape.long_part) * n_rows)?,
            short_free: gpu.flags(&plan.free_short, components.n)?,
            long_free: gpu.flags(&plan.free_long, components.n)?,
        };
        let turns_stride = gpu.turns_stride(TURN_BYTES * n as u64);
        let turns = gpu.buffer(MAX_ITERATIONS * turns_stride as usize / 4)?;
        let mut slots = Self {
            matrix,
            components,
            pipelines: gpu.pipelines(components)?,
            plan,
            short,
            long,
            groups: Vec::new(),
            turns_group: gpu.turns_group(&turns, TURN_BYTES * n as u64)?,
            turns,
            turns_stride,
            pending: Vec::new(),
            pending_turns: Vec::new(),
            pace: FIRST_SUBMISSION,
        };
        slots.groups = (0..matrix.blocks.len()).map(|i| slots.group(&shared, i, n)).collect::<Result<_>>()?;
        Ok(slots)
    }

    fn group(&self, shared: &Shared, block_idx: usize, n: usize) -> Result<Groups> {
        let (gpu, shape, plan) = (self.matrix.gpu, &self.matrix.shape, &self.plan);
        let (block, long, short) = (&self.matrix.blocks[block_idx], &self.long[block_idx], &self.short);
        let uniform = |numbers: &[usize]| {
            gpu.uniform(&numbers.iter().map(|&n| u32::try_from(n).unwrap_or(u32::MAX)).collect::<Vec<_>>())
        };
        let pass = |own: &Piece, other: &Piece, part: usize, tiles: usize, result: &wgpu::Buffer| {
            let geometry = uniform(&[own.width, other.width, short.width, part, tiles])?;
            gpu.phase_group([&geometry, &block.v, &own.x, &other.x, result])
        };
        let losses = gpu.buffer(block.tiles * shape.short_parts() * n)?;
        let is_last = block_idx + 1 == self.long.len();
        let long_parts = block.tiles.div_ceil(shape.long_part);
        let n_segments = tiles(shape.long).div_ceil(shape.long_part);
        // W goes on as soon as it is improved; H before it is.
        let goes_on = |axis| usize::from(plan.extrapolates && axis == self.dictionary());
        let long_geometry = uniform(&[
            long.width,
            shape.short_parts(),
            1,
            1,
            goes_on(Axis::Long),
            1,
            shape.long_part * VECTORS,
            block.first / shape.long_part,
            n,
        ])?;
        let short_geometry = uniform(&[
            short.width,
            long_parts,
            usize::from(block_idx == 0),
            usize::from(is_last),
            goes_on(Axis::Short),
            n_segments,
            short.width,
            0,
            n,
        ])?;
        let Shared { parts, numerators, no_numerators, short_sums, long_sums, short_free, long_free } = shared;
        Ok(Groups {
            long_pass: pass(long, short, shape.short_part, tiles(shape.short), parts)?,
            short_pass: pass(short, long, shape.long_part, block.tiles, parts)?,
            loss_pass: pass(long, short, shape.short_part, tiles(shape.short), &losses)?,
            long: gpu.update_group([
                &long_geometry,
                parts,
                no_numerators,
                &long.x,
                &long.before,
                long_sums,
                short_sums,
                long_free,
            ])?,
            short: gpu.update_group([
                &short_geometry,
                parts,
                numerators,
                &short.x,
                &short.before,
                short_sums,
                long_sums,
                short_free,
            ])?,
            losses,
        })
    }

    /// The axis that W belongs to.
    pub(super) fn dictionary(&self) -> Axis {
        if self.matrix.shape.rows_are_long { Axis::Long } else { Axis::Short }
    }

    fn piece(&self, axis: Axis, block_idx: usize) -> &Piece {
        if axis == Axis::Long { &self.long[block_idx] } else { &self.short }
    }

    /// How many pieces the factor of an axis has.
    fn n_pieces(&self, axis: Axis) -> usize {
        if axis == Axis::Long { self.long.len() } else { 1 }
    }

    fn blocks(&self) -> impl Iterator<Item = (usize, &'a Block)> + use<'a, 'v> {
        self.matrix.blocks.iter().enumerate()
    }

    /// Puts in a component of a fit, on the scale inside.
    pub(super) fn put(&self, axis: Axis, slot: usize, component: usize, entries: &[f32]) -> Result<()> {
        let row = slot * self.components.n + component;
        for (i, entries) in self.cut(axis, entries.len()).into_iter().map(|(i, range)| (i, &entries[range])) {
            let piece = self.piece(axis, i);
            self.matrix.gpu.write(&piece.x, row * 4 * piece.width, entries)?;
        }
        Ok(())
    }

    /// All of a fit is put in: there was nothing before it.
    pub(super) fn begin(&self, slot: usize) -> Result<()> {
        if self.plan.extrapolates {
            self.copy(slot, |piece| vec![(&piece.x, &piece.before)])?;
        } else {
            self.matrix.gpu.guarded(0, || self.matrix.gpu.queue.submit([]))?;
        }
        // What is put in waits in memory of its own until it is submitted.
        self.matrix.gpu.wait()
    }

    /// Takes a factor of a fit out: its components one after the other, `n` entries each.
    pub(super) fn take(&self, axis: Axis, slot: usize, n: usize) -> Result<Vec<f32>> {
        let k = self.plan.n_components;
        let mut all = vec![0.0; k * n];
        for (i, range) in self.cut(axis, n) {
            let piece = self.piece(axis, i);
            let width = 4 * piece.width;
            let rows = self.matrix.gpu.read(&piece.x, slot * self.components.n * width, k * width)?;
            for (row, to) in rows.chunks_exact(width).zip(all.chunks_exact_mut(n.max(1))) {
                to[range.clone()].copy_from_slice(&row[..range.len()]);
            }
        }
        Ok(all)
    }

    /// The entries of each piece of an axis of `n`.
    fn cut(&self, axis: Axis, n: usize) -> Vec<(usize, std::ops::Range<usize>)> {
        if axis == Axis::Short {
            return vec![(0, 0..n)];
        }
        let range = |block: &Block| (block.first * TILE).min(n)..((block.first + block.tiles) * TILE).min(n);
        self.blocks().map(|(i, block)| (i, range(block))).collect()
    }

    /// Plans an iteration of these fits: W, then H.
    pub(super) fn iterate(&mut self, turns: Vec<Turn>) {
        let (w, h) = (self.dictionary(), self.dictionary().other());
        let (n_fits, turn) = (turns.len(), self.pending_turns.len());
        self.pending_turns.push(turns);
        for axis in [w, h] {
            if !self.is_free(axis) {
                continue;
            }
            if axis == h && self.plan.extrapolates {
                self.over_pieces(Program::Extrapolate, h, turn, n_fits);
            }
            self.over_pieces(Program::Sums, axis.other(), turn, n_fits);
            self.improve(axis, turn, n_fits);
        }
    }

    fn is_free(&self, axis: Axis) -> bool {
        (if axis == Axis::Long { &self.plan.free_long } else { &self.plan.free_short }).contains(&true)
    }

    fn over_pieces(&mut self, program: Program, axis: Axis, turn: usize, n_fits: usize) {
        for i in 0..self.n_pieces(axis) {
            let grid = match (program, axis) {
                (Program::Sums, Axis::Long) => {
                    let segments = self.matrix.blocks[i].tiles.div_ceil(self.matrix.shape.long_part);
                    [self.components.n, segments, n_fits]
                }
                (Program::Sums, Axis::Short) => [self.components.n, 1, n_fits],
                _ => self.entries(axis, i, n_fits),
            };
            self.pending.push(Dispatch { program, axis, block: i, turn, grid, multiplications: 0.0 });
        }
    }

    /// A thread for every vector of a piece.
    fn entries(&self, axis: Axis, block_idx: usize, n_fits: usize) -> [usize; 3] {
        [self.piece(axis, block_idx).width.div_ceil(64), self.components.n, n_fits]
    }

    fn improve(&mut self, axis: Axis, turn: usize, n_fits: usize) {
        for (i, block) in self.blocks() {
            let program = if axis == Axis::Long { Program::LongPass } else { Program::ShortPass };
            let pass = self.pass(program, axis, (i, block), turn, n_fits);
            let grid = self.entries(axis, i, n_fits);
            let update = Dispatch { program: Program::Update, axis, block: i, turn, grid, multiplications: 0.0 };
            self.pending.extend([pass, update]);
        }
    }

    fn pass(&self, program: Program, axis: Axis, (i, block): (usize, &Block), turn: usize, n: usize) -> Dispatch {
        let shape = &self.matrix.shape;
        let (short_tiles, groups) = (tiles(shape.short), self.components.n_groups());
        let grid = match axis {
            Axis::Long => [block.tiles, shape.short_parts(), n * groups],
            Axis::Short => [short_tiles, block.tiles.div_ceil(shape.long_part), n * groups],
        };
        let entries = (block.tiles * short_tiles * TILE * TILE * n) as f64;
        let multiplications = entries * self.components.n as f64 * (1 + groups) as f64;
        Dispatch { program, axis, block: i, turn, grid, multiplications }
    }

    /// Whether it is time to submit what is planned.
    pub(super) fn is_full(&self) -> bool {
        let planned: f64 = self.pending.iter().map(|dispatch| dispatch.multiplications).sum();
        planned >= self.pace || self.pending_turns.len() + 1 >= MAX_ITERATIONS
    }

    /// Submits what is planned, in pieces of bounded length, and waits for it.
    pub(super) fn run(&mut self) -> Result<()> {
        let gpu = self.matrix.gpu;
        let (dispatches, turns) = (std::mem::take(&mut self.pending), std::mem::take(&mut self.pending_turns));
        for (i, turns) in turns.iter().enumerate() {
            gpu.write(&self.turns, i * self.turns_stride as usize / 4, bytemuck::cast_slice::<_, u32>(turns))?;
        }
        let mut left = &dispatches[..];
        while !left.is_empty() {
            let mut planned = 0.0;
            // At least one.
            let fits = |dispatch: &&Dispatch| {
                planned += dispatch.multiplications;
                planned <= self.pace || planned == dispatch.multiplications
            };
            let (now, later) = left.split_at(left.iter().take_while(fits).count().max(1));
            left = later;
            let begin = Instant::now();
            gpu.guarded(0, || self.submit(now))?;
            gpu.wait()?;
            let seconds = begin.elapsed().as_secs_f64().max(1e-6);
            self.pace = (self.pace * (SUBMISSION_S / seconds).clamp(0.25, 4.0)).max(FIRST_SUBMISSION / 16.0);
        }
        Ok(())
    }

    fn submit(&self, dispatches: &[Dispatch]) {
        let gpu = self.matrix.gpu;
        let mut encoder = gpu.device.create_command_encoder(&Default::default());
        let mut pass = encoder.begin_compute_pass(&Default::default());
        for dispatch in dispatches {
            let (pipelines, groups) = (&self.pipelines, &self.groups[dispatch.block]);
            let pieces = if dispatch.axis == Axis::Long { &groups.long } else { &groups.short };
            let (pipeline, group) = match dispatch.program {
                Program::LongPass => (&pipelines.long, &groups.long_pass),
                Program::ShortPass => (&pipelines.short, &groups.short_pass),
                Program::LossPass => (&pipelines.loss, &groups.loss_pass),
                Program::Update => (&pipelines.update, pieces),
                Program::Extrapolate => (&pipelines.extrapolate, pieces),
                Program::Sums => (&pipelines.sums, pieces),
            };
            pass.set_pipeline(pipeline);
            pass.set_bind_group(0, group, &[]);
            pass.set_bind_group(1, &self.turns_group, &[(dispatch.turn as u64 * self.turns_stride) as u32]);
            let [x, y, z] = dispatch.grid.map(|n| n as u32);
            pass.dispatch_workgroups(x, y, z);
        }
        drop(pass);
        gpu.queue.submit([encoder.finish()]);
    }

    /// Does what is planned, then finds the divergences of these fits, on the scale inside.
    pub(super) fn divergences(&mut self, slots: &[usize]) -> Result<Vec<f64>> {
        let turn = self.pending_turns.len();
        self.pending_turns.push(slots.iter().map(|&slot| Turn { slot: slot as u32, factor: 0.0 }).collect());
        for (i, block) in self.blocks() {
            let mut pass = self.pass(Program::LossPass, Axis::Long, (i, block), turn, slots.len());
            pass.grid[2] = slots.len();
            self.pending.push(pass);
        }
        self.run()?;
        let mut totals = vec![0.0; slots.len()];
        for (i, block) in self.blocks() {
            let n = block.tiles * self.matrix.shape.short_parts();
            let losses = self.matrix.gpu.read(&self.groups[i].losses, 0, n * slots.len())?;
            for (total, losses) in totals.iter_mut().zip(losses.chunks_exact(n)) {
                *total = losses.iter().fold(*total, |sum, &loss| sum + f64::from(loss));
            }
        }
        Ok(totals)
    }

    /// Notes the factors of a fit as the best so far.
    pub(super) fn keep(&self, slot: usize) -> Result<()> {
        self.copy(slot, |piece| vec![(&piece.x, &piece.best)])
    }

    /// Brings the best factors of a fit back.
    pub(super) fn restore(&self, slot: usize) -> Result<()> {
        self.copy(slot, |piece| vec![(&piece.best, &piece.x), (&piece.best, &piece.before)])
    }

    fn copy<'s>(
        &'s self,
        slot: usize,
        which: impl Fn(&'s Piece) -> Vec<(&'s wgpu::Buffer, &'s wgpu::Buffer)>,
    ) -> Result<()> {
        let gpu = self.matrix.gpu;
        gpu.guarded(0, || {
            let mut encoder = gpu.device.create_command_encoder(&Default::default());
            for piece in self.long.iter().chain([&self.short]) {
                let size = (16 * piece.width * self.components.n) as u64;
                for (from, to) in which(piece) {
                    encoder.copy_buffer_to_buffer(from, slot as u64 * size, to, slot as u64 * size, size);
                }
            }
            gpu.queue.submit([encoder.finish()]);
        })
    }
}

/// Buffers that the blocks share.
struct Shared {
    /// The numerators of all parts of a block.
    parts: wgpu::Buffer,
    numerators: wgpu::Buffer,
    no_numerators: wgpu::Buffer,
    short_sums: wgpu::Buffer,
    long_sums: wgpu::Buffer,
    short_free: wgpu::Buffer,
    long_free: wgpu::Buffer,
}
