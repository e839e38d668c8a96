//! Lines as reports show them: without what looks like a secret.

/// Words whose values are secrets, in any case and with any prefix: `vncpassword`, `passwd/root-password`, `rootpw`.
const SECRET: [&str; 8] =
    ["passw", "rootpw", "passphrase", "secret", "token", "credential", "crypted", "apikey"];
/// What stands for a secret.
const HIDDEN: &str = "…";

/// Does a key's name say that its value is a secret?
pub(crate) fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET.iter().any(|word| name.contains(word))
}

/// A line, its secrets hidden.
pub(crate) fn line(text: &str) -> String {
    let mut hide_next = false;
    let words = text.split(' ').map(|word| {
        let hidden = if hide_next && !word.is_empty() { HIDDEN.to_owned() } else { self::word(word) };
        // `MENU PASSWD $1$…`, `rootpw --iscrypted …`.
        hide_next = hide_next && (word.is_empty() || word.starts_with("--"))
            || !word.contains('=') && is_secret(word);
        hidden
    });
    words.collect::<Vec<_>>().join(" ")
}

fn word(word: &str) -> String {
    match word.split_once('=') {
        Some((name, _)) if is_secret(name) => format!("{name}={HIDDEN}"),
        Some(_) | None => without_user(word),
    }
}

/// `http://user:password@server/` without the user.
fn without_user(word: &str) -> String {
    let Some((scheme, rest)) = word.split_once("://") else { return word.to_owned() };
    let end = rest.find('/').unwrap_or(rest.len());
    match rest[..end].rsplit_once('@') {
        Some((_, server)) => format!("{scheme}://{HIDDEN}@{server}{}", &rest[end..]),
        None => word.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_secret_is_shown() {
        for (text, shown) in [
            ("MENU PASSWD $4$x$abc", "MENU PASSWD …"),
            ("append vncpassword=hunter2 quiet", "append vncpassword=… quiet"),
            ("ks=http://joe:hunter2@10.0.0.1/a.ks", "ks=http://…@10.0.0.1/a.ks"),
            ("rootpw --iscrypted $6$abc", "rootpw … …"),
            ("passwd/root-password=x url=http://a/b@c", "passwd/root-password=… url=http://a/b@c"),
        ] {
            assert_eq!(line(text), shown);
        }
    }
}
