//! Every way from one form to another, on paper.

use super::*;

const MAC: Mac = Mac([0x0c, 0xc4, 0x7a, 0, 0, 1]);
const NEIGHBOUR: Mac = Mac([0x0c, 0xc4, 0x7a, 0, 0, 2]);
const MODEL: FirmwareModel = FirmwareModel([1; 8]);

fn at(seconds: u64) -> Now {
    Now::default().plus(Duration::from_secs(seconds))
}

fn rom(mac: Mac, xid: u32) -> Rom {
    Rom { mac, model: MODEL, firmware: "ROM".into(), xid, learned: None, proxy: false }
}

/// DISCOVER and OFFER.
fn discover(forms: &mut Forms, now: Now, rom: Rom) -> (ReplyForm, Option<Moved>) {
    let (mac, xid) = (rom.mac, rom.xid);
    let told = forms.discover(now, rom);
    forms.offered(now.mono, mac, xid);
    told
}

/// A file is asked for, and arrives.
fn fetched(forms: &mut Forms, now: Now, mac: Mac) -> Option<Moved> {
    let expected = forms.asked(now.mono, mac)?;
    forms.delivered(now, mac, expected)
}

/// DISCOVER, REQUEST, and perhaps a fetch.
fn pass(forms: &mut Forms, second: u64, fetches: bool) -> (ReplyForm, Option<Moved>) {
    let (form, moved) = discover(forms, at(second), rom(MAC, 7));
    forms.taken(at(second).mono, MAC);
    let proved = if fetches { fetched(forms, at(second + 1), MAC) } else { None };
    (form, proved.filter(|moved| moved.news).or(moved))
}

#[test]
fn the_usual_machine_is_given_the_first_form_and_proves_it_once() {
    let mut forms = Forms::default();
    let (form, moved) = pass(&mut forms, 0, true);
    let memory = FormMemory { mac: MAC, model: MODEL, form, proved: true, at: at(1).wall };
    assert_eq!(
        (form, moved),
        (
            ReplyForm::Discovery,
            Some(Moved { memory, news: true, from: form, misses: 0, firmware: "ROM".into() })
        )
    );
    assert_eq!(fetched(&mut forms, at(2), MAC), None, "its second file");
    assert_eq!(pass(&mut forms, 100, true), (ReplyForm::Discovery, None));
    assert_eq!(forms.snapshot().collect::<Vec<_>>(), [memory]);
}

#[test]
fn who_takes_its_lease_twice_and_never_comes_is_given_the_next_form() {
    let mut forms = Forms::default();
    assert_eq!(pass(&mut forms, 0, false), (ReplyForm::Discovery, None));
    assert_eq!(pass(&mut forms, 100, false), (ReplyForm::Discovery, None));
    let (form, moved) = pass(&mut forms, 200, false);
    let moved = moved.expect("two misses");
    assert_eq!((form, moved.from, moved.misses), (ReplyForm::BootService, ReplyForm::Discovery, 2));
    assert!(!moved.memory.proved);
    pass(&mut forms, 300, false);
    assert_eq!(pass(&mut forms, 400, false).0, ReplyForm::File);
    pass(&mut forms, 500, false);
    assert_eq!(pass(&mut forms, 600, true).0, ReplyForm::Discovery, "round");
    assert_eq!(pass(&mut forms, 700, false).0, ReplyForm::Discovery);
}

#[test]
fn a_lost_packet_moves_nothing() {
    let mut forms = Forms::default();
    // The OFFER is lost, twice.
    for second in [0, 4, 12] {
        assert_eq!(discover(&mut forms, at(second), rom(MAC, 7)), (ReplyForm::Discovery, None));
    }
    forms.taken(at(12).mono, MAC);
    // The ACK is lost, and a copy of the DISCOVER comes late.
    assert_eq!(discover(&mut forms, at(13), rom(MAC, 7)), (ReplyForm::Discovery, None));
    forms.taken(at(16).mono, MAC);
    assert!(fetched(&mut forms, at(17), MAC).is_some());
    // One boot in which nothing arrives, between two that work.
    assert_eq!(pass(&mut forms, 100, false), (ReplyForm::Discovery, None));
    assert_eq!(pass(&mut forms, 200, true), (ReplyForm::Discovery, None));
    assert_eq!(pass(&mut forms, 300, false), (ReplyForm::Discovery, None));
    assert_eq!(pass(&mut forms, 400, true), (ReplyForm::Discovery, None));
}

#[test]
fn who_never_takes_an_offer_is_given_the_next_form_after_two_rounds_of_discovers() {
    let mut forms = Forms::default();
    for round in [0, 100] {
        for second in [0, 4, 12, 28] {
            assert_eq!(discover(&mut forms, at(round + second), rom(MAC, 7)), (ReplyForm::Discovery, None));
        }
    }
    let (form, moved) = discover(&mut forms, at(200), rom(MAC, 7));
    assert_eq!((form, moved.map(|moved| moved.misses)), (ReplyForm::BootService, Some(2)));
}

