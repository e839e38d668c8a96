//! What is booted: files, their parts, and blobs.

use std::collections::BTreeMap;

use prost::bytes::Bytes;

use super::super::{BlobRef, Boot, Content, Guard, Part, PlannedFile, Slot, Stage};
use crate::{
    Digest, v1,
    wire::{WireError, array, required},
};

impl From<&Boot> for v1::Boot {
    fn from(boot: &Boot) -> Self {
        Self {
            profile: boot.profile.clone(),
            image: boot.image.clone(),
            entry: boot.entry.clone(),
            files: boot.files.iter().map(|(name, file)| wire_file(name, file)).collect(),
            loaders: boot.loaders.clone(),
            menu: boot.menu,
        }
    }
}

impl TryFrom<v1::Boot> for Boot {
    type Error = WireError;

    fn try_from(message: v1::Boot) -> Result<Self, WireError> {
        let files: BTreeMap<_, _> = message.files.into_iter().map(decode_file).collect::<Result<_, _>>()?;
        if !files.get(&message.entry).is_some_and(|file: &PlannedFile| file.guard == Guard::Attempt) {
            return Err(WireError::new("entry", format!("{:?} is no open file of this boot", message.entry)));
        }
        let v1::Boot { profile, image, entry, loaders, menu, .. } = message;
        Ok(Self { profile, image, entry, files, loaders, menu })
    }
}

fn wire_file(name: &str, file: &PlannedFile) -> v1::PlannedFile {
    use v1::planned_file::Content as Wire;
    let content = match &file.content {
        Content::Parts(parts) => Wire::Parts(v1::Parts { parts: parts.iter().map(Into::into).collect() }),
        Content::Blob(blob) => Wire::Blob((*blob).into()),
    };
    v1::PlannedFile {
        name: name.into(),
        stage: file.stage.into(),
        guard: file.guard.into(),
        content: Some(content),
    }
}

fn decode_file(message: v1::PlannedFile) -> Result<(String, PlannedFile), WireError> {
    use v1::planned_file::Content as Wire;
    let at = |error: WireError| error.within(&format!("files[{:?}]", message.name));
    let file = PlannedFile {
        stage: Stage::from_wire("stage", message.stage).map_err(at)?,
        guard: Guard::from_wire("guard", message.guard).map_err(at)?,
        content: match required("content", message.content).map_err(at)? {
            Wire::Parts(parts) => Content::Parts(
                parts.parts.into_iter().map(Part::try_from).collect::<Result<_, _>>().map_err(at)?,
            ),
            Wire::Blob(blob) => Content::Blob(blob.try_into().map_err(at)?),
        },
    };
    Ok((message.name, file))
}

impl From<&Part> for v1::Part {
    fn from(part: &Part) -> Self {
        use v1::part::Part as Wire;
        let part = match part {
            Part::Literal(bytes) => Wire::Literal(bytes.clone()),
            Part::Slot(slot) => Wire::Slot((*slot).into()),
            Part::Secret(name) => Wire::Secret(name.clone()),
        };
        Self { part: Some(part) }
    }
}

impl TryFrom<v1::Part> for Part {
    type Error = WireError;

    fn try_from(message: v1::Part) -> Result<Self, WireError> {
        use v1::part::Part as Wire;
        Ok(match required("part", message.part)? {
            Wire::Literal(bytes) => Self::Literal(bytes),
            Wire::Slot(slot) => Self::Slot(Slot::from_wire("slot", slot)?),
            Wire::Secret(name) => Self::Secret(name),
        })
    }
}

impl From<BlobRef> for v1::Blob {
    fn from(blob: BlobRef) -> Self {
        Self { sha256: Bytes::copy_from_slice(&blob.digest.0), size: blob.size }
    }
}

impl TryFrom<v1::Blob> for BlobRef {
    type Error = WireError;

    fn try_from(message: v1::Blob) -> Result<Self, WireError> {
        Ok(Self { digest: Digest(array("blob.sha256", &message.sha256)?), size: message.size })
    }
}
