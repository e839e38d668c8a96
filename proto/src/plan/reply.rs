//! How DHCP replies differ from the usual, for a site or a host.

use std::time::Duration;

use prost::bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{
    FirmwareModel, Mac, Wall, v1,
    wire::{WireError, optional_array, twin},
};

/// How DHCP replies differ from the usual.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ReplySettings {
    /// Further options, each code once; none that [`is_reserved`].
    pub options: Vec<CustomOption>,
    /// How long a DISCOVER waits for its OFFER.
    pub delay: Option<Duration>,
    /// The form in which PXE ROMs are told what to boot; None: the agent's own choice.
    pub form: Option<ReplyForm>,
    /// What the fleet has learnt, where no form is pinned.
    pub learned: Vec<LearnedForm>,
    /// What the agent itself learnt before is forgotten; for hosts.
    pub forget_before: Wall,
}

/// The form that a PXE ROM was seen to obey.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LearnedForm {
    /// What its ROM says of itself.
    pub model: FirmwareModel,
    /// The one machine; None: all of the model.
    pub mac: Option<Mac>,
    /// What it obeys.
    pub form: ReplyForm,
}

impl ReplySettings {
    /// The value of a custom option.
    #[must_use]
    pub fn option(&self, code: u8) -> Option<&[u8]> {
        Some(&self.options.iter().find(|option| option.code == code)?.value)
    }

    /// What was learnt of a machine of this model.
    #[must_use]
    pub fn learned(&self, mac: Mac, model: FirmwareModel) -> Option<ReplyForm> {
        let fits = |of: &&LearnedForm| of.model == model && of.mac.is_none_or(|one| one == mac);
        Some(self.learned.iter().find(fits)?.form)
    }

    pub(super) fn from_wire(message: Option<v1::ReplySettings>) -> Self {
        let message = message.unwrap_or_default();
        let custom = |option: v1::DhcpOption| {
            let code = u8::try_from(option.code).ok().filter(|code| !is_reserved(*code))?;
            Some(CustomOption { code, value: option.value })
        };
        Self {
            options: message.options.into_iter().filter_map(custom).collect(),
            delay: (message.delay_ms != 0).then(|| Duration::from_millis(message.delay_ms.into())),
            // One that this build does not know: it finds one by itself.
            form: ReplyForm::from_wire("form", message.form).ok(),
            learned: message
                .learned
                .into_iter()
                .filter_map(|form| LearnedForm::try_from(form).ok())
                .collect(),
            forget_before: Wall(message.forget_before_ms),
        }
    }
}

impl From<&ReplySettings> for v1::ReplySettings {
    fn from(settings: &ReplySettings) -> Self {
        let option =
            |option: &CustomOption| v1::DhcpOption { code: option.code.into(), value: option.value.clone() };
        Self {
            options: settings.options.iter().map(option).collect(),
            delay_ms: settings.delay.map_or(0, |delay| u32::try_from(delay.as_millis()).unwrap_or(u32::MAX)),
            form: settings.form.map_or(0, Into::into),
            learned: settings.learned.iter().map(Into::into).collect(),
            forget_before_ms: settings.forget_before.0,
        }
    }
}

impl From<&LearnedForm> for v1::LearnedForm {
    fn from(learned: &LearnedForm) -> Self {
        Self {
            model: learned.model.to_wire(),
            form: learned.form.into(),
            mac: learned.mac.map(Mac::to_wire).unwrap_or_default(),
        }
    }
}

impl TryFrom<v1::LearnedForm> for LearnedForm {
    type Error = WireError;

    fn try_from(learned: v1::LearnedForm) -> Result<Self, WireError> {
        Ok(Self {
            model: FirmwareModel::from_wire("model", &learned.model)?,
            mac: optional_array("mac", &learned.mac)?.map(Mac),
            form: ReplyForm::from_wire("form", learned.form)?,
        })
    }
}

/// A DHCP option that an operator has set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CustomOption {
    /// Its number.
    pub code: u8,
    /// Its value as it goes out.
    pub value: Bytes,
}

