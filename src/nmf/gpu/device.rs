//! A graphics processor: finding it, its buffers and pipelines, and what can go wrong with it.
//! Knows shaders and buffers; what is in them is the business of others.

use std::collections::HashMap;
use std::num::NonZeroU64;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::shader::{self, Pass};
use super::shape::Components;
use crate::error::GpuTrouble;
use crate::{Error, Result};

/// Bytes that a workgroup of the passes has to have: two slices of tiles of the factors, and a tile of quotients.
const WORKGROUP_BYTES: u32 = 32 << 10;
/// Threads in it.
const WORKGROUP_THREADS: u32 = 256;
/// Storage buffers that one shader sees.
const STORAGE_BUFFERS: u32 = 8;
/// Percent of the memory that the system says is free for this program: beyond it, buffers are refused.
const MEMORY_PERCENT: u8 = 95;
/// How long news that is there may take from one thread to another.
const NEWS: Duration = Duration::from_secs(10);
/// Bytes that come from the device at a time.
const READ_BYTES: u64 = 16 << 20;

/// A graphics processor, ready to fit: [`Gpu::open`] finds one.
///
/// The same device with the same driver gives the same bits in every run, for one fit alone and for the same fit among
/// many. Another device, or another driver, rounds otherwise: so does a processor (`nmf::fit`).
#[derive(Debug)]
pub struct Gpu {
    name: String,
    is_software: bool,
    pub(super) device: wgpu::Device,
    pub(super) queue: wgpu::Queue,
    /// Bytes of a buffer at the most.
    pub(super) buffer_bytes: u64,
    layouts: Layouts,
    pipelines: Mutex<HashMap<Components, Arc<Pipelines>>>,
    /// Why the device went away.
    lost: Arc<Mutex<Option<String>>>,
    /// Bytes above which a buffer cannot be had, as if memory were short.
    #[cfg(test)]
    pub(super) short_above: Option<u64>,
}

/// What the shaders see, apart from the numbers in it.
#[derive(Debug)]
struct Layouts {
    phase: wgpu::BindGroupLayout,
    update: wgpu::BindGroupLayout,
    turns: wgpu::BindGroupLayout,
}

/// The programs for one number of components.
#[derive(Debug)]
pub(super) struct Pipelines {
    pub(super) long: wgpu::ComputePipeline,
    pub(super) short: wgpu::ComputePipeline,
    pub(super) loss: wgpu::ComputePipeline,
    pub(super) update: wgpu::ComputePipeline,
    pub(super) extrapolate: wgpu::ComputePipeline,
    pub(super) sums: wgpu::ComputePipeline,
}

impl Gpu {
    /// Opens the most capable graphics processor of this machine: one on a card, else one within the processor, else a
    /// program that stands in for one ([`Gpu::is_software`]).
    ///
    /// # Errors
    /// [`Error::Gpu`] where there is none, or it cannot be used.
    ///
    /// # Cost
    /// A tenth of a second or several; fits of the same shape share what is compiled.
    pub fn open() -> Result<Self> {
        // A driver's fault is to be an error, not the end of the program.
        let found = catch_unwind(|| pollster::block_on(find()));
        let (adapter, info) = found.unwrap_or(None).ok_or(Error::Gpu(GpuTrouble::NoDevice))?;
        let unsuitable = |reason: String| Error::Gpu(GpuTrouble::Unsuitable { device: info.name.clone(), reason });
        let limits = adapter.limits();
        if limits.max_compute_workgroup_storage_size < WORKGROUP_BYTES
            || limits.max_compute_invocations_per_workgroup < WORKGROUP_THREADS
            || limits.max_compute_workgroup_size_x < WORKGROUP_THREADS
            || limits.max_storage_buffers_per_shader_stage < STORAGE_BUFFERS
        {
            let expected = format!("{} KiB and {WORKGROUP_THREADS} threads for each workgroup", WORKGROUP_BYTES >> 10);
            return Err(unsuitable(format!("it lacks {expected}, or {STORAGE_BUFFERS} buffers for each shader")));
        }
        let descriptor = wgpu::DeviceDescriptor { required_limits: limits.clone(), ..Default::default() };
        let opened = catch_unwind(AssertUnwindSafe(|| pollster::block_on(adapter.request_device(&descriptor))));
        let (device, queue) = match opened {
            Ok(Ok(opened)) => opened,
            Ok(Err(error)) => return Err(unsuitable(error.to_string())),
            Err(_) => return Err(unsuitable("its driver failed".into())),
        };
        let lost = Arc::new(Mutex::new(None));
        let note = Arc::clone(&lost);
        device.set_device_lost_callback(move |reason, message| {
            let reason = if message.is_empty() { format!("{reason:?}") } else { message };
            note.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(reason);
        });
        // What `guarded` does not see comes after a device was lost, of which the callback tells.
        device.on_uncaptured_error(Arc::new(|_| ()));
        Ok(Self {
            name: info.name,
            is_software: info.device_type == wgpu::DeviceType::Cpu,
            layouts: Layouts::new(&device),
            device,
            queue,
            buffer_bytes: limits.max_storage_buffer_binding_size.min(limits.max_buffer_size),
            pipelines: Mutex::default(),
            lost,
            #[cfg(test)]
            short_above: None,
        })
    }

