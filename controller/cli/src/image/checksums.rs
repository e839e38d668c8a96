//! What publishers say of their media: lists of SHA-256 as `sha256sum` writes them, plain or with `--tag`.

use proto::Digest;

/// Why a list does not tell what a file should be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum ChecksumsError {
    /// Nothing in it looks like a checksum.
    #[error("no line of it is a SHA-256 and a name")]
    Nothing,
    /// The file is not in it.
    #[error("it does not name {name:?}")]
    Unnamed {
        /// What was looked for.
        name: String,
    },
    /// More than one line may mean the file.
    #[error("it names {name:?} more than once, with different checksums")]
    Several {
        /// What was looked for.
        name: String,
    },
}

/// The checksum of a file in a list of them. `source` is the path or URL that the file came from: of several lines with its name
/// the one counts that has most of its folders, too.
///
/// # Errors
/// [`ChecksumsError`].
pub(crate) fn expected(list: &str, source: &str) -> Result<Digest, ChecksumsError> {
    let mut lines = list.lines().filter_map(line).peekable();
    if lines.peek().is_none() {
        return Err(ChecksumsError::Nothing);
    }
    let common = lines.map(|(digest, path)| (in_common(path, source), digest));
    let common: Vec<_> = common.filter(|(parts, _)| *parts > 0).collect();
    let name = || source.rsplit('/').next().unwrap_or(source).to_owned();
    let most = common.iter().map(|(parts, _)| *parts).max();
    let most = most.ok_or_else(|| ChecksumsError::Unnamed { name: name() })?;
    let mut best = common.iter().filter(|(parts, _)| *parts == most).map(|(_, digest)| *digest);
    match best.next() {
        Some(digest) if best.all(|other| other == digest) => Ok(digest),
        _ => Err(ChecksumsError::Several { name: name() }),
    }
}

/// `HEX  NAME`, `HEX *NAME` or `SHA256 (NAME) = HEX`.
fn line(line: &str) -> Option<(Digest, &str)> {
    if let Some(tagged) = line.strip_prefix("SHA256 (") {
        let (name, digest) = tagged.rsplit_once(") = ")?;
        return Some((digest.trim().parse().ok()?, name));
    }
    let (digest, name) = line.split_once(' ')?;
    let name = name.strip_prefix([' ', '*'])?;
    Some((digest.parse().ok()?, name.trim_end()))
}

/// How many of the last parts of two paths are the same.
fn in_common(one: &str, other: &str) -> usize {
    one.rsplit('/').zip(other.rsplit('/')).take_while(|(one, other)| one == other).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(byte: u8) -> String {
        Digest([byte; 32]).to_string()
    }

    #[test]
    fn each_form_of_a_line_is_read() {
        let list = format!(
            "# comment\n{}  a.iso\n{} *b.iso\nSHA256 (c (1).iso) = {}\n{}  ./d.iso\r\nxx  e.iso\n",
            hex(1),
            hex(2),
            hex(3),
            hex(4)
        );
        for (source, byte) in [("a.iso", 1), ("/x/b.iso", 2), ("c (1).iso", 3), ("http://h/d.iso", 4)] {
            assert_eq!(expected(&list, source), Ok(Digest([byte; 32])), "{source}");
        }
        let unnamed = ChecksumsError::Unnamed { name: "e.iso".into() };
        assert_eq!(expected(&list, "x/e.iso"), Err(unnamed));
        assert_eq!(expected("<html>", "e.iso"), Err(ChecksumsError::Nothing));
    }

    #[test]
    fn of_one_name_in_several_folders_the_source_tells_which() {
        let list = format!("{}  ./netboot/mini.iso\n{}  ./netboot/gtk/mini.iso\n", hex(1), hex(2));
        assert_eq!(expected(&list, "http://h/images/netboot/gtk/mini.iso"), Ok(Digest([2; 32])));
        assert_eq!(expected(&list, "http://h/images/netboot/mini.iso"), Ok(Digest([1; 32])));
        let several = ChecksumsError::Several { name: "mini.iso".into() };
        assert_eq!(expected(&list, "mini.iso"), Err(several));
        let same = format!("{0}  a/x.iso\n{0}  b/x.iso\n", hex(1));
        assert_eq!(expected(&same, "x.iso"), Ok(Digest([1; 32])));
    }
}
