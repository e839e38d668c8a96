//! Lines of machines: whose they are, and how many are told.

use super::*;
use crate::syslog::Line;

fn paper() -> Paper {
    let network = proto::plan::Network { syslog: true, ..network() };
    let host = HostPlan { boot: Some(boot()), ..host() };
    Paper::new(plan_of(1, vec![network_entry(&network), host_entry(&host)]))
}

impl Paper {
    fn log(&mut self, second: u64, from: Ipv4Addr, severity: u8, text: &str) {
        let line = Line { severity, program: "apt".into(), text: text.into() };
        self.input(second, Input::Syslog(from, line));
    }

    /// Text, and how many were left out before it.
    fn lines(&self) -> Vec<(String, u32)> {
        let line = |kind| {
            let EventKind::SyslogLine { text, left_out, .. } = kind else { return None };
            Some((text, left_out))
        };
        self.events().into_iter().filter_map(line).collect()
    }
}

/// Who asks is told the agent (RFC 2132 §3.9), and nobody where the site wants none.
#[test]
fn option_7_is_for_who_asks() {
    let log_server = |mut paper: Paper, codes: Vec<OptionCode>| {
        let mut discover = message(MessageType::Discover, Voice::Ipxe, MAC, 7);
        discover.opts_mut().insert(DhcpOption::ParameterRequestList(codes));
        paper.say(1, &discover);
        let reply = crate::dhcp::Message::parse(&paper.sent[0].1).expect("our own");
        reply.options.expect("DHCP").address(7)
    };
    let asking = || vec![OptionCode::Router, OptionCode::LogServer];
    assert_eq!(log_server(paper(), asking()), Some(SERVER));
    assert_eq!(log_server(paper(), vec![OptionCode::Router]), None);
    assert_eq!(log_server(Paper::new(plan()), asking()), None);
}

#[test]
fn a_line_is_told_with_the_boot_of_its_address() {
    let mut paper = paper();
    paper.log(1, ADDRESS, 3, "before the boot");
    paper.dora(10, Voice::Ipxe);
    paper.log(11, ADDRESS, 3, "during it");
    paper.log(12, Ipv4Addr::new(10, 1, 0, 77), 3, "from nobody");
    assert_eq!(paper.lines(), [("during it".to_owned(), 0)]);
    let event = paper.site.events_after(0).last().expect("told").event;
    assert_eq!((event.host, event.mac), (Some(HOST), Some(MAC)));
    assert_eq!(event.attempt.expect("a boot").to_string(), paper.attempt());
}

#[test]
fn a_system_that_is_up_is_no_boot() {
    let mut paper = paper();
    paper.dora(10, Voice::Ipxe);
    let attempt = paper.attempt();
    paper.fetch(11, ADDRESS, &format!("a/{attempt}/linux"));
    paper.log(12, ADDRESS, 6, "the installer");
    paper.dora(20, Voice::Os);
    paper.log(21, ADDRESS, 6, "the system");
    assert_eq!(paper.lines(), [("the installer".to_owned(), 0)]);
}

#[test]
fn a_site_that_wants_none_is_told_none() {
    let mut paper = Paper::new(plan());
    paper.dora(10, Voice::Ipxe);
    paper.log(11, ADDRESS, 3, "unheard");
    assert_eq!(paper.lines(), []);
}

#[test]
fn lines_are_bounded_and_errors_have_room_of_their_own() {
    let mut paper = paper();
    paper.dora(10, Voice::Ipxe);
    (0..500).for_each(|n| paper.log(11, ADDRESS, 6, &format!("chatter {n}")));
    assert_eq!(paper.lines().len(), 60);
    paper.log(12, ADDRESS, 3, "an error");
    assert_eq!(paper.lines().last(), Some(&("an error".to_owned(), 440)));
    (0..500).for_each(|_| paper.log(13, ADDRESS, 3, "more"));
    assert_eq!(paper.lines().len(), 120);
    paper.log(700, ADDRESS, 6, "the next window");
    assert_eq!(paper.lines().last(), Some(&("the next window".to_owned(), 441)));
}

#[test]
fn a_machine_that_chatters_takes_no_room_of_its_boots_events() {
    let mut paper = paper();
    paper.dora(10, Voice::Ipxe);
    (0..2_000).for_each(|n| paper.log(n, ADDRESS, 6, "chatter"));
    let attempt = paper.attempt();
    paper.fetch(2_001, ADDRESS, &format!("a/{attempt}/linux"));
    assert!(matches!(paper.events().last(), Some(EventKind::FileServed { .. })), "still told");
}