    /// What the driver calls the device.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is a program that stands in for a device, and is slower than the fits on the processor.
    pub fn is_software(&self) -> bool {
        self.is_software
    }

    pub(super) fn trouble(&self, of: impl FnOnce(String) -> GpuTrouble) -> Error {
        let lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        Error::Gpu(match &*lost {
            Some(reason) => GpuTrouble::Lost { device: self.name.clone(), reason: reason.clone() },
            None => of(self.name.clone()),
        })
    }

    /// Work with the device, of which whatever fails becomes an error.
    pub(super) fn guarded<T>(&self, n_bytes: u64, work: impl FnOnce() -> T) -> Result<T> {
        use wgpu::ErrorFilter::{Internal, OutOfMemory, Validation};
        let done = catch_unwind(AssertUnwindSafe(|| {
            let scopes = [Internal, Validation, OutOfMemory].map(|filter| self.device.push_error_scope(filter));
            let done = work();
            // The last one first.
            let errors = scopes.into_iter().rev().filter_map(|scope| pollster::block_on(scope.pop()));
            (done, errors.collect::<Vec<_>>())
        }));
        match done {
            Err(fault) => {
                let reason = fault.downcast_ref::<String>().map_or("for no reason that it tells", String::as_str);
                Err(self.trouble(|device| GpuTrouble::Driver { device, reason: reason.replace('\n', " ") }))
            }
            Ok((done, errors)) => match errors.first() {
                Some(error) => Err(self.blamed(error, n_bytes)),
                None if self.is_lost() => {
                    Err(self.trouble(|device| GpuTrouble::Driver { device, reason: String::new() }))
                }
                None => Ok(done),
            },
        }
    }

    fn is_lost(&self) -> bool {
        self.lost.lock().unwrap_or_else(PoisonError::into_inner).is_some()
    }

    /// What an error means that the device gave where `n_bytes` were asked for.
    fn blamed(&self, error: &wgpu::Error, n_bytes: u64) -> Error {
        self.trouble(|device| match error {
            wgpu::Error::OutOfMemory { .. } => GpuTrouble::Memory { device, n_bytes },
            _ => GpuTrouble::Driver { device, reason: error.to_string().replace('\n', " ") },
        })
    }

    /// Waits until all is done that was submitted.
    pub(super) fn wait(&self) -> Result<()> {
        let failed =
            |error: wgpu::PollError| self.trouble(|device| GpuTrouble::Driver { device, reason: error.to_string() });
        self.guarded(0, || self.device.poll(wgpu::PollType::wait_indefinitely()))?.map(|_| ()).map_err(failed)
    }

    /// A buffer of so many numbers, zeros, that shaders read and write.
    pub(super) fn buffer(&self, n: usize) -> Result<wgpu::Buffer> {
        use wgpu::BufferUsages as Usage;
        self.allocate(4 * n.max(4) as u64, Usage::STORAGE | Usage::COPY_DST | Usage::COPY_SRC)
    }

    /// Numbers that a shader is told.
    pub(super) fn uniform(&self, numbers: &[u32]) -> Result<wgpu::Buffer> {
        let usage = wgpu::BufferUsages::UNIFORM | wgpu::BufferUsages::COPY_DST;
        let buffer = self.allocate(4 * numbers.len() as u64, usage)?;
        self.guarded(0, || self.queue.write_buffer(&buffer, 0, bytemuck::cast_slice(numbers)))?;
        Ok(buffer)
    }

    /// One number for each component, 1 where it is set; those that are only padding are not.
    pub(super) fn flags(&self, set: &[bool], n: usize) -> Result<wgpu::Buffer> {
        let buffer = self.buffer(n)?;
        let flags: Vec<_> = (0..n).map(|i| u32::from(set.get(i) == Some(&true))).collect();
        self.write(&buffer, 0, &flags)?;
        Ok(buffer)
    }

