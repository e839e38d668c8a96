//! Marks: what stands in rendered text for a slot or a secret until it becomes a part of its own.
//!
//! A mark is `U+FDD0 number U+FDD1`. Both are noncharacters, which no template and no value may hold, so a mark can
//! only come from this table.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use proto::plan::{Part, Slot};
use zeroize::Zeroizing;

use super::quote::Format;
use super::{RenderError, Rendered};

const OPEN: char = '\u{fdd0}';
const CLOSE: char = '\u{fdd1}';

/// Does the text hold a character of a mark?
pub(super) fn has_mark(text: &str) -> bool {
    text.contains([OPEN, CLOSE])
}

/// What a mark stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Mark {
    Slot(Slot),
    /// Escaped for this format when it is put in.
    Secret(String, Option<Format>),
}

/// The marks of one rendering.
#[derive(Debug, Clone, Default)]
pub(crate) struct Marks(Arc<Mutex<Vec<Mark>>>);

/// A piece of text with marks.
pub(super) enum Piece<'t> {
    Text(&'t str),
    Mark(Mark),
}

impl Marks {
    /// The mark of a slot.
    pub(super) fn slot(&self, slot: Slot) -> String {
        self.add(Mark::Slot(slot))
    }

    /// The mark of a secret.
    pub(super) fn secret(&self, name: &str, format: Option<Format>) -> String {
        self.add(Mark::Secret(name.to_owned(), format))
    }

    fn add(&self, mark: Mark) -> String {
        let mut marks = self.lock();
        let known = marks.iter().position(|known| *known == mark);
        let index = known.unwrap_or_else(|| {
            marks.push(mark);
            marks.len() - 1
        });
        format!("{OPEN}{index}{CLOSE}")
    }

    /// The pieces of a text; None if a mark was cut or changed.
    pub(super) fn pieces<'t>(&self, text: &'t str) -> Option<Vec<Piece<'t>>> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once(OPEN) {
            let (number, after) = after.split_once(CLOSE)?;
            let mark = self.lock().get(number.parse::<usize>().ok()?)?.clone();
            pieces.extend([Piece::Text(before), Piece::Mark(mark)]);
            rest = after;
        }
        pieces.push(Piece::Text(rest));
        let whole = pieces.iter().all(|piece| !matches!(piece, Piece::Text(text) if has_mark(text)));
        whole.then_some(pieces)
    }

    /// The parts of a rendered text.
    pub(super) fn split(
        &self,
        text: &str,
        secrets: &BTreeMap<String, Arc<Zeroizing<String>>>,
    ) -> Result<Rendered, RenderError> {
        let cut = || RenderError::new("a url, slot or secret was cut or changed by a filter");
        let mut rendered = Rendered::default();
        for piece in self.pieces(text).ok_or_else(cut)? {
            match piece {
                Piece::Text("") => {}
                Piece::Text(text) => {
                    rendered.parts.push(Part::Literal(Bytes::copy_from_slice(text.as_bytes())))
                }
                Piece::Mark(Mark::Slot(slot)) => rendered.parts.push(Part::Slot(slot)),
                Piece::Mark(Mark::Secret(name, format)) => {
                    let (key, value) = revealed(&name, format, secrets)?;
                    rendered.parts.push(Part::Secret(key.clone()));
                    rendered.secrets.insert(key, value);
                }
            }
        }
        Ok(rendered)
    }

    fn lock(&self) -> MutexGuard<'_, Vec<Mark>> {
        // A push is the only change, so a poisoned table is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A secret as it is put in: `NAME`, or `NAME|FORMAT` where it is escaped.
fn revealed(
    name: &str,
    format: Option<Format>,
    secrets: &BTreeMap<String, Arc<Zeroizing<String>>>,
) -> Result<(String, Bytes), RenderError> {
    let value = secrets.get(name).ok_or_else(|| RenderError::new(format!("there is no secret {name:?}")))?;
    match format {
        Some(format) => {
            let escaped = format.escape(value);
            let escaped = escaped.map_err(|why| RenderError::new(format!("the secret {name:?} {why}")))?;
            Ok((format!("{name}|{}", format.word()), escaped.into()))
        }
        None if value.chars().any(char::is_control) => {
            let remedy = "holds a control character: put it through a filter, for example | json or | shell";
            Err(RenderError::new(format!("the secret {name:?} {remedy}")))
        }
        None => Ok((name.to_owned(), Bytes::copy_from_slice(value.as_bytes()))),
    }
}
