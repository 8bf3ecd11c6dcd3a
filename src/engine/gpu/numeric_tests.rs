//! The functions of `shaders/lib` against their twins in `src/numeric`, bit for bit.

use wgpu::{
    BindGroupDescriptor, BindGroupEntry, BufferUsages, CommandEncoderDescriptor, ComputePassDescriptor,
    ComputePipelineDescriptor, ShaderModuleDescriptor, ShaderSource,
};

use super::tests::engine;
use super::{Device, Dialect, GpuOptions};
use crate::numeric::tests::{edge_words, philox_known_answers};
use crate::numeric::{Real, philox4x32_10};

const COUNT: usize = 1 << 18;
/// Inputs of an invocation: a Philox counter and key, and a number of each domain, as bits. Nothing on the way
/// is subnormal, which a device may flush: reciprocals are taken up to 2^100.
const INPUTS: usize = 12;
const COUNTER: usize = 0;
const KEY: usize = 4;
const EXPONENT: usize = 6;
const RECIPROCAL: usize = 7;
const NORMAL: usize = 8;
const MAGNITUDE: usize = 9;
const ABOVE_MINUS_ONE: usize = 11;

const OUTPUTS: usize = 20;
const NAMES: [&str; OUTPUTS] = [
    "philox word 0",
    "philox word 1",
    "philox word 2",
    "philox word 3",
    "uniform",
    "neg_log_uniform",
    "cos",
    "sin",
    "normal_pair.0",
    "normal_pair.1",
    "exp",
    "expm1",
    "recip",
    "rsqrt",
    "sqrt",
    "log",
    "log1p",
    "mills_pair.0",
    "mills_pair.1",
    "bell",
];

const ENTRY: &str = "
@group(0) @binding(0) var<uniform> guards: vec4<u32>;
@group(0) @binding(1) var<storage, read> inputs: array<u32>;
@group(0) @binding(2) var<storage, read_write> outputs: array<u32>;

fn guard_zero() -> u32 {
    return guards.x;
}

fn guard_minus_zero() -> f32 {
    return bitcast<f32>(guards.y);
}

fn guard_one() -> f32 {
    return bitcast<f32>(guards.z);
}

fn number(at: u32) -> f32 {
    return bitcast<f32>(inputs[at]);
}

@compute @workgroup_size(64)
fn numeric(@builtin(global_invocation_id) id: vec3<u32>) {
    if id.x >= arrayLength(&inputs) / 12u {
        return;
    }
    let i = id.x * 12u;
    let o = id.x * 20u;
    let a = inputs[i];
    let b = inputs[i + 1u];
    let words = philox4x32_10(
        vec4<u32>(a, b, inputs[i + 2u], inputs[i + 3u]), vec2<u32>(inputs[i + 4u], inputs[i + 5u]));
    outputs[o] = words.x;
    outputs[o + 1u] = words.y;
    outputs[o + 2u] = words.z;
    outputs[o + 3u] = words.w;
    outputs[o + 4u] = bitcast<u32>(unit_uniform(a));
    outputs[o + 5u] = bitcast<u32>(neg_log_uniform(a));
    let turn = cos_sin_turn(b);
    outputs[o + 6u] = bitcast<u32>(turn.x);
    outputs[o + 7u] = bitcast<u32>(turn.y);
    let normals = normal_pair(a, b);
    outputs[o + 8u] = bitcast<u32>(normals.x);
    outputs[o + 9u] = bitcast<u32>(normals.y);
    outputs[o + 10u] = bitcast<u32>(exp(number(i + 6u)));
    outputs[o + 11u] = bitcast<u32>(expm1(number(i + 6u)));
    outputs[o + 12u] = bitcast<u32>(recip(number(i + 7u)));
    outputs[o + 13u] = bitcast<u32>(rsqrt(number(i + 8u)));
    outputs[o + 14u] = bitcast<u32>(sqrt(number(i + 8u)));
    outputs[o + 15u] = bitcast<u32>(log_sum(number(i + 8u), 0.0));
    let x = number(i + 11u);
    outputs[o + 16u] = bitcast<u32>(log_sum(select(x, 1.0, 1.0 > x), select(x, 1.0, 1.0 < x)));
    let r = mills_pair(number(i + 9u), number(i + 10u));
    outputs[o + 17u] = bitcast<u32>(r.x);
    outputs[o + 18u] = bitcast<u32>(r.y);
    outputs[o + 19u] = bitcast<u32>(bell(number(i + 9u)));
}
";