/// What the protocol itself says, or the boot: no operator's to set.
#[must_use]
pub fn is_reserved(code: u8) -> bool {
    match code {
        // Padding, the mask of the subnet, and the end.
        0 | 1 | 255
        // The lease and the dialogue (RFC 2132 §9), the client's own words, authentication (RFC 3118).
        | 50..=55 | 57..=61 | 90
        // What is booted: a profile's to say.
        | 66 | 67 | 93 | 94 | 97 | 175
        // The relay agent's and the client's (RFC 3046, 3011).
        | 82 | 118 => true,
        _ => false,
    }
}

/// How a PXE ROM is told what to boot (QUIRKS 19, 20, 22).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReplyForm {
    /// Option 43 with discovery control: the file of this very reply.
    #[default]
    Discovery,
    /// The class alone: the machine asks at port 4011.
    BootService,
    /// Neither class nor option 43: `siaddr` and `file`, as BOOTP has them.
    File,
}

twin!(ReplyForm, ReplyForm, Discovery, BootService, File);

impl ReplyForm {
    /// All of them, in the order in which they are tried.
    pub const ALL: [Self; 3] = [Self::Discovery, Self::BootService, Self::File];

    /// What a machine is given that does not obey this one.
    #[must_use]
    pub const fn next(self) -> Self {
        match self {
            Self::Discovery => Self::BootService,
            Self::BootService => Self::File,
            Self::File => Self::Discovery,
        }
    }

    /// Can a ROM obey it where another server leases the addresses? An offer without an address is none to it unless it has
    /// the class (QUIRKS 13, 19).
    #[must_use]
    pub const fn works_beside_another_server(self) -> bool {
        match self {
            Self::Discovery | Self::BootService => true,
            Self::File => false,
        }
    }

    /// The word in files and tables.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Discovery => "discovery",
            Self::BootService => "boot-service",
            Self::File => "file",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Mac = Mac([2; 6]);
    const MODEL: FirmwareModel = FirmwareModel([1; 8]);

    #[test]
    fn what_is_not_understood_or_not_allowed_is_left_out() {
        let option = |code| v1::DhcpOption { code, value: Bytes::from_static(&[1]) };
        let message = v1::ReplySettings {
            options: [82, 53, 114, 300].into_iter().map(option).collect(),
            form: 99,
            learned: vec![v1::LearnedForm::default()],
            ..v1::ReplySettings::default()
        };
        let settings = ReplySettings::from_wire(Some(message));
        assert_eq!(settings.options.len(), 1);
        assert_eq!((settings.option(114), settings.delay, settings.form), (Some(&[1][..]), None, None));
        assert_eq!(settings.learned, []);
        assert_eq!(ReplySettings::from_wire(None), ReplySettings::default());
    }

    #[test]
    fn there_and_back() {
        let settings = ReplySettings {
            options: vec![CustomOption { code: 150, value: Bytes::from_static(&[10, 1, 0, 2]) }],
            delay: Some(Duration::from_millis(1_500)),
            form: Some(ReplyForm::File),
            learned: vec![
                LearnedForm { model: MODEL, mac: Some(MAC), form: ReplyForm::File },
                LearnedForm { model: MODEL, mac: None, form: ReplyForm::BootService },
            ],
            forget_before: Wall(7),
        };
        assert_eq!(ReplySettings::from_wire(Some((&settings).into())), settings);
        assert_eq!(settings.learned(MAC, MODEL), Some(ReplyForm::File));
        assert_eq!(settings.learned(Mac([3; 6]), MODEL), Some(ReplyForm::BootService));
        assert_eq!(settings.learned(MAC, FirmwareModel([2; 8])), None);
    }

    #[test]
    fn every_form_is_tried_before_the_first_comes_again() {
        let tried = ReplyForm::ALL.map(ReplyForm::next);
        assert_eq!(tried, [ReplyForm::BootService, ReplyForm::File, ReplyForm::Discovery]);
    }
}
