//! The authority: what it issues, what it keeps on disk, how it rolls over and is restored (S11, S12, S16).

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use certs::{
    Authority, CertificateRequest, IssueError, LeafCertificate, MAX_AGENT_LIFETIME, OpenError, Passphrase,
    RollError, SealError, StateError, UnsealError,
};
use x509_parser::prelude::{FromDer as _, GeneralName, X509Certificate};

use crate::paper::{DAY, Fleet, HOUR, key_and_request, start};

fn folder(fleet: &Fleet) -> PathBuf {
    fleet.folder.path().join("authority")
}

fn reopen(folder: &Path, fleet: &str) -> Result<Authority, OpenError> {
    Authority::open_or_create(folder, &fleet.parse().expect("legal"), start())
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("exists").permissions().mode() & 0o7777
}

#[test]
fn what_is_made_on_first_start_is_opened_on_the_next() {
    let fleet = Fleet::named("acme");
    let again = reopen(&folder(&fleet), "acme").expect("opened");
    assert_eq!(again.bundle(), fleet.authority.bundle());
    assert_eq!(again.issuing_root(), fleet.authority.issuing_root());
}

#[test]
fn a_lost_file_can_be_told_from_a_first_start() {
    let fleet = Fleet::named("acme");
    let open = || Authority::open(&folder(&fleet), &"acme".parse().expect("legal"), start()).expect("looked");
    assert!(open().is_some());
    fs::remove_file(folder(&fleet).join("authority.toml")).expect("removed");
    assert!(open().is_none());
    assert_eq!(fs::read_dir(folder(&fleet)).expect("listed").count(), 0, "looking makes nothing");
}

/// Runs [`authority_under_the_umask_of_its_process`] in a process of its own: the umask is the process's.
#[test]
fn modes_do_not_depend_on_the_umask() {
    let program = std::env::current_exe().expect("this test");
    for umask in ["0000", "0027", "0777"] {
        let done = std::process::Command::new("sh")
            .args(["-c", "umask $0 && exec \"$1\" --exact --ignored \"$2\"", umask])
            .arg(&program)
            .arg("authority::authority_under_the_umask_of_its_process")
            .output()
            .expect("sh runs");
        let said = String::from_utf8_lossy(&done.stdout);
        assert!(done.status.success() && said.contains("1 passed"), "umask {umask}: {said}");
    }
}

#[test]
#[ignore = "run by modes_do_not_depend_on_the_umask"]
fn authority_under_the_umask_of_its_process() {
    let outer = PathBuf::from(env!("CARGO_TARGET_TMPDIR"));
    let root = outer.join(format!("umask-{}", std::process::id()));
    let made = reopen(&root, "acme").map(|_| (mode(&root), mode(&root.join("authority.toml"))));
    fs::remove_dir_all(&root).expect("removed");
    assert_eq!(made.expect("made"), (0o700, 0o600));
}

#[test]
fn keys_are_readable_by_their_owner_alone() {
    let fleet = Fleet::named("acme");
    assert_eq!(mode(&folder(&fleet)), 0o700);
    for entry in fs::read_dir(folder(&fleet)).expect("listed") {
        assert_eq!(mode(&entry.expect("entry").path()), 0o600);
    }
    fs::set_permissions(folder(&fleet).join("authority.toml"), fs::Permissions::from_mode(0o644))
        .expect("changed");
    let error = reopen(&folder(&fleet), "acme").expect_err("exposed");
    assert!(error.to_string().ends_with("others can reach it, run chmod 600"), "{error}");
}

#[test]
fn a_cut_file_is_an_error_and_is_left_as_it_is() {
    let fleet = Fleet::named("acme");
    let file = folder(&fleet).join("authority.toml");
    let whole = fs::read(&file).expect("read");
    for end in (0..whole.len() - 4).step_by(97) {
        fs::write(&file, &whole[..end]).expect("written");
        let error = reopen(&folder(&fleet), "acme").expect_err("cut");
        assert!(
            matches!(&error, OpenError::Damaged { path, .. } if *path == file),
            "cut at {end}: {error:?}"
        );
        assert_eq!(fs::read(&file).expect("read"), &whole[..end]);
    }
}

#[test]
fn errors_do_not_quote_the_file() {
    let fleet = Fleet::named("acme");
    let file = folder(&fleet).join("authority.toml");
    let whole = fs::read_to_string(&file).expect("read");
    let key = whole.lines().skip_while(|line| !line.contains("PRIVATE KEY")).nth(1).expect("a line of a key");
    for broken in [whole.replace(key, &format!("{key}\" = = ")), whole.replace("[[root]]", "[[root]")] {
        fs::write(&file, broken).expect("written");
        let error = reopen(&folder(&fleet), "acme").expect_err("broken");
        assert!(!format!("{error:?}").contains(key), "{error:?}");
    }
}

