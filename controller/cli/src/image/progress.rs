//! How far a long transfer is: a bar on a terminal, nothing where there is none (the command writes lines then).

use indicatif::{ProgressBar, ProgressStyle};

/// A transfer under way. Cheap to clone; it ends when it is finished or dropped.
#[derive(Debug, Clone)]
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// Of `total` bytes; 0: not known. Drawn only if standard error is `live`.
    pub(crate) fn new(live: bool, what: &str, total: u64) -> Self {
        let bar = if live { ProgressBar::new(total) } else { ProgressBar::hidden() };
        let template = match total {
            0 => "{prefix} {bytes} ({bytes_per_sec})",
            _ => "{prefix} {wide_bar} {bytes}/{total_bytes} ({bytes_per_sec}, {eta})",
        };
        bar.set_style(ProgressStyle::with_template(template).expect("a template of this file, tested below"));
        bar.set_prefix(what.to_owned());
        Self { bar }
    }

    /// So many bytes more.
    pub(crate) fn advance(&self, bytes: usize) {
        self.bar.inc(bytes as u64);
    }

    /// Takes the bar away.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_templates_are_legal() {
        for total in [0, 7] {
            let progress = Progress::new(true, "x", total);
            progress.advance(3);
            assert_eq!(progress.bar.position(), 3);
            progress.finish();
        }
    }
}
