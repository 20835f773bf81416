// One pass over V ~ (factor of its longer axis) x (factor of its shorter axis), for the factor of one axis, which is
// called `own`; the axis that is summed over is `other`. What is written with `//` and a word is for `shader.rs`.
//
// Each workgroup has a tile of 64 entries of `own` and a part of `other`, over whose tiles it goes. 256 threads make a
// tile of W H, 4 x 4 entries each, and divide V by it; the quotients, side by side in the workgroup's memory, give the
// numerators of 16 components per round. Nothing but those is ever written.

struct Geometry {
    own: u32,             // vec4 in a row of the own factor
    other: u32,           // vec4 in a row of the other factor
    v: u32,               // vec4 in a row of V, which runs along the shorter axis
    part: u32,            // tiles of the other axis in a part
    tiles: u32,           // and in all
}

struct Turn {
    slot: u32,            // which fit
    factor: f32,          // how far its factors go on in the direction of their last step
}

@group(0) @binding(0) var<uniform> geometry: Geometry;
@group(0) @binding(1) var<storage, read> v: array<vec4f>;        // [long][short / 4]
@group(0) @binding(2) var<storage, read> own: array<vec4f>;      // [slot][component][own / 4]
@group(0) @binding(3) var<storage, read> other: array<vec4f>;    // [slot][component][other / 4]
//if LOSS
@group(0) @binding(4) var<storage, read_write> result: array<f32>;  // [fit][part][tile of own]
//else
@group(0) @binding(4) var<storage, read_write> result: array<vec4f>; // [fit][part][component][own / 4]
//end
@group(1) @binding(0) var<storage, read> turns: array<Turn>;

// Added to W H, so that the padding can be divided by.
const EPS = 1e-20;

var<workgroup> own_tile: array<vec4f, N_SLICE_TILE>;    // [component][own / 4]
var<workgroup> other_tile: array<vec4f, N_SLICE_TILE>;  // [component][other / 4]
// [other][own / 4]; the column is XORed with a quarter of the row, so that no two threads of a warp meet in a bank.
var<workgroup> quotients: array<vec4f, 1024>;

//if LOSS
// v ln(v / y) - v + y. With s = (y - v) / (y + v) it is (y - v) s - 2 v (s^3 / 3 + s^5 / 5 + ...), which loses nothing
// where v and y are close; devices' logarithms are not exact there.
fn divergence(v: vec4f, y: vec4f) -> vec4f {
    let gap = y - v;
    let s = gap / (y + v);
    let square = s * s;
    let tail = 1.0 / 3.0 + square * (1.0 / 5.0 + square * (1.0 / 7.0 + square * (1.0 / 9.0 + square * (1.0 / 11.0
        + square * (1.0 / 13.0 + square * (1.0 / 15.0 + square / 17.0))))));
    let near = gap * s - 2.0 * v * s * square * tail;
    let far = v * log(max(v / y, vec4f(1e-37))) + gap;
    return select(far, near, abs(s) < vec4f(0.3));
}
//end

