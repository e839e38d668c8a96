//! A machine.

use std::net::Ipv4Addr;

use serde::{Deserialize, Serialize};

use super::{DhcpOptions, Kind, MenuSpec, Problem, Spec, Variables, check_name, dhcp_option, link_wait};
use crate::{Mac, Span, plan::ReplyForm};

/// What operators say of a machine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HostSpec {
    /// Where it stands.
    pub site: String,
    /// The link addresses that it may boot from, each in one host alone.
    pub macs: Vec<Mac>,
    /// The SMBIOS UUID as it is written: `8-4-4-4-12` hexadecimal digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uuid: Option<String>,
    /// The SMBIOS serial number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub serial: Option<String>,
    /// For people; not used to recognise it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub asset_tag: Option<String>,
    /// A fixed address; None: from the pool.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<Ipv4Addr>,
    /// What it boots: a profile of mode `run` always, one of mode `install` when an order names no other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// The image (of family `loaders`) whose network bootstrap program is given to this machine, where it has one for the
    /// machine's platform; else the profile's or the site's. Secure Boot needs one that the firmware trusts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub loaders: Option<String>,
    /// What people may choose here while no order stands and no profile of mode `run` is set, instead of the site's menu.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub menu: Option<MenuSpec>,
    /// The protection lock: while it is set no order can be made or obeyed.
    #[serde(default)]
    pub locked: bool,
    /// Whether its TFTP answers come from port 69 alone; None: as the site says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tftp_single_port: Option<bool>,
    /// Further DHCP options; they win over the site's.
    #[serde(default, skip_serializing_if = "DhcpOptions::is_empty")]
    pub options: DhcpOptions,
    /// How long a DISCOVER waits for its offer; it wins over the site's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub response_delay: Option<Span>,
    /// How long its link may carry no packets after it is up; it wins over the site's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub link_wait: Option<Span>,
    /// How its PXE ROM is told what to boot; None: as the site says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_form: Option<ReplyForm>,
    /// Values for templates; they win over the profile's and the site's.
    #[serde(default, skip_serializing_if = "Variables::is_empty")]
    pub variables: Variables,
}

impl HostSpec {
    /// The UUID's bytes in the order that it is written; None where there is none or it is malformed.
    #[must_use]
    pub fn uuid_bytes(&self) -> Option<[u8; 16]> {
        self.uuid.as_deref().and_then(parse_uuid)
    }
}

fn parse_uuid(text: &str) -> Option<[u8; 16]> {
    let groups: Vec<_> = text.split('-').map(str::len).collect();
    if groups != [8, 4, 4, 4, 12] {
        return None;
    }
    crate::id::parse_hex(&text.replace('-', ""))
}

impl Spec for HostSpec {
    const KIND: Kind = Kind::Host;

    fn validate(&self) -> Vec<Problem> {
        let mut problems = Vec::from_iter(check_name("site", &self.site));
        if self.macs.is_empty() {
            problems.push(Problem::new("macs", "is empty: expected at least one MAC address"));
        }
        for (index, mac) in self.macs.iter().enumerate() {
            let field = format!("macs[{index}]");
            if mac.0[0] & 1 == 1 || mac.0 == [0; 6] {
                problems.push(Problem::new(field, format!("{mac} is no address of one machine")));
            } else if self.macs[..index].contains(mac) {
                problems.push(Problem::new(field, format!("{mac} is named twice")));
            }
        }
        if self.uuid.is_some() && self.uuid_bytes().is_none() {
            let message = "expected a UUID such as 4c4c4544-0042-3510-8051-b4c04f4d5231";
            problems.push(Problem::new("uuid", message));
        }
        if self.serial.as_ref().is_some_and(|serial| serial.is_empty() || serial.len() > 64) {
            problems.push(Problem::new("serial", "expected 1 to 64 characters"));
        }
        problems.extend(self.profile.as_deref().and_then(|name| check_name("profile", name)));
        problems.extend(self.loaders.as_deref().and_then(|name| check_name("loaders", name)));
        dhcp_option::validate("options", &self.options, &mut problems);
        problems.extend(super::site::check_delay(self.response_delay));
        problems.extend(link_wait::check(self.link_wait));
        self.menu.iter().for_each(|menu| menu.validate(&mut problems));
        problems
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mistake_is_named_at_once() {
        let json = r#"{"site":"Lyon","macs":["52:54:00:00:00:01","52:54:00:00:00:01","ff:ff:ff:ff:ff:ff"],
            "uuid":"4c4c4544","serial":"","profile":"a b","link_wait":"0s"}"#;
        let host: HostSpec = serde_json::from_str(json).expect("well-formed");
        let fields: Vec<_> = host.validate().into_iter().map(|problem| problem.field).collect();
        assert_eq!(fields, ["site", "macs[1]", "macs[2]", "uuid", "serial", "profile", "link_wait"]);
    }

    #[test]
    fn a_uuid_is_read_as_written() {
        assert_eq!(parse_uuid("00010203-0405-0607-0809-0a0b0c0d0e0f").map(|uuid| uuid[15]), Some(15));
        assert_eq!(parse_uuid("000102030405060708090a0b0c0d0e0f"), None);
    }
}