fn source(dialect: Dialect) -> String {
    let parts = [
        ENTRY,
        dialect.guard(),
        include_str!("../../../shaders/lib/math.wgsl"),
        include_str!("../../../shaders/lib/normal.wgsl"),
        include_str!("../../../shaders/lib/philox.wgsl"),
        dialect.product(),
    ];
    parts.join("\n")
}

/// The known answers first, then edges with random words, then random words alone.
fn inputs() -> Vec<[u32; INPUTS]> {
    let known = philox_known_answers();
    let edges = edge_words();
    let row = |i: usize| {
        let draw = |block: u32| philox4x32_10([i as u32, block, 0, 0], [0x5EED, 1]);
        let [c0, c1, c2, c3] = draw(0);
        let [k0, k1, x, p] = draw(1);
        let [n, y1, y2, l] = draw(2);
        let mut counter = [c0, c1, c2, c3];
        let mut key = [k0, k1];
        if let Some(known) = known.get(i) {
            (counter, key) = (known.counter, known.key);
        } else if i < edges.len() * edges.len() + known.len() {
            let pair = i - known.len();
            counter[0] = edges[pair / edges.len()];
            counter[1] = edges[pair % edges.len()];
        }
        let unit = |word: u32| f64::from(word) / 4_294_967_296.0;
        let edge = |edges: &[f32], random: f32| edges.get(i).copied().unwrap_or(random).to_bits();
        // A bit pattern with an exponent from the first to before the second.
        let bits = |word: u32, from: u32, to: u32| f32::from_bits((from << 23) + word % ((to - from) << 23));
        let one = 1.0f32;
        let near_one = [one.next_down(), one, one.next_up(), 0.5, 2.0, std::f32::consts::FRAC_1_SQRT_2];
        let exponent = if i.is_multiple_of(4) { (unit(x) - 0.5) * 0.01 } else { (unit(x) - 0.5) * 180.0 };
        let above = if i.is_multiple_of(2) { unit(l) as f32 - one.next_down() } else { bits(l, 1, 252) };
        let [c0, c1, c2, c3] = counter;
        [
            c0,
            c1,
            c2,
            c3,
            key[0],
            key[1],
            edge(
                &[0.0, -0.0, -86.0, 88.0, -1e30, 1e30, f32::MIN_POSITIVE, 0.346_573_6, -0.346_573_6],
                exponent as f32,
            ),
            edge(&near_one, bits(p, 2, 227)),
            edge(&near_one, bits(n, 1, 253)),
            edge(&[0.0, 12.0, 13.0, f32::MIN_POSITIVE], (unit(y1) * 13.0) as f32),
            edge(&[0.0, 12.0, 0.0, 13.0], (unit(y2) * 13.0) as f32),
            edge(&near_one, above),
        ]
    };
    (0..COUNT).map(row).collect()
}

