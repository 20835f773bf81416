//! `partita spectrogram`: recordings in, pictures out.

mod args;
mod job;
mod look;

use super::batch::each;
use super::context::Context;
use super::failure::Failure;
use super::inputs;
pub(super) use args::SpectrogramArgs;
use job::Job;
use look::Look;

pub(super) fn run(args: &SpectrogramArgs, context: &Context) -> Result<u8, Failure> {
    let terminal = &context.terminal;
    let look = Look::new(args, terminal)?;
    let (paths, files_from) = (&args.inputs.paths, args.batch.files_from.as_deref());
    if args.together {
        return job::together(args, &look, &inputs::find(paths, files_from)?.settle_together(terminal)?, terminal);
    }
    let mut inputs = inputs::find(paths, files_from)?.settle(terminal)?;
    let job = Job::new(args, &look, &inputs, context)?;
    inputs.retain(|input| args.batch.shard.is_none_or(|shard| shard.contains(&input.track)));
    job.check(&inputs)?;
    let done = if args.dry_run { "would be drawn" } else { "drawn" };
    let outcome = each(&inputs, terminal, done, &|input, terminal| job.run(input, terminal));
    job.finish().and(outcome)
}
