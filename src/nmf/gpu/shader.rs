//! The shaders, made for a number of components, and the pipelines that run them.
//!
//! A `.wgsl` file here has lines that begin with `//` and a word: `//if NAME`, `//else` and `//end`, and
//! `//repeat x COUNT`, which writes its lines COUNT times with `{x}` counting from 0. Loops that have to be unrolled, and
//! sums that have to stay in registers, are written out this way, whatever a driver makes of loops and arrays.

use super::shape::Components;

const PHASE: &str = include_str!("phase.wgsl");
const UPDATE: &str = include_str!("update.wgsl");

/// A pass over V.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Pass {
    /// The numerators of the factor of the longer axis.
    Long,
    /// Those of the factor of the shorter axis.
    Short,
    /// The divergence, tile by tile of the longer axis.
    Loss,
}

/// The shader of a pass, its entry point `main`.
pub(super) fn phase(components: Components, pass: Pass) -> String {
    let (n_groups, n_slices) = (components.n_groups(), components.n_slices());
    let holds = |name: &str| match name {
        "LOSS" => pass == Pass::Loss,
        "OWN_IS_LONG" => pass != Pass::Short,
        "ONE_SLICE" => n_slices == 1,
        "MANY_SLICES" => n_slices > 1,
        // The first slice came last; but not every group begins with it.
        "RELOADS_0" => n_groups > 1,
        _ => name.starts_with("RELOADS_"),
    };
    let count = |name: &str| match name {
        "ROUNDS" => components.slice / 16,
        "GROUP_SLICES" => components.group / components.slice,
        number => number.parse().unwrap_or(0),
    };
    let constants = format!(
        "const N = {}u;\nconst SLICE = {}u;\nconst N_SLICES = {n_slices}u;\nconst N_SLICE_TILE = {}u;\n\
         const GROUP = {}u;\nconst N_GROUPS = {n_groups}u;\n",
        components.n,
        components.slice,
        components.slice * 16,
        components.group,
    );
    constants + &written_out(PHASE, &holds, &count)
}

/// The shader of all else, its entry points `update`, `extrapolate` and `sums`.
pub(super) fn update(components: Components) -> String {
    format!("const N = {}u;\n{UPDATE}", components.n)
}

/// A template with its lines chosen and repeated.
fn written_out(template: &str, holds: &dyn Fn(&str) -> bool, count: &dyn Fn(&str) -> usize) -> String {
    let mut out = String::new();
    let mut lines = template.lines();
    while let Some(line) = lines.next() {
        if let Some(name) = line.strip_prefix("//if ") {
            let (then, otherwise) = block(&mut lines);
            out += &written_out(if holds(name) { &then } else { &otherwise }, holds, count);
        } else if let Some(rest) = line.strip_prefix("//repeat ") {
            let (body, _) = block(&mut lines);
            let (variable, n) = rest.split_once(' ').unwrap_or((rest, ""));
            for i in 0..count(n) {
                out += &written_out(&body.replace(&format!("{{{variable}}}"), &i.to_string()), holds, count);
            }
        } else {
            out += line;
            out.push('\n');
        }
    }
    out
}

/// The lines up to the matching `//end`, before and after an `//else` of theirs.
fn block<'a>(lines: &mut impl Iterator<Item = &'a str>) -> (String, String) {
    let (mut depth, mut parts, mut part) = (1, [String::new(), String::new()], 0);
    for line in lines {
        if line.starts_with("//if ") || line.starts_with("//repeat ") {
            depth += 1;
        } else if line == "//end" {
            depth -= 1;
            if depth == 0 {
                break;
            }
        } else if line == "//else" && depth == 1 {
            part = 1;
            continue;
        }
        parts[part] += line;
        parts[part].push('\n');
    }
    let [then, otherwise] = parts;
    (then, otherwise)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_chosen_and_repeated() {
        let template = "a\n//repeat i TWO\n//if X_{i}\nx{i}\n//else\n//repeat j 2\ny{i}{j}\n//end\n//end\n//end\nb";
        let written = written_out(template, &|name| name == "X_1", &|_| 2);
        assert_eq!(written, "a\ny00\ny01\nx1\nb\n");
    }

    #[test]
    fn no_line_for_the_template_is_left_in_a_shader() {
        for n in [1, 16, 33, 129] {
            for pass in [Pass::Long, Pass::Short, Pass::Loss] {
                let shader = phase(Components::new(n), pass);
                let left = shader
                    .lines()
                    .find(|line| line.starts_with("//") && !["", " "].contains(&line.get(2..3).unwrap_or("")));
                assert_eq!(left, None, "{n} components");
                for variable in ["{i}", "{j}", "{r}", "{s}", "{t}", "{u}"] {
                    assert!(!shader.contains(variable), "{variable}, {n} components");
                }
            }
        }
    }
}
