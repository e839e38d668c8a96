//! Names of resources, as people choose them.

/// What is wrong with a name. The rule: 1 to 63 lower-case letters, digits, dots and hyphens, a letter or digit at both ends.
pub(crate) fn flaw(name: &str) -> Option<String> {
    let edge = |byte: Option<&u8>| byte.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let bytes = name.as_bytes();
    let inner =
        bytes.iter().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.'));
    let good = bytes.len() <= 63 && inner && edge(bytes.first()) && edge(bytes.last());
    (!good).then(|| {
        let rule = "expected 1 to 63 lower-case letters, digits, dots or hyphens, with a letter or digit at both ends";
        format!("{name:?} is no name: {rule}")
    })
}