    fn allocate(&self, size: u64, usage: wgpu::BufferUsages) -> Result<wgpu::Buffer> {
        #[cfg(test)]
        if self.short_above.is_some_and(|most| size > most) {
            return Err(self.blamed(&wgpu::Error::OutOfMemory { source: "for a test".into() }, size));
        }
        let descriptor = wgpu::BufferDescriptor { label: None, size, usage, mapped_at_creation: false };
        self.guarded(size, || self.device.create_buffer(&descriptor))
    }

    /// Puts numbers into a buffer, of 4 bytes each, from this one on; they are there for whatever is submitted next.
    pub(super) fn write<T: bytemuck::NoUninit>(
        &self,
        buffer: &wgpu::Buffer,
        first: usize,
        numbers: &[T],
    ) -> Result<()> {
        let bytes: &[u8] = bytemuck::cast_slice(numbers);
        self.guarded(bytes.len() as u64, || self.queue.write_buffer(buffer, 4 * first as u64, bytes))
    }

    /// Takes `n` numbers out of a buffer, from this one on, after all that was submitted.
    pub(super) fn read(&self, buffer: &wgpu::Buffer, first: usize, n: usize) -> Result<Vec<f32>> {
        let (start, end) = (4 * first as u64, 4 * (first + n) as u64);
        let usage = wgpu::BufferUsages::MAP_READ | wgpu::BufferUsages::COPY_DST;
        let staging = self.allocate((end - start).clamp(4, READ_BYTES), usage)?;
        let mut numbers = Vec::with_capacity(n);
        for from in (start..end).step_by(READ_BYTES as usize) {
            let n_bytes = READ_BYTES.min(end - from);
            let (send, is_mapped) = std::sync::mpsc::channel();
            self.guarded(n_bytes, || {
                let mut encoder = self.device.create_command_encoder(&Default::default());
                encoder.copy_buffer_to_buffer(buffer, from, &staging, 0, n_bytes);
                self.queue.submit([encoder.finish()]);
                // Whoever waits may have gone.
                staging.map_async(wgpu::MapMode::Read, 0..n_bytes, move |mapped| drop(send.send(mapped)));
            })?;
            self.wait()?;
            let unread = |reason: &str| self.trouble(|device| GpuTrouble::Driver { device, reason: reason.into() });
            // Where several threads wait for the device, another one may be about to pass the news on.
            if !matches!(is_mapped.recv_timeout(NEWS), Ok(Ok(()))) {
                return Err(unread("its results cannot be read"));
            }
            let view = self.guarded(0, || staging.get_mapped_range(0..n_bytes))?;
            let view = view.map_err(|error| unread(&error.to_string()))?;
            numbers.extend_from_slice(bytemuck::cast_slice(&view));
            drop(view);
            self.guarded(0, || staging.unmap())?;
        }
        Ok(numbers)
    }

    /// What shaders of the passes see: the geometry, V, both factors, and where the results go.
    pub(super) fn phase_group(&self, buffers: [&wgpu::Buffer; 5]) -> Result<wgpu::BindGroup> {
        self.group(&self.layouts.phase, &buffers)
    }

    /// What the other shaders see: geometry, parts, numerators, factor, what it was, its sums, those of the other, and
    /// what of it is free.
    pub(super) fn update_group(&self, buffers: [&wgpu::Buffer; 8]) -> Result<wgpu::BindGroup> {
        self.group(&self.layouts.update, &buffers)
    }

    /// Some turns, `n_bytes` of them from a dynamic offset on.
    pub(super) fn turns_group(&self, buffer: &wgpu::Buffer, n_bytes: u64) -> Result<wgpu::BindGroup> {
        let binding = wgpu::BufferBinding { buffer, offset: 0, size: NonZeroU64::new(n_bytes) };
        let entry = wgpu::BindGroupEntry { binding: 0, resource: wgpu::BindingResource::Buffer(binding) };
        let descriptor = wgpu::BindGroupDescriptor { label: None, layout: &self.layouts.turns, entries: &[entry] };
        self.guarded(0, || self.device.create_bind_group(&descriptor))
    }

    /// Bytes from one offset of turns to the next, for turns of so many bytes.
    pub(super) fn turns_stride(&self, n_bytes: u64) -> u64 {
        n_bytes.next_multiple_of(u64::from(self.device.limits().min_storage_buffer_offset_alignment.max(4)))
    }

    fn group(&self, layout: &wgpu::BindGroupLayout, buffers: &[&wgpu::Buffer]) -> Result<wgpu::BindGroup> {
        let resources = buffers.iter().map(|buffer| buffer.as_entire_binding());
        let entry = |(binding, resource)| wgpu::BindGroupEntry { binding, resource };
        let entries: Vec<_> = (0..).zip(resources).map(entry).collect();
        let descriptor = wgpu::BindGroupDescriptor { label: None, layout, entries: &entries };
        self.guarded(0, || self.device.create_bind_group(&descriptor))
    }