fn expected(input: &[u32; INPUTS]) -> [u32; OUTPUTS] {
    let [a, b] = [input[COUNTER], input[COUNTER + 1]];
    let words = philox4x32_10([a, b, input[2], input[3]], [input[KEY], input[KEY + 1]]);
    let number = |at: usize| f32::from_bits(input[at]);
    let (cos, sin) = <f32 as Real>::cos_sin_turn(b);
    let normals = <f32 as Real>::normal_pair(a, b);
    let mills = <f32 as Real>::mills_pair(number(MAGNITUDE), number(MAGNITUDE + 1));
    let numbers: [f32; OUTPUTS - 4] = [
        Real::uniform(a),
        Real::neg_log_uniform(a),
        cos,
        sin,
        normals.0,
        normals.1,
        Real::exp(number(EXPONENT)),
        Real::expm1(number(EXPONENT)),
        Real::recip(number(RECIPROCAL)),
        Real::rsqrt(number(NORMAL)),
        Real::sqrt(number(NORMAL)),
        Real::log(number(NORMAL)),
        Real::log1p(number(ABOVE_MINUS_ONE)),
        mills.0,
        mills.1,
        Real::bell(number(MAGNITUDE)),
    ];
    let mut all = [0; OUTPUTS];
    all[..4].copy_from_slice(&words);
    for (to, from) in all[4..].iter_mut().zip(numbers) {
        *to = from.to_bits();
    }
    all
}

/// What the guards are made of: 0, -0 and 1.
const GUARDS: [u32; 4] = [0, (-0.0f32).to_bits(), 1.0f32.to_bits(), 0];

/// What the device makes of the inputs; `guards` is what the compiler must not know.
fn run(device: &Device, source: String, inputs: &[[u32; INPUTS]], guards: [u32; 4]) -> Vec<[u32; OUTPUTS]> {
    let count = inputs.len() * OUTPUTS;
    let outputs = device.scoped(|| dispatch(device, source, inputs, guards)).expect("the shader is valid");
    let words: Vec<u32> = device.read(&outputs, count).expect("the shader runs");
    words.chunks(OUTPUTS).map(|row| row.try_into().expect("rows are whole")).collect()
}

fn dispatch(device: &Device, source: String, inputs: &[[u32; INPUTS]], guards: [u32; 4]) -> wgpu::Buffer {
    let raw = &device.raw;
    let source = ShaderSource::Wgsl(source.into());
    let module = raw.create_shader_module(ShaderModuleDescriptor { label: Some("numeric"), source });
    let pipeline = raw.create_compute_pipeline(&ComputePipelineDescriptor {
        label: Some("numeric"),
        layout: None,
        module: &module,
        entry_point: Some("numeric"),
        compilation_options: wgpu::PipelineCompilationOptions::default(),
        cache: None,
    });
    let guard_buffer = device.buffer("guards", 16, BufferUsages::UNIFORM | BufferUsages::COPY_DST);
    device.queue.write_buffer(&guard_buffer, 0, bytemuck::cast_slice(&guards));
    // A binding of exactly the inputs, of which the shader asks the length.
    let flat: Vec<u32> = inputs.concat();
    let table = device.table("inputs", &flat);
    let outputs = device.storage("outputs", (inputs.len() * OUTPUTS * 4) as u64);
    let entries = [&guard_buffer, &table, &outputs];
    let entries: Vec<_> = entries
        .iter()
        .zip(0..)
        .map(|(buffer, binding)| BindGroupEntry { binding, resource: buffer.as_entire_binding() })
        .collect();
    let group = raw.create_bind_group(&BindGroupDescriptor {
        label: None,
        layout: &pipeline.get_bind_group_layout(0),
        entries: &entries,
    });
    let mut encoder = raw.create_command_encoder(&CommandEncoderDescriptor::default());
    {
        let mut pass = encoder.begin_compute_pass(&ComputePassDescriptor::default());
        pass.set_pipeline(&pipeline);
        pass.set_bind_group(0, &group, &[]);
        pass.dispatch_workgroups((inputs.len() as u32).div_ceil(64), 1, 1);
    }
    device.queue.submit([encoder.finish()]);
    outputs
}

/// Differing answers of each function.
fn differing(got: &[[u32; OUTPUTS]], expected: &[[u32; OUTPUTS]]) -> [usize; OUTPUTS] {
    assert_eq!(got.len(), expected.len());
    let mut counts = [0; OUTPUTS];
    for (got, expected) in got.iter().zip(expected) {
        for function in 0..OUTPUTS {
            counts[function] += usize::from(got[function] != expected[function]);
        }
    }
    counts
}