#[test]
fn a_newer_file_and_an_unknown_field_are_refused() {
    let fleet = Fleet::named("acme");
    let file = folder(&fleet).join("authority.toml");
    let whole = fs::read_to_string(&file).expect("read");
    fs::write(&file, whole.replacen("version = 1", "version = 2", 1)).expect("written");
    let error = reopen(&folder(&fleet), "acme").expect_err("newer");
    let OpenError::Damaged { source: StateError::Document(reason), .. } = error else { panic!("{error:?}") };
    assert_eq!(reason.to_string(), "written in version 2 of its format, this program reads version 1");
    fs::write(&file, format!("surprise = 1\n{whole}")).expect("written");
    reopen(&folder(&fleet), "acme").expect_err("unknown field");
}

#[test]
fn a_crash_while_writing_leaves_nothing_behind() {
    let fleet = Fleet::named("acme");
    let unfinished = folder(&fleet).join(".authority.toml.0123456789abcdef.unfinished");
    fs::write(&unfinished, "half of").expect("written");
    let again = reopen(&folder(&fleet), "acme").expect("opened");
    assert_eq!(again.bundle(), fleet.authority.bundle());
    assert!(!unfinished.exists());
}

#[test]
fn the_folder_of_another_fleet_is_refused_by_name() {
    let fleet = Fleet::named("acme");
    let error = reopen(&folder(&fleet), "beta").expect_err("another fleet").to_string();
    assert!(error.ends_with("is that of fleet `acme`, expected fleet `beta`"), "{error}");
}

#[test]
fn every_name_in_a_request_is_overridden() {
    let fleet = Fleet::named("acme");
    let key = rcgen::KeyPair::generate().expect("made");
    let mut greedy =
        rcgen::CertificateParams::new(["evil.example".to_owned(), "10.0.0.1".to_owned()]).expect("legal");
    greedy.distinguished_name.push(rcgen::DnType::CommonName, "root");
    let uri = "spiffe://acme/operator/root".try_into().expect("ASCII");
    greedy.subject_alt_names.push(rcgen::SanType::URI(uri));
    let der = greedy.serialize_request(&key).expect("signed");
    let request = CertificateRequest::from_der(der.der()).expect("valid");
    assert_eq!(request.requested_identity(), Some("spiffe://acme/operator/root".parse().expect("legal")));

    let (site, agent) = ("lab".parse().expect("legal"), "one".parse().expect("legal"));
    let issued = fleet.authority.issue_agent(&request, &site, &agent, DAY, start()).expect("issued");
    let (_, certificate) = X509Certificate::from_der(&issued.chain_der[0]).expect("a certificate");
    let names = certificate.subject_alternative_name().expect("one extension").expect("there");
    assert_eq!(names.value.general_names, [GeneralName::URI("spiffe://acme/site/lab/agent/one")]);
    assert_eq!(certificate.subject().to_string(), "CN=one");
    let usage = certificate.extended_key_usage().expect("one extension").expect("there").value;
    assert!(usage.client_auth && !usage.server_auth && !usage.any);
    assert!(!certificate.is_ca());
    let leaf = LeafCertificate::from_der(&issued.chain_der[0]).expect("a leaf");
    assert_eq!(leaf.identity, issued.identity);
    assert_eq!(
        (leaf.serial, leaf.not_before, leaf.not_after),
        (issued.serial, issued.not_before, issued.not_after)
    );
    assert_eq!(leaf.fingerprint, request.fingerprint());
    assert_eq!(leaf.not_after, start() + DAY);
}

#[test]
fn a_controller_s_certificate_carries_its_names_and_its_identity() {
    let fleet = Fleet::named("acme");
    let controller = fleet.controller(start());
    let (_, certificate) =
        X509Certificate::from_der(&controller.credential.chain()[0]).expect("a certificate");
    let names = certificate.subject_alternative_name().expect("one extension").expect("there");
    assert_eq!(
        names.value.general_names,
        [
            GeneralName::URI("spiffe://acme/controller/one"),
            GeneralName::DNSName("controller.example"),
            GeneralName::IPAddress(&[127, 0, 0, 1]),
        ]
    );
}

#[test]
fn the_longest_names_fit_into_certificates() {
    let longest = "a".repeat(63);
    let fleet = Fleet::named(&longest);
    let agent = fleet.agent(&longest, &longest, start());
    assert_eq!(
        agent.leaf().identity.to_string(),
        format!("spiffe://{longest}/site/{longest}/agent/{longest}")
    );
    let bundle = fleet.authority.bundle();
    let chain = agent.chain().iter().map(|der| der.as_ref()).chain(bundle.ders());
    for der in chain {
        let (_, certificate) = X509Certificate::from_der(der).expect("a certificate");
        let common_name = certificate.subject().iter_common_name().next().expect("there");
        assert!(common_name.as_str().expect("text").len() <= 64, "RFC 5280, appendix A.1: ub-common-name");
    }
}

