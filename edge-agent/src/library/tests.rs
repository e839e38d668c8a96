//! The shelf as the TFTP server sees it, with a table for a desk.

use std::{collections::BTreeMap, time::SystemTime};

use netboot::{site::ReportRequest, tftp::Why};
use proto::Digest;

use super::*;
use crate::{
    core::ReportReply, core::Stopped, disk::cache::Cache, disk::cache::WITHHELD_BYTES, lines::Lines,
};

const PEER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(10, 1, 0, 9)), 2070);
const BOOT: AttemptId = AttemptId([0xb0; 16]);
const STRANGER: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 2070);

#[derive(Default)]
struct Table {
    files: BTreeMap<&'static str, site::Source>,
    told: Mutex<Vec<(String, Sent)>>,
}

impl Desk for Table {
    type Ticket = String;

    async fn file(&self, request: FileRequest) -> Result<Answered<String>, Stopped> {
        assert_eq!(request.transport, Transport::Tftp);
        let source = self.files.get(request.name.as_str()).cloned();
        let tftp_single_port = request.from == Ipv4Addr::new(10, 1, 0, 43);
        let found = source.map(|source| Found { source, ticket: request.name, standing: None });
        Ok(Answered { found, boot: Some(BOOT), tftp_single_port })
    }

    async fn report(&self, _request: ReportRequest) -> Result<ReportReply, Stopped> {
        Err(Stopped)
    }

    fn told(&self, ticket: String, sent: Sent) {
        self.told.lock().expect("no panic").push((ticket, sent));
    }
}

struct Site {
    shelf: Shelf<Table>,
    cache: Arc<Cache>,
    fetcher: mpsc::Receiver<BlobRef>,
    _dir: tempfile::TempDir,
}

