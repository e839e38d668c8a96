//! One line of a menu: a profile, or a menu below.

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A line of a menu.
///
/// Written as a profile's name; with a title of its own as `{profile: NAME, title: TEXT}`; a menu below this one as
/// `{title: TEXT, entries: […]}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MenuEntry {
    /// A profile of mode `run`.
    Profile {
        /// Its name.
        profile: String,
        /// What is shown for it; None: its name.
        title: Option<String>,
    },
    /// A menu of its own.
    Menu {
        /// What is shown for it, and above it.
        title: String,
        /// Its lines.
        entries: Vec<MenuEntry>,
    },
}

impl MenuEntry {
    /// What is shown.
    #[must_use]
    pub fn title(&self) -> &str {
        match self {
            Self::Profile { profile, title } => title.as_deref().unwrap_or(profile),
            Self::Menu { title, .. } => title,
        }
    }

    /// What is shown, if that is not a name.
    pub(super) fn own_title(&self) -> Option<&str> {
        match self {
            Self::Profile { title, .. } => title.as_deref(),
            Self::Menu { title, .. } => Some(title),
        }
    }
}

/// All that a line may have.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Fields {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    profile: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    title: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    entries: Option<Vec<MenuEntry>>,
}

impl Serialize for MenuEntry {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let fields = match self.clone() {
            Self::Profile { profile, title: None } => return serializer.serialize_str(&profile),
            Self::Profile { profile, title } => Fields { profile: Some(profile), title, entries: None },
            Self::Menu { title, entries } => {
                Fields { profile: None, title: Some(title), entries: Some(entries) }
            }
        };
        fields.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for MenuEntry {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(Line)
    }
}

struct Line;

impl<'de> Visitor<'de> for Line {
    type Value = MenuEntry;

    fn expecting(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.write_str("a profile's name, {profile, title}, or a menu {title, entries}")
    }

    fn visit_str<E: Error>(self, name: &str) -> Result<MenuEntry, E> {
        Ok(MenuEntry::Profile { profile: name.to_owned(), title: None })
    }

    fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<MenuEntry, A::Error> {
        match Fields::deserialize(MapAccessDeserializer::new(map))? {
            Fields { profile: Some(profile), title, entries: None } => {
                Ok(MenuEntry::Profile { profile, title })
            }
            Fields { profile: None, title: Some(title), entries: Some(entries) } => {
                Ok(MenuEntry::Menu { title, entries })
            }
            Fields { profile: Some(_), entries: Some(_), .. } => {
                Err(Error::custom("has both `profile` and `entries`: a line is a profile or a menu"))
            }
            Fields { profile: None, title: None, entries: Some(_) } => {
                Err(Error::custom("missing field `title`: a menu below another is shown by it"))
            }
            Fields { profile: None, entries: None, .. } => {
                Err(Error::custom("has neither `profile` nor `entries`: a line is a profile or a menu"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_written_as_they_are_read() {
        let text =
            r#"["rescue",{"profile":"memtest","title":"Memory test"},{"title":"Tools","entries":["a"]}]"#;
        let lines: Vec<MenuEntry> = serde_json::from_str(text).expect("lines");
        let titles: Vec<_> = lines.iter().map(MenuEntry::title).collect();
        assert_eq!(titles, ["rescue", "Memory test", "Tools"]);
        assert_eq!(serde_json::to_string(&lines).expect("JSON"), text);
        let short: MenuEntry = serde_json::from_str(r#"{"profile":"a"}"#).expect("a line");
        assert_eq!(serde_json::to_string(&short).expect("JSON"), r#""a""#);
    }

    #[test]
    fn a_line_is_one_or_the_other() {
        let says = |text: &str| serde_json::from_str::<MenuEntry>(text).expect_err(text).to_string();
        assert!(says(r#"{"profile":"a","entries":[]}"#).contains("has both"));
        assert!(says(r#"{"title":"a"}"#).contains("has neither"));
        assert!(says(r#"{"entries":[]}"#).contains("missing field `title`"));
        assert!(says(r#"{"profil":"a"}"#).contains("unknown field `profil`"));
        assert!(says("7").contains("expected a profile's name, {profile, title}, or a menu"));
    }
}
