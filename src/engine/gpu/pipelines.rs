//! Compiled stages with their layouts.

use wgpu::{
    BindGroupLayout, BindGroupLayoutDescriptor, BindGroupLayoutEntry, BindingType, BufferBindingType,
    BufferSize, ComputePipeline, ComputePipelineDescriptor, PipelineCompilationOptions,
    PipelineLayoutDescriptor, ShaderModuleDescriptor, ShaderSource, ShaderStages,
};

use super::device::Device;
use super::layout::Params;
use super::plan::Groups;
use super::shaders::{Dialect, Stage};
use crate::engine::EngineFault;

/// What pipelines are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Build {
    pub assets: u32,
    pub groups: Groups,
    pub dialect: Dialect,
}

/// All stages.
pub struct Pipelines {
    pub build: Build,
    stages: Vec<Compiled>,
}

pub struct Compiled {
    pub pipeline: ComputePipeline,
    pub bindings: BindGroupLayout,
}

impl Pipelines {
    pub fn new(device: &Device, build: Build) -> Result<Self, EngineFault> {
        let compiled = Stage::ALL.map(|stage| device.scoped(|| compile(device, stage, build)));
        let stages = compiled.into_iter().collect::<Result<_, _>>()?;
        // A driver that cannot compile a pipeline may lose the device without another word.
        device.wait()?;
        Ok(Self { build, stages })
    }

    pub fn stage(&self, stage: Stage) -> &Compiled {
        &self.stages[stage as usize]
    }
}

fn compile(device: &Device, stage: Stage, build: Build) -> Compiled {
    let raw = &device.raw;
    let source = ShaderSource::Wgsl(stage.source(build.assets, &build.groups, build.dialect).into());
    let module = raw.create_shader_module(ShaderModuleDescriptor { label: Some(stage.name()), source });
    let storage = |binding: u32| BindGroupLayoutEntry {
        binding,
        visibility: ShaderStages::COMPUTE,
        ty: BindingType::Buffer {
            ty: BufferBindingType::Storage { read_only: binding <= stage.inputs() },
            has_dynamic_offset: false,
            min_binding_size: None,
        },
        count: None,
    };
    let params = BindGroupLayoutEntry {
        ty: BindingType::Buffer {
            ty: BufferBindingType::Uniform,
            has_dynamic_offset: true,
            min_binding_size: BufferSize::new(size_of::<Params>() as u64),
        },
        ..storage(0)
    };
    let storages = (1..=stage.inputs() + stage.outputs()).map(storage);
    let entries: Vec<_> = std::iter::once(params).chain(storages).collect();
    let bindings = raw.create_bind_group_layout(&BindGroupLayoutDescriptor {
        label: Some(stage.name()),
        entries: &entries,
    });
    let layout = raw.create_pipeline_layout(&PipelineLayoutDescriptor {
        label: Some(stage.name()),
        bind_group_layouts: &[Some(&bindings)],
        immediate_size: 0,
    });
    let pipeline = raw.create_compute_pipeline(&ComputePipelineDescriptor {
        label: Some(stage.name()),
        layout: Some(&layout),
        module: &module,
        entry_point: Some(stage.name()),
        compilation_options: PipelineCompilationOptions::default(),
        cache: None,
    });
    Compiled { pipeline, bindings }
}
