//! What the separating commands share: each recording in, its stems out.

mod job;
mod method;
mod plot;
mod report;
mod write;
mod written;

use super::batch::each;
use super::context::Context;
use super::failure::Failure;
use super::flags::{ExcerptArgs, InputArgs, OutputArgs};
use super::inputs;
use job::Job;

#[cfg(test)]
pub(super) use method::Extent;
pub(super) use method::{Extra, Method, Outcome};

/// Works through all inputs of a separating command.
pub(super) fn run(
    inputs: &InputArgs,
    output: &OutputArgs,
    excerpt: &ExcerptArgs,
    context: &Context,
    method: &dyn Method,
) -> Result<u8, Failure> {
    let batch = &output.batch;
    let mut job = Job::new(output, excerpt, context, method)?;
    let mut found = inputs::find(&inputs.paths, batch.files_from.as_deref())?;
    written::leave_out(&mut found, output, method.names(), job.manifest());
    let mut inputs = match method.has_sessions() {
        true => method.sessions(found.settle_together(&context.terminal)?)?,
        false => found.settle(&context.terminal)?,
    };
    inputs.retain(|input| batch.shard.is_none_or(|shard| shard.contains(&input.track)));
    job.check(&inputs)?;
    let done = if output.dry_run { "would be separated" } else { "separated" };
    let outcome = each(&inputs, &context.terminal, done, &|input, terminal| job.run(input, terminal));
    job.finish().and(outcome)
}