#[test]
fn who_is_offered_nothing_shows_nothing() {
    let mut forms = Forms::default();
    for second in (0..2_000).step_by(100) {
        assert_eq!(forms.discover(at(second), rom(MAC, 7)), (ReplyForm::Discovery, None));
    }
}

#[test]
fn what_was_proved_is_given_up_late() {
    let mut forms = Forms::default();
    pass(&mut forms, 0, true);
    for second in [100, 200, 300, 400] {
        assert_eq!(pass(&mut forms, second, false), (ReplyForm::Discovery, None));
    }
    assert_eq!(pass(&mut forms, 500, false).0, ReplyForm::BootService);
}

#[test]
fn a_restart_forgets_no_form() {
    let mut forms = Forms::default();
    for second in [0, 100] {
        pass(&mut forms, second, false);
    }
    let (_, moved) = pass(&mut forms, 200, true);
    let mut again = Forms::default();
    again.restore(&moved.expect("proved").memory, at(300).wall);
    assert_eq!(again.current(&rom(MAC, 1)), ReplyForm::BootService);
    assert_eq!(again.snapshot().collect::<Vec<_>>(), forms.snapshot().collect::<Vec<_>>());
}

#[test]
fn neighbours_of_the_model_begin_with_what_worked_and_the_fleets_word_comes_first() {
    let mut forms = Forms::default();
    for second in [0, 100] {
        pass(&mut forms, second, false);
    }
    assert_eq!(discover(&mut forms, at(150), rom(NEIGHBOUR, 1)).0, ReplyForm::Discovery);
    pass(&mut forms, 200, true);
    forms.let_go(NEIGHBOUR);
    assert_eq!(discover(&mut forms, at(300), rom(NEIGHBOUR, 2)).0, ReplyForm::BootService);
    forms.let_go(NEIGHBOUR);
    let told = Rom { learned: Some(ReplyForm::File), ..rom(NEIGHBOUR, 3) };
    assert_eq!(discover(&mut forms, at(400), told).0, ReplyForm::File);
    let told = Rom { learned: Some(ReplyForm::File), ..rom(MAC, 3) };
    assert_eq!(discover(&mut forms, at(500), told).0, ReplyForm::BootService, "its own experience");
    let other = Rom { model: FirmwareModel([2; 8]), ..rom(MAC, 4) };
    assert_eq!(
        discover(&mut forms, at(600), other).0,
        ReplyForm::Discovery,
        "the same card under other firmware"
    );
}

#[test]
fn what_another_program_fetches_proves_nothing() {
    let mut forms = Forms::default();
    discover(&mut forms, at(0), rom(MAC, 7));
    forms.taken(at(0).mono, MAC);
    forms.spoken_over(MAC);
    assert_eq!(fetched(&mut forms, at(30), MAC), None, "UEFI HTTP Boot, after PXE has failed");
    assert_eq!(pass(&mut forms, 100, false), (ReplyForm::Discovery, None));
    assert_eq!(pass(&mut forms, 200, false).0, ReplyForm::BootService, "both passes of PXE were misses");
}

#[test]
fn what_teaches_nothing_counts_as_nothing() {
    let mut forms = Forms::default();
    for second in [0, 100, 200, 300] {
        assert_eq!(pass(&mut forms, second, false), (ReplyForm::Discovery, None));
        forms.let_go(MAC);
    }
}

#[test]
fn machines_that_leave_the_plan_and_those_that_are_to_be_forgotten_are() {
    let mut forms = Forms::default();
    pass(&mut forms, 10, true);
    forms.retain(&[(MAC, at(11).wall)].into());
    assert_eq!(forms.snapshot().count(), 1);
    forms.retain(&[(MAC, at(12).wall)].into());
    assert_eq!(forms.snapshot().count(), 0, "learnt before");
    pass(&mut forms, 20, true);
    forms.retain(&[(NEIGHBOUR, Wall::default())].into());
    assert_eq!((forms.snapshot().count(), forms.passes.len()), (0, 0));
}

#[test]
fn the_tables_are_bounded() {
    let mut forms = Forms::default();
    for model in 0..=MODELS_OF_ONE as u8 {
        let rom = Rom { model: FirmwareModel([model; 8]), ..rom(MAC, 1) };
        discover(&mut forms, at(model.into()), rom);
        fetched(&mut forms, at(model.into()), MAC);
    }
    assert_eq!(forms.known.len(), MODELS_OF_ONE);
    assert!(!forms.known.contains_key(&(MAC, FirmwareModel([0; 8]))), "the oldest has given way");
    for machine in 0..=MACHINES {
        let [a, b, c, d, ..] = machine.to_le_bytes();
        let mac = Mac([2, 0, a, b, c, d]);
        discover(&mut forms, at(1_000 + machine as u64), rom(mac, 1));
        fetched(&mut forms, at(1_000 + machine as u64), mac);
    }
    assert_eq!((forms.known.len(), forms.passes.len()), (MACHINES, PASSES));
}

