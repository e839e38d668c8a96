//! Reading the TOML that this crate keeps: version first, and never a line of a key in an error.

/// What every kept file is of now.
pub(crate) const VERSION: u32 = 1;

/// Why a text is none of our files.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// No TOML of the right shape; cut off, perhaps.
    #[error("not whole")]
    Toml(#[source] Box<toml::de::Error>),
    /// Written by a newer version.
    #[error("written in version {0} of its format, this program reads version {VERSION}")]
    Version(u32),
}

/// Read first, so that a newer file is told from a damaged one.
#[derive(serde::Deserialize)]
struct AnyVersion {
    version: u32,
}

pub(crate) fn parse<T: serde::de::DeserializeOwned>(text: &str) -> Result<T, DocumentError> {
    let AnyVersion { version } = toml::from_str(text).map_err(without_text)?;
    if version != VERSION {
        return Err(DocumentError::Version(version));
    }
    toml::from_str(text).map_err(without_text)
}

/// The parser's error quotes the line it stopped at, which may be a line of a private key.
fn without_text(mut error: toml::de::Error) -> DocumentError {
    error.set_input(None);
    DocumentError::Toml(Box::new(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Known {
        #[expect(dead_code, reason = "only its presence counts")]
        version: u32,
    }

    #[test]
    fn a_newer_file_is_told_from_a_damaged_one() {
        parse::<Known>("version = 1").expect("ours");
        assert!(matches!(parse::<Known>("version = 2\nnews = true"), Err(DocumentError::Version(2))));
        assert!(matches!(parse::<Known>("version = 1\nnews = true"), Err(DocumentError::Toml(_))));
        assert!(matches!(parse::<Known>(""), Err(DocumentError::Toml(_))));
    }

    #[test]
    fn an_error_does_not_quote_the_text() {
        for text in ["version = 1\nkey = SECRET", "version = 1\nSECRET", "version = 1\nkey = \"SECRET"] {
            let error = parse::<Known>(text).expect_err("broken");
            assert!(!format!("{error:?}").contains("SECRET"), "{error:?}");
        }
    }
}