#[test]
fn an_ed25519_key_is_issued_to_as_well() {
    let fleet = Fleet::named("acme");
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).expect("made");
    let der = rcgen::CertificateParams::default().serialize_request(&key).expect("signed");
    let request = CertificateRequest::from_der(der.der()).expect("valid");
    let operator = "alice".parse().expect("legal");
    let issued = fleet.authority.issue_operator(&request, &operator, DAY, start()).expect("issued");
    assert_eq!(
        LeafCertificate::from_der(&issued.chain_der[0]).expect("a leaf").fingerprint,
        request.fingerprint()
    );
}

#[test]
fn no_certificate_lives_too_long() {
    let fleet = Fleet::named("acme");
    let (_, request) = key_and_request();
    let (site, agent) = ("lab".parse().expect("legal"), "one".parse().expect("legal"));
    let issue = |lifetime, now| fleet.authority.issue_agent(&request, &site, &agent, lifetime, now);
    let too_long = MAX_AGENT_LIFETIME + Duration::from_secs(1);
    assert!(matches!(issue(too_long, start()), Err(IssueError::Lifetime { .. })));
    assert!(matches!(issue(Duration::ZERO, start()), Err(IssueError::Lifetime { .. })));
    issue(MAX_AGENT_LIFETIME, start()).expect("a day");
    // A short life is not half over at its birth.
    let short = issue(Duration::from_secs(20), start()).expect("issued");
    assert_eq!(short.not_before, start() - Duration::from_secs(2));
    // No leaf outlives the intermediate, which is made for 366 days.
    let late = issue(DAY, start() + 366 * DAY - HOUR).expect("issued");
    assert_eq!(late.not_after, start() + 366 * DAY);
    assert!(matches!(issue(DAY, start() + 366 * DAY), Err(IssueError::Intermediate)));
    assert!(matches!(issue(DAY, start() - DAY), Err(IssueError::Intermediate)));
}

#[test]
fn an_intermediate_is_renewed_at_half_of_its_life_under_the_same_root() {
    let mut fleet = Fleet::named("acme");
    assert!(!fleet.authority.renew_intermediates(start() + 182 * DAY).expect("looked at"));
    let half = start() + 184 * DAY;
    assert!(fleet.authority.renew_intermediates(half).expect("renewed"));
    assert!(!fleet.authority.renew_intermediates(half).expect("looked at"));
    let bundle = fleet.authority.bundle();
    let again = Authority::open(&folder(&fleet), &"acme".parse().expect("legal"), half);
    let again = again.expect("opened").expect("there");
    assert_eq!(again.bundle(), bundle);
    let (_, request) = key_and_request();
    let operator = "alice".parse().expect("legal");
    let issued = again.issue_operator(&request, &operator, 366 * DAY, half).expect("issued");
    assert_eq!(issued.not_after, half + 366 * DAY, "bounded by the new intermediate");
}

#[test]
fn a_clock_that_ran_ahead_once_does_not_stop_issuing() {
    let mut fleet = Fleet::named("acme");
    assert!(fleet.authority.renew_intermediates(start() + 3000 * DAY).expect("renewed"));
    let (_, request) = key_and_request();
    let operator = "alice".parse().expect("legal");
    let issue = |authority: &Authority| authority.issue_operator(&request, &operator, DAY, start());
    assert!(matches!(issue(&fleet.authority), Err(IssueError::Intermediate)));
    assert!(fleet.authority.renew_intermediates(start()).expect("renewed"));
    issue(&fleet.authority).expect("issues again");
}

#[test]
fn the_steps_of_a_roll_over_keep_their_order_and_survive_a_restart() {
    let mut fleet = Fleet::named("acme");
    let old = fleet.authority.issuing_root();
    assert!(matches!(fleet.authority.retire(&old), Err(RollError::Issuing(root)) if root == old));
    let new = fleet.authority.roll(start()).expect("rolled");
    assert!(matches!(fleet.authority.roll(start()), Err(RollError::UnderWay(root)) if root == new));
    assert_eq!(fleet.authority.bundle().fingerprints().collect::<Vec<_>>(), [old, new]);

    let mut authority = reopen(&folder(&fleet), "acme").expect("opened");
    assert_eq!(authority.issuing_root(), old);
    authority.issue_from(&new).expect("known");
    assert!(matches!(authority.roll(start()), Err(RollError::UnderWay(root)) if root == old));

    let mut authority = reopen(&folder(&fleet), "acme").expect("opened");
    assert_eq!(authority.issuing_root(), new);
    authority.retire(&old).expect("idle");
    assert!(matches!(authority.issue_from(&old), Err(RollError::Unknown(root)) if root == old));

    let authority = reopen(&folder(&fleet), "acme").expect("opened");
    assert_eq!(authority.issuing_root(), new);
    assert_eq!(authority.bundle().fingerprints().collect::<Vec<_>>(), [new]);
}