    /// The programs for a number of components, compiled when they are first asked for.
    pub(super) fn pipelines(&self, components: Components) -> Result<Arc<Pipelines>> {
        let mut made = self.pipelines.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(pipelines) = made.get(&components) {
            return Ok(Arc::clone(pipelines));
        }
        let pipelines = Arc::new(self.guarded(0, || Pipelines::new(&self.device, &self.layouts, components))?);
        made.insert(components, Arc::clone(&pipelines));
        Ok(pipelines)
    }
}

/// The most capable adapter.
async fn find() -> Option<(wgpu::Adapter, wgpu::AdapterInfo)> {
    if wgpu::Instance::enabled_backend_features().is_empty() {
        return None;
    }
    let instance = wgpu::Instance::new(wgpu::InstanceDescriptor {
        // No layers that look for mistakes: they are for whoever works on this module.
        flags: wgpu::InstanceFlags::empty(),
        memory_budget_thresholds: wgpu::MemoryBudgetThresholds {
            for_resource_creation: Some(MEMORY_PERCENT),
            for_device_loss: None,
        },
        ..wgpu::InstanceDescriptor::new_without_display_handle()
    });
    let adapters = instance.enumerate_adapters(wgpu::Backends::PRIMARY).await;
    let rank = |(_, info): &(wgpu::Adapter, wgpu::AdapterInfo)| match info.device_type {
        wgpu::DeviceType::DiscreteGpu => 0,
        wgpu::DeviceType::IntegratedGpu => 1,
        wgpu::DeviceType::VirtualGpu => 2,
        wgpu::DeviceType::Other => 3,
        wgpu::DeviceType::Cpu => 4,
    };
    adapters.into_iter().map(|adapter| (adapter.get_info(), adapter)).map(|(info, a)| (a, info)).min_by_key(rank)
}

impl Layouts {
    fn new(device: &wgpu::Device) -> Self {
        let buffer =
            |ty, has_dynamic_offset| wgpu::BindingType::Buffer { ty, has_dynamic_offset, min_binding_size: None };
        let (read, write) = (
            wgpu::BufferBindingType::Storage { read_only: true },
            wgpu::BufferBindingType::Storage { read_only: false },
        );
        let layout = |types: &[wgpu::BufferBindingType], has_dynamic_offset| {
            let entry = |(binding, ty): (u32, &wgpu::BufferBindingType)| wgpu::BindGroupLayoutEntry {
                binding,
                visibility: wgpu::ShaderStages::COMPUTE,
                ty: buffer(*ty, has_dynamic_offset),
                count: None,
            };
            let entries: Vec<_> = (0..).zip(types).map(entry).collect();
            device.create_bind_group_layout(&wgpu::BindGroupLayoutDescriptor { label: None, entries: &entries })
        };
        let uniform = wgpu::BufferBindingType::Uniform;
        Self {
            phase: layout(&[uniform, read, read, read, write], false),
            update: layout(&[uniform, read, write, write, write, write, read, read], false),
            turns: layout(&[read], true),
        }
    }
}

impl Pipelines {
    fn new(device: &wgpu::Device, layouts: &Layouts, components: Components) -> Self {
        let module = |text: String| {
            let source = wgpu::ShaderSource::Wgsl(text.into());
            device.create_shader_module(wgpu::ShaderModuleDescriptor { label: None, source })
        };
        let pipeline = |layout: &wgpu::BindGroupLayout, module: &wgpu::ShaderModule, entry_point: &str| {
            let layout = device.create_pipeline_layout(&wgpu::PipelineLayoutDescriptor {
                label: None,
                bind_group_layouts: &[Some(layout), Some(&layouts.turns)],
                immediate_size: 0,
            });
            device.create_compute_pipeline(&wgpu::ComputePipelineDescriptor {
                label: Some(entry_point),
                layout: Some(&layout),
                module,
                entry_point: Some(entry_point),
                compilation_options: wgpu::PipelineCompilationOptions {
                    // All of it is written before it is read.
                    zero_initialize_workgroup_memory: false,
                    ..Default::default()
                },
                cache: None,
            })
        };
        let phase = |pass| pipeline(&layouts.phase, &module(shader::phase(components, pass)), "main");
        let update = module(shader::update(components));
        Self {
            long: phase(Pass::Long),
            short: phase(Pass::Short),
            loss: phase(Pass::Loss),
            update: pipeline(&layouts.update, &update, "update"),
            extrapolate: pipeline(&layouts.update, &update, "extrapolate"),
            sums: pipeline(&layouts.update, &update, "sums"),
        }
    }
}