/// What the device can be told in.
fn dialects(device: &Device) -> Vec<Dialect> {
    let summary = &device.summary;
    let each = [false, true].map(|has| [false, true].map(|fused| (has, fused))).concat();
    each.into_iter()
        .filter(|(wide, fused)| summary.shader_int64 >= *wide && summary.keeps_fused_operations >= *fused)
        .map(|(wide_products, fused_guards)| Dialect { wide_products, fused_guards })
        .collect()
}

#[test]
fn shaders_give_the_bits_of_the_twins() {
    let Some(engine) = engine(GpuOptions::default()) else { return };
    let device = &engine.device;
    let inputs = inputs();
    let expected: Vec<_> = inputs.iter().map(expected).collect();
    for dialect in dialects(device) {
        let counts = differing(&run(device, source(dialect), &inputs, GUARDS), &expected);
        eprintln!("{dialect:?}: {counts:?} of {COUNT} differ");
        for (name, count) in NAMES.iter().zip(counts) {
            assert_eq!(count, 0, "{name} differs, {dialect:?}");
        }
    }
}

#[test]
fn shaders_meet_the_published_words() {
    let Some(engine) = engine(GpuOptions::default()) else { return };
    let device = &engine.device;
    let known = philox_known_answers();
    let inputs = &inputs()[..known.len()];
    for dialect in dialects(device) {
        let matching = |source: String| {
            let got = run(device, source, inputs, GUARDS);
            got.iter().zip(&known).filter(|(got, known)| got[..4] == known.words).count()
        };
        assert_eq!(matching(source(dialect)), known.len());
        let nine = source(dialect)
            .replace("return philox_round(philox_round(d, k8), k9);", "return philox_round(d, k8);");
        assert_ne!(nine, source(dialect));
        assert_eq!(matching(nine), 0, "negative control: nine rounds");
    }
}

#[test]
fn a_perturbed_function_is_seen() {
    let Some(engine) = engine(GpuOptions::default()) else { return };
    let device = &engine.device;
    let inputs = &inputs()[..1 << 14];
    let expected: Vec<_> = inputs.iter().map(expected).collect();
    let number_of = |name: &str| NAMES.iter().position(|other| *other == name).expect("it is a function");
    // One coefficient's last digits, and what they reach.
    for (right, wrong, reached) in [
        ("0.041668415", "0.04166", &["exp", "expm1"][..]),
        ("0.20002118", "0.2001", &["log", "log1p", "neg_log_uniform"]),
        ("0.99878296", "0.9987", &["recip"]),
        ("0.49830313", "0.4983", &["rsqrt", "sqrt"]),
        ("64.93932", "64.94", &["cos", "sin"]),
        ("0.16902004", "0.1690", &["mills_pair.0", "mills_pair.1"]),
        ("0.055503286", "0.0555", &["bell"]),
    ] {
        let perturbed = source(Dialect::PLAIN).replace(right, wrong);
        assert_ne!(perturbed, source(Dialect::PLAIN));
        let counts = differing(&run(device, perturbed, inputs, GUARDS), &expected);
        for name in reached {
            assert!(counts[number_of(name)] > 0, "{name} with {wrong}: {counts:?}");
        }
    }
    // A guard of one turns the last bit of every guarded result.
    let counts = differing(&run(device, source(Dialect::PLAIN), inputs, [1, 0, 0, 0]), &expected);
    assert!(counts[..4].iter().all(|count| *count == 0) && counts[4..].iter().all(|count| *count > 0));
    // Without a guard a device may, and most do, fuse or reorder: reported, as it need not.
    let unguarded = source(Dialect::PLAIN).replace("^ guard_zero()", "^ (guard_zero() & 0u)");
    assert_ne!(unguarded, source(Dialect::PLAIN));
    eprintln!(
        "without guard: {:?} of {}",
        differing(&run(device, unguarded, inputs, GUARDS), &expected),
        inputs.len()
    );
}