#[test]
fn a_step_that_cannot_be_written_changes_nothing() {
    let mut fleet = Fleet::named("acme");
    let bundle = fleet.authority.bundle();
    fs::remove_dir_all(folder(&fleet)).expect("removed");
    assert!(matches!(fleet.authority.roll(start()), Err(RollError::File(_))));
    assert_eq!(fleet.authority.bundle(), bundle);
}

fn passphrase(text: &str) -> Passphrase {
    Passphrase::new(text.to_owned()).expect("long enough")
}

#[test]
fn a_sealed_authority_is_restored_with_its_passphrase_alone() {
    let fleet = Fleet::named("acme");
    let right = passphrase("correct horse battery");
    let sealed = fleet.authority.seal(&right).expect("sealed");
    let elsewhere = fleet.folder.path().join("restored");
    let wrong = Authority::open_sealed(&elsewhere, &sealed, &passphrase("correct horse batterz"));
    assert!(matches!(wrong, Err(UnsealError::Passphrase)));
    assert!(!elsewhere.exists(), "nothing is written before the seal has opened");

    let restored = Authority::open_sealed(&elsewhere, &sealed, &right).expect("restored");
    assert_eq!(restored.bundle(), fleet.authority.bundle());
    assert_eq!(mode(&elsewhere.join("authority.toml")), 0o600);
    let again = reopen(&elsewhere, "acme").expect("opened");
    let (_, request) = key_and_request();
    again.issue_operator(&request, &"alice".parse().expect("legal"), DAY, start()).expect("issues");

    Authority::open_sealed(&elsewhere, &sealed, &right).expect("the same again is no harm");
    let other = Fleet::named("acme");
    let occupied = Authority::open_sealed(&folder(&other), &sealed, &right);
    assert!(matches!(occupied, Err(UnsealError::Open(OpenError::Occupied { .. }))));
    assert_eq!(reopen(&folder(&other), "acme").expect("opened").bundle(), other.authority.bundle());
}

#[test]
fn a_damaged_seal_is_told_apart() {
    let fleet = Fleet::named("acme");
    let right = passphrase("correct horse battery");
    let sealed = fleet.authority.seal(&right).expect("sealed");
    let elsewhere = fleet.folder.path().join("restored");
    let open = |sealed: &[u8]| Authority::open_sealed(&elsewhere, sealed, &right).expect_err("damaged");
    let with = |at: usize, byte: u8| {
        let mut changed = sealed.clone();
        changed[at] = byte;
        open(&changed)
    };
    assert!(matches!(with(0, b'B'), UnsealError::NotSealed));
    assert!(matches!(with(18, 2), UnsealError::Version(2)));
    assert!(matches!(with(19, 0xff), UnsealError::Rounds(_)), "hours of work are not begun");
    assert!(matches!(with(22, !sealed[22]), UnsealError::Passphrase), "rounds");
    assert!(matches!(with(23, !sealed[23]), UnsealError::Passphrase), "salt");
    assert!(matches!(with(39, !sealed[39]), UnsealError::Passphrase), "nonce");
    assert!(matches!(with(51, !sealed[51]), UnsealError::Passphrase), "ciphertext");
    assert!(matches!(open(&sealed[..sealed.len() - 1]), UnsealError::Passphrase), "tag");
    for end in [0, 5, 18, 30, 51, 67] {
        assert!(matches!(open(&sealed[..end]), UnsealError::Truncated), "cut at {end}");
    }
    assert!(!sealed.windows(11).any(|window| window == b"PRIVATE KEY"));
}

#[test]
fn a_short_passphrase_is_refused_and_none_is_printed() {
    assert_eq!(Passphrase::new("elevenchars".to_owned()).expect_err("short"), SealError::ShortPassphrase);
    assert_eq!(format!("{:?}", passphrase("correct horse battery")), "Passphrase(..)");
}

#[test]
fn printing_an_authority_shows_no_key() {
    let authority = Fleet::named("acme").authority;
    let (root, bundle) = (authority.issuing_root(), authority.bundle());
    let fields = format!("fleet: FleetName(\"acme\"), bundle: {bundle:?}, issuing: {root}, ..");
    assert_eq!(format!("{authority:?}"), format!("Authority {{ {fields} }}"));
}
