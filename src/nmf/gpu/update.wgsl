// What is done to a factor, called `own`, apart from the passes over V: the sums of its components, the multiplicative
// update from the numerators of all parts, and the step beyond. What is written with `//` and a word is for
// `shader.rs`.

struct Geometry {
    own: u32,             // vec4 in a row of the own factor
    n_parts: u32,         // parts that its numerators come in
    is_first: u32,        // whether this block's numerators are the first of all
    is_last: u32,         // whether they are the last, so that the update is due
    goes_on: u32,         // whether the update is followed by a step beyond
    n_sums: u32,          // segments of the other factor
    segment: u32,         // vec4 in a segment of the own factor
    first_segment: u32,   // the first segment of this block
    n_slots: u32,
}

struct Turn {
    slot: u32,            // which fit
    factor: f32,          // how far its factors go on in the direction of their last step
}

@group(0) @binding(0) var<uniform> geometry: Geometry;
@group(0) @binding(1) var<storage, read> parts: array<vec4f>;            // [fit][part][component][own / 4]
@group(0) @binding(2) var<storage, read_write> numerators: array<vec4f>; // [fit][component][own / 4]
@group(0) @binding(3) var<storage, read_write> own: array<vec4f>;        // [slot][component][own / 4]
@group(0) @binding(4) var<storage, read_write> before: array<vec4f>;     // `own` one iteration ago
@group(0) @binding(5) var<storage, read_write> own_sums: array<f32>;     // [segment][slot][component]
@group(0) @binding(6) var<storage, read> other_sums: array<f32>;         // [segment][slot][component]
@group(0) @binding(7) var<storage, read> free: array<u32>;               // whether a component may change
@group(1) @binding(0) var<storage, read> turns: array<Turn>;

// An entry that is not 0 stays above the first and below the second.
const FLOOR = 1e-30;
const CEILING = 1e18;

// x + factor * max(x - before, 0); `before` becomes x.
fn go_on(i: u32, factor: f32) {
    let now = own[i];
    own[i] = now + factor * max(now - before[i], vec4f());
    before[i] = now;
}

@compute @workgroup_size(64)
fn update(@builtin(global_invocation_id) at: vec3u) {
    let k = at.y;
    if at.x >= geometry.own || free[k] == 0u {
        return;
    }
    let turn = turns[at.z];
    var numerator = vec4f();
    let sum_at = (at.z * N + k) * geometry.own + at.x;
    if geometry.is_first == 0u {
        numerator = numerators[sum_at];
    }
    for (var part = 0u; part < geometry.n_parts; part++) {
        numerator += parts[((at.z * geometry.n_parts + part) * N + k) * geometry.own + at.x];
    }
    if geometry.is_last == 0u {
        numerators[sum_at] = numerator;
        return;
    }
    var sum = 0.0;
    for (var segment = 0u; segment < geometry.n_sums; segment++) {
        sum += other_sums[(segment * geometry.n_slots + turn.slot) * N + k];
    }
    var inverse = 0.0;
    if sum > 0.0 {
        inverse = 1.0 / sum;
    }
    let i = (turn.slot * N + k) * geometry.own + at.x;
    let x = own[i];
    own[i] = min(max(x * (numerator * inverse), min(x, vec4f(FLOOR))), vec4f(CEILING));
    if geometry.goes_on == 1u {
        go_on(i, turn.factor);
    }
}

@compute @workgroup_size(64)
fn extrapolate(@builtin(global_invocation_id) at: vec3u) {
    if at.x < geometry.own {
        let turn = turns[at.z];
        go_on((turn.slot * N + at.y) * geometry.own + at.x, turn.factor);
    }
}

var<workgroup> subtotals: array<f32, 256>;

@compute @workgroup_size(256)
fn sums(@builtin(local_invocation_index) thread: u32, @builtin(workgroup_id) place: vec3u) {
    let k = place.x;
    let slot = turns[place.z].slot;
    let row = (slot * N + k) * geometry.own;
    let first = place.y * geometry.segment;
    let last = min(first + geometry.segment, geometry.own);
    var total = vec4f();
    for (var i = first + thread; i < last; i += 256u) {
        total += own[row + i];
    }
    subtotals[thread] = (total.x + total.y) + (total.z + total.w);
    for (var half = 128u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if thread < half {
            subtotals[thread] += subtotals[thread + half];
        }
    }
    if thread == 0u {
        own_sums[((geometry.first_segment + place.y) * geometry.n_slots + slot) * N + k] = subtotals[0];
    }
}