fn site(files: impl IntoIterator<Item = (&'static str, site::Source)>) -> Site {
    let dir = tempfile::tempdir().expect("tempdir");
    let (cache, _) = Cache::open(dir.path(), SystemTime::now(), Duration::from_secs(60)).expect("opens");
    let cache = Arc::new(cache);
    let (wanted, fetcher) = mpsc::channel(8);
    let table = Table { files: files.into_iter().collect(), told: Mutex::default() };
    let arrival =
        Arrival { interface: 0, server: Ipv4Addr::new(10, 1, 0, 2), base_url: "http://10.1.0.2".into() };
    let subnet = "10.1.0.0/24".parse().expect("a subnet");
    let shelf = Shelf::new(Arc::new(table), Images::new(Arc::clone(&cache), wanted), arrival, subnet);
    Site { shelf, cache, fetcher, _dir: dir }
}

fn name(text: &str) -> Name {
    Name::clean(text.as_bytes()).expect("a legal name")
}

fn text(text: &'static str) -> site::Source {
    site::Source::Bytes(text.into())
}

impl Site {
    fn heard(&self, kind: EventKind) {
        self.shelf.heard(TftpEvent { peer: PEER, name: "menu".into(), kind });
    }

    fn told(&self) -> Vec<(String, Sent)> {
        std::mem::take(&mut self.shelf.desk.told.lock().expect("no panic"))
    }
}

fn completed() -> EventKind {
    EventKind::Completed { bytes: 4, blocks: 1, retransmissions: 2, duration: Duration::from_millis(30) }
}

#[tokio::test]
async fn a_completed_transfer_is_told_with_its_ticket() {
    let site = site([("menu", text("boot"))]);
    let source = site.shelf.open(PEER, &name("menu")).await.outcome.expect("it is there");
    assert!(matches!(source, Source::Bytes(bytes) if bytes == "boot"));
    site.heard(EventKind::Began { size: 4, block_size: 512, window: 1 });
    site.heard(completed());
    let took = Duration::from_millis(30);
    let (transport, end) = (Transport::Tftp, FileEnd::Whole);
    let sent = Sent { transport, bytes: 4, took, retransmissions: 2, repeats: 0, end };
    assert_eq!(site.told(), [("menu".to_owned(), sent)]);
    site.heard(completed());
    assert_eq!(site.told(), [], "it has been told");
}

#[tokio::test]
async fn quirk_43_what_the_desk_says_of_the_machine_reaches_the_server_found_or_not() {
    let site = site([("menu", text("boot"))]);
    let strict = SocketAddr::from(([10, 1, 0, 43], 2070));
    for asked in ["menu", "none"] {
        assert!(site.shelf.open(strict, &name(asked)).await.single_port, "{asked}");
        assert!(!site.shelf.open(PEER, &name(asked)).await.single_port, "{asked}");
    }
}

#[tokio::test]
async fn quirk_38_a_probe_is_told_as_such() {
    let site = site([("menu", text("boot"))]);
    site.shelf.open(PEER, &name("menu")).await.outcome.expect("it is there");
    site.heard(EventKind::Began { size: 4, block_size: 512, window: 1 });
    site.heard(EventKind::Probed);
    let [(_, sent)] = site.told().try_into().expect("one");
    assert_eq!((sent.end, sent.bytes), (FileEnd::Probed, 4));
    assert!(site.shelf.lent().is_empty());
}

#[tokio::test]
async fn a_request_anew_before_the_end_of_the_former_loses_neither() {
    let site = site([("menu", text("boot"))]);
    for _ in 0..2 {
        site.shelf.open(PEER, &name("menu")).await.outcome.expect("it is there");
    }
    site.heard(EventKind::Aborted { bytes: 1 });
    site.heard(completed());
    let ends: Vec<_> = site.told().into_iter().map(|(_, sent)| sent.end).collect();
    let (why, breakage) = ("the machine stopped it".to_owned(), Breakage::Stopped);
    let stopped = FileEnd::Broken(Broken { why, breakage, block_size: 0 });
    assert_eq!(ends, [stopped, FileEnd::Whole]);
    assert!(site.shelf.lent().is_empty());
}

#[tokio::test]
async fn a_failure_is_told_with_what_it_failed_at() {
    let site = site([("menu", text("boot"))]);
    site.shelf.open(PEER, &name("menu")).await.outcome.expect("it is there");
    site.heard(EventKind::Began { size: 4, block_size: 1_428, window: 1 });
    site.heard(EventKind::Failed { why: Why::Silent, bytes: 3, retransmissions: 5 });
    let [(_, sent)] = site.told().try_into().expect("one");
    let (why, breakage) = ("machine fell silent".to_owned(), Breakage::Silent);
    let silent = FileEnd::Broken(Broken { why, breakage, block_size: 1_428 });
    assert_eq!((sent.bytes, sent.retransmissions, sent.end), (3, 5, silent));
}

#[tokio::test]
async fn quirk_44_absence_is_error_1_on_our_link_and_silence_elsewhere() {
    let site = site([]);
    let refused =
        site.shelf.open(PEER, &name("grub/x86_64-efi/command.lst")).await.outcome.expect_err("no such file");
    assert_eq!(refused, refusal(ErrorCode::FILE_NOT_FOUND, "file not found"));
    assert_eq!(site.shelf.open(STRANGER, &name("menu")).await.outcome.expect_err("S4"), Refusal::Silence);
    let six = SocketAddr::new("2001:db8::1".parse().expect("an address"), 2070);
    assert_eq!(site.shelf.open(six, &name("menu")).await.outcome.expect_err("S4"), Refusal::Silence);
}

#[tokio::test]
async fn a_relayed_machine_with_a_lease_is_served() {
    let site = site([("menu", text("boot"))]);
    site.shelf.open(STRANGER, &name("menu")).await.outcome.expect("the desk knows it");
}

#[tokio::test]
async fn an_arriving_blob_has_news_until_it_is_whole() {
    let content = vec![7; usize::try_from(WITHHELD_BYTES).expect("small") + 10];
    let blob = BlobRef { digest: Digest::of(&content), size: content.len() as u64 };
    let site = site([("l/ipxe.efi", site::Source::Blob(blob))]);
    let mut fill = site.cache.fill(blob.digest, blob.size).expect("begins");
    let source = site.shelf.open(PEER, &name("l/ipxe.efi")).await.outcome.expect("it arrives");
    let Source::File { size, arrived: Some(mut arrived), .. } = source else { panic!("it is arriving") };
    assert_eq!((size, *arrived.borrow_and_update()), (blob.size, 0));
    fill.write(&content).expect("writes");
    arrived.changed().await.expect("news");
    assert_eq!(*arrived.borrow_and_update(), 10, "the end is withheld");
    fill.finish().expect("publishes");
    arrived.changed().await.expect("news");
    assert_eq!(*arrived.borrow_and_update(), blob.size);
}

#[tokio::test]
async fn a_blob_that_turns_out_wrong_never_arrives() {
    let blob = BlobRef { digest: Digest::of(b"good"), size: 4 };
    let mut site = site([("l/ipxe.efi", site::Source::Blob(blob))]);
    let name = name("l/ipxe.efi");
    let opening = async { site.shelf.open(PEER, &name).await.outcome.expect("it arrives") };
    let filling = async {
        let wanted = site.fetcher.recv().await.expect("it is asked for");
        site.cache.fill(wanted.digest, wanted.size).expect("begins")
    };
    let (source, mut fill) = tokio::join!(opening, filling);
    let Source::File { arrived: Some(mut arrived), .. } = source else { panic!("it is arriving") };
    fill.write(b"evil").expect("writes");
    fill.finish().expect_err("wrong digest");
    arrived.changed().await.expect_err("the sender is gone");
    assert_eq!(*arrived.borrow(), 0);
}

#[tokio::test]
async fn a_blob_that_cannot_be_had_is_told() {
    let blob = BlobRef { digest: Digest::of(b"x"), size: 1 };
    let mut site = site([("l/ipxe.efi", site::Source::Blob(blob))]);
    site.fetcher.close();
    let refused = site.shelf.open(PEER, &name("l/ipxe.efi")).await.outcome.expect_err("nobody fetches");
    assert_eq!(refused, refusal(ErrorCode::NOT_DEFINED, "not available now"));
    let [(ticket, sent)] = site.told().try_into().expect("one");
    let FileEnd::Broken(broken) = sent.end else { panic!("it could not be had") };
    assert_eq!((ticket.as_str(), sent.bytes, broken.breakage), ("l/ipxe.efi", 0, Breakage::NotHere));
}

#[tokio::test]
async fn tickets_are_bounded() {
    let site = site([("menu", text("boot"))]);
    let loan = |port| Loan { peer: SocketAddr::new(PEER.ip(), port), name: "menu".into() };
    let begin = Instant::now();
    for port in 0..=u16::try_from(TICKETS).expect("small") {
        let since = begin + Duration::from_millis(port.into());
        let lent = Lent { ticket: "menu".into(), boot: Some(BOOT), since, terms: None, transfers: 1 };
        site.shelf.lend(loan(port), lent);
    }
    assert_eq!(site.shelf.lent().len(), TICKETS);
    assert!(site.shelf.take_back(loan(0)).is_none(), "the oldest gave way");
    assert!(site.shelf.take_back(loan(1)).is_some());
}

#[tokio::test]
async fn the_lines_of_a_transfer_name_the_boot() {
    let site = site([("menu", text("a menu"))]);
    let opened = site.shelf.open(PEER, &name("menu")).await;
    assert!(opened.outcome.is_ok());
    let (lines, _guard) = Lines::here();
    site.heard(EventKind::Aborted { bytes: 3 });
    let text = lines.text();
    assert!(text.contains(&format!("boot={BOOT}")), "{text}");
}

#[tokio::test]
async fn the_line_of_a_refusal_names_the_boot_and_no_token() {
    let site = site([]);
    let token = "00112233445566778899aabbccddeeff";
    let asked = name(&format!("O\\{token}\\preseed.cfg"));
    let refused = site.shelf.open(PEER, &asked).await.outcome.expect_err("it is nowhere");
    let Refusal::Answer { code, message } = refused else { panic!("it is on our link") };
    let refused = || EventKind::Refused { code, message: message.clone() };
    let heard = |kind| site.shelf.heard(TftpEvent { peer: PEER, name: asked.as_str().into(), kind });
    let (lines, _guard) = Lines::here();
    heard(refused());
    let text = lines.text();
    assert!(text.contains(&format!("boot={BOOT}")) && text.contains("O/.../preseed.cfg"), "{text}");
    assert!(!text.contains(token), "{text}");
    heard(refused());
    assert_eq!(
        lines.text().matches("boot=").count(),
        1,
        "what nobody asked for is nobody's: {}",
        lines.text()
    );
    site.shelf.open(STRANGER, &asked).await.outcome.expect_err("he is none of ours");
    assert!(site.shelf.refused().is_empty(), "of silence nothing is told");
}

#[test]
fn refusals_that_are_never_told_of_are_bounded() {
    let site = site([]);
    let refusal = refusal(ErrorCode::FILE_NOT_FOUND, "file not found");
    for port in 0..=u16::try_from(REFUSED).expect("small") {
        let loan = Loan { peer: SocketAddr::new(PEER.ip(), port), name: "menu".into() };
        site.shelf.note_refused(loan, Some(BOOT), &refusal);
    }
    assert!((1..=REFUSED).contains(&site.shelf.refused().len()));
}