#[test]
fn what_a_clock_that_ran_ahead_has_dated_counts_as_of_when_it_was_set_right() {
    let mut forms = Forms::default();
    pass(&mut forms, 4_000_000_000, true);
    let written = forms.snapshot().next().expect("proved");
    forms.set_back(at(500).wall);
    let mut again = Forms::default();
    again.restore(&written, at(500).wall);
    for mut forms in [forms, again] {
        assert_eq!(forms.snapshot().next().map(|memory| memory.at), Some(at(500).wall));
        forms.retain(&[(MAC, at(501).wall)].into());
        assert_eq!(forms.snapshot().count(), 0, "what an operator has forgotten since is");
    }
}

#[test]
fn a_file_that_is_asked_for_and_does_not_arrive_is_neither_proof_nor_miss() {
    let mut forms = Forms::default();
    for second in [0, 100, 200, 300] {
        assert_eq!(pass(&mut forms, second, false), (ReplyForm::Discovery, None), "never two in a row");
        let expected = forms.asked(at(second + 1).mono, MAC);
        assert_eq!(expected, Some(Expected { model: MODEL, form: ReplyForm::Discovery }));
        assert_eq!(forms.snapshot().count(), 0, "it may have asked for the size alone");
    }
}

#[test]
fn what_arrives_late_does_not_prove_the_next_form() {
    let mut forms = Forms::default();
    pass(&mut forms, 0, false);
    let late = Expected { model: MODEL, form: ReplyForm::Discovery };
    pass(&mut forms, 100, false);
    assert_eq!(pass(&mut forms, 200, false).0, ReplyForm::BootService);
    forms.asked(at(201).mono, MAC);
    assert_eq!(forms.delivered(at(202), MAC, late), None);
}

#[test]
fn a_proof_is_seen_again_once_in_each_boot() {
    let mut forms = Forms::default();
    pass(&mut forms, 0, true);
    for second in [100, 200] {
        discover(&mut forms, at(second), rom(MAC, 7));
        let again = fetched(&mut forms, at(second + 1), MAC).expect("for who does not know it");
        assert_eq!((again.news, again.memory.at), (false, at(1).wall));
        assert_eq!(fetched(&mut forms, at(second + 2), MAC), None);
    }
}

#[test]
fn two_relay_agents_hand_on_one_discover_twice() {
    let mut forms = Forms::default();
    for round in [0, 60, 120, 180] {
        forms.let_go(MAC);
        for second in [0, 4, 12, 28] {
            for _ in 0..2 {
                discover(&mut forms, at(round + second), rom(MAC, 7));
            }
            assert_eq!(forms.passes[&MAC].began, at(round).mono, "one pass");
        }
        assert_eq!(forms.passes[&MAC].offers, 4);
    }
}

#[test]
fn who_sends_discovers_faster_than_any_rom_moves_no_form() {
    let mut forms = Forms::default();
    for xid in 0..1_000 {
        let now = Now::default().plus(Duration::from_millis(20 * u64::from(xid)));
        assert_eq!(discover(&mut forms, now, rom(MAC, xid)), (ReplyForm::Discovery, None));
    }
    assert_eq!(forms.known.len(), 0, "not a miss in 20 s");
}

#[test]
fn beside_another_server_the_plain_file_is_never_given() {
    let beside = |learned| Rom { proxy: true, learned, ..rom(MAC, 7) };
    let mut forms = Forms::default();
    let mut told = vec![];
    for second in (0..1_200).step_by(100) {
        told.push(discover(&mut forms, at(second), beside(None)).0);
        forms.taken(at(second).mono, MAC);
    }
    told.dedup();
    let expected = [ReplyForm::Discovery, ReplyForm::BootService];
    assert_eq!(told, expected.repeat(3));
    let memory = FormMemory { mac: MAC, model: MODEL, form: ReplyForm::File, proved: true, at: at(1).wall };
    for learned in [None, Some(ReplyForm::File), Some(ReplyForm::BootService)] {
        let mut forms = Forms::default();
        forms.restore(&memory, at(1).wall);
        let expected = learned.filter(|form| *form != ReplyForm::File).unwrap_or_default();
        assert_eq!(forms.current(&beside(learned)), expected, "of when the addresses were ours");
        assert_eq!(forms.current(&Rom { mac: NEIGHBOUR, ..beside(learned) }), expected);
    }
}