@compute @workgroup_size(256)
fn main(
    @builtin(local_invocation_index) thread: u32,
    @builtin(workgroup_id) place: vec3u,
    @builtin(num_workgroups) places: vec3u,
) {
    let x = thread % 16u;
    let y = thread / 16u;
    let fit = place.z / N_GROUPS;
    let group = place.z % N_GROUPS * GROUP;
    let slot = turns[fit].slot;
    let own_rows = slot * N * geometry.own + place.x * 16u;
    let other_rows = slot * N * geometry.other;
    let first = place.y * geometry.part;
    let last = min(first + geometry.part, geometry.tiles);
//if LOSS
    var loss = vec4f();
//else
//repeat s GROUP_SLICES
//repeat t ROUNDS
    var n{s}_{t} = vec4f();
//end
//end
//end
//if ONE_SLICE
//repeat r ROUNDS
    own_tile[{r}u * 256u + thread] = own[own_rows + ({r}u * 16u + y) * geometry.own + x];
//end
//end

    for (var tile = first; tile < last; tile++) {
        // W H
//repeat j 4
        var y{j} = vec4f(EPS);
//end
        for (var below = N_SLICES; below > 0u; below--) {
            let slice = (below - 1u) * SLICE;
            workgroupBarrier();
//repeat r ROUNDS
//if MANY_SLICES
            own_tile[{r}u * 256u + thread] = own[own_rows + (slice + {r}u * 16u + y) * geometry.own + x];
//end
            other_tile[{r}u * 256u + thread] =
                other[other_rows + (slice + {r}u * 16u + y) * geometry.other + tile * 16u + x];
//end
            workgroupBarrier();
            for (var k = 0u; k < SLICE * 16u; k += 128u) {
//repeat u 8
                {
                    // Four entries of the shorter axis, and four of the longer.
//if OWN_IS_LONG
                    let short = other_tile[k + {u}u * 16u + x];
                    let long = own_tile[k + {u}u * 16u + y];
//else
                    let short = own_tile[k + {u}u * 16u + x];
                    let long = other_tile[k + {u}u * 16u + y];
//end
                    y0 += short * long.x;
                    y1 += short * long.y;
                    y2 += short * long.z;
                    y3 += short * long.w;
                }
//end
            }
        }

        // V / WH
//if OWN_IS_LONG
        let corner = (place.x * 64u + y * 4u) * geometry.v + tile * 16u + x;
//else
        let corner = (tile * 64u + y * 4u) * geometry.v + place.x * 16u + x;
//end
//repeat j 4
        let v{j} = v[corner + {j}u * geometry.v];
//end
//if LOSS
        loss += (divergence(v0, y0) + divergence(v1, y1)) + (divergence(v2, y2) + divergence(v3, y3));
//else
//repeat j 4
        let q{j} = v{j} / y{j};
//end
//if OWN_IS_LONG
        quotients[x * 64u + (x ^ y)] = vec4f(q0.x, q1.x, q2.x, q3.x);
        quotients[x * 64u + 16u + (x ^ y)] = vec4f(q0.y, q1.y, q2.y, q3.y);
        quotients[x * 64u + 32u + (x ^ y)] = vec4f(q0.z, q1.z, q2.z, q3.z);
        quotients[x * 64u + 48u + (x ^ y)] = vec4f(q0.w, q1.w, q2.w, q3.w);
//else
//repeat j 4
        quotients[y * 64u + {j}u * 16u + (x ^ y)] = q{j};
//end
//end
        workgroupBarrier();

        // Numerators. The slice that came last is the first, and still there.
//repeat s GROUP_SLICES
//if RELOADS_{s}
        workgroupBarrier();
//repeat r ROUNDS
        other_tile[{r}u * 256u + thread] =
            other[other_rows + (group + {s}u * SLICE + {r}u * 16u + y) * geometry.other + tile * 16u + x];
//end
        workgroupBarrier();
//end
        for (var l = 0u; l < 16u; l += 4u) {
//repeat u 4
            {
                let column = (l + {u}u) * 64u + (x ^ (l + {u}u));
                let q0 = quotients[column];
                let q1 = quotients[column + 16u];
                let q2 = quotients[column + 32u];
                let q3 = quotients[column + 48u];
//repeat t ROUNDS
                let b{t} = other_tile[{t}u * 256u + y * 16u + l + {u}u];
                n{s}_{t} += (b{t}.x * q0 + b{t}.y * q1) + (b{t}.z * q2 + b{t}.w * q3);
//end
            }
//end
        }
//end
//end
    }

//if LOSS
    quotients[thread] = loss;
    for (var half = 128u; half > 0u; half /= 2u) {
        workgroupBarrier();
        if thread < half {
            quotients[thread] += quotients[thread + half];
        }
    }
    if thread == 0u {
        let sums = quotients[0];
        let part = fit * places.y + place.y;
        result[part * places.x + place.x] = (sums.x + sums.y) + (sums.z + sums.w);
    }
//else
    let rows = ((fit * places.y + place.y) * N + group + y) * geometry.own + place.x * 16u + x;
//repeat s GROUP_SLICES
//repeat t ROUNDS
    result[rows + ({s}u * SLICE + {t}u * 16u) * geometry.own] = n{s}_{t};
//end
//end
//end
}
