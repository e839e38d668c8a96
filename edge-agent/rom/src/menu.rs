//! The PXE menu of option 43 (PXE 2.1): is its chosen entry the local disk?

const SKIP_DISCOVERY: u8 = 6;
const MENU: u8 = 9;
const PROMPT: u8 = 10;

/// One entry of type 0 behind a prompt that does not wait: "PXE-E21: Remote boot cancelled".
pub(super) fn chooses_local_disk(option_43: &[u8]) -> bool {
    let Some(menu) = suboption(option_43, MENU) else { return false };
    let at_once = suboption(option_43, PROMPT).is_some_and(|prompt| prompt.first() == Some(&0));
    suboption(option_43, SKIP_DISCOVERY).is_some() && at_once && menu.starts_with(&[0, 0])
}

fn suboption(mut area: &[u8], code: u8) -> Option<&[u8]> {
    loop {
        match *area {
            [0, ref rest @ ..] => area = rest,
            [found, length, ref rest @ ..] if found != 255 => {
                let (value, rest) = rest.split_at_checked(usize::from(length))?;
                if found == code {
                    return Some(value);
                }
                area = rest;
            }
            _ => return None,
        }
    }
}
