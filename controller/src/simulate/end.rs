//! What a machine does at the end of its boot, in words.

use rom::End;

/// A sentence for people.
pub(super) fn words(end: &End) -> String {
    match end {
        End::LocalDisk => "starts from its local disk".into(),
        End::NextDevice { why } => format!("goes on with its next boot device: {why}"),
        End::Files(found) => format!("runs its loader with {} files of its own", found.len()),
        End::Kernel { .. } => "runs its kernel".into(),
    }
}
