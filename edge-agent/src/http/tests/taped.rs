//! What is kept of connections: heads, as a TCP connection that tcpdump takes for one, and never a body or a token.

use netboot::capture::{Party, pcap};
use proto::Mac;

use super::*;

const TOKEN: &str = "00112233445566778899aabbccddeeff";
const ANSWER: &[u8] = b"d-i passwd/root-password password hunter2\n";

impl Site {
    fn capture(&self) -> Vec<u8> {
        let party = Party::Address([127, 0, 0, 1].into());
        let capture = |rings: &netboot::capture::Rings| {
            pcap(&rings.collect(&[party], 0, u64::MAX), Mac([2, 0, 0, 0, 0, 9]), &[])
        };
        self.tap.look(capture).expect("it is on")
    }

    /// As tcpdump has it, a line or more for each packet.
    fn dump(&self) -> String {
        let file = self.dir.path().join("boot.pcap");
        std::fs::write(&file, self.capture()).expect("written");
        let output = Command::new("tcpdump").args(["-nn", "-vvv", "-A", "-S", "-r"]).arg(file).output();
        let output = output.expect("tcpdump is there: its package is needed");
        let (said, complaint) =
            (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(output.status.success(), "{said}{complaint}");
        said.into_owned()
    }
}

fn holds(bytes: &[u8], what: &str) -> bool {
    bytes.windows(what.len()).any(|window| window == what.as_bytes())
}

#[tokio::test]
async fn heads_are_kept_and_neither_bodies_nor_tokens_nor_passwords() {
    let content = content(200_000);
    let name = format!("o/{TOKEN}/preseed.cfg");
    let mut site = site(&[(&name, ANSWER)], &[("a/x/linux", &content)], limits());
    let fetched = site.curl(&format!("/{name}"), &["-u", "installer:hunter3"]).await;
    assert_eq!(fetched.stdout, ANSWER);
    assert_eq!(site.told().await.1, ANSWER.len() as u64);
    site.curl("/a/x/linux", &["-I"]).await;
    assert_eq!(site.curl("/a/x/linux", &[]).await.stdout, content);
    site.status(&format!("/o/{TOKEN}/report/progress"), &["--data-binary", "text=hunter4"]).await;
    site.shutdown.cancel();
    site.serving.stopped().await.expect("it stops");

    let text = site.dump();
    let stars = "*".repeat(32);
    for what in [
        format!("GET /o/{stars}/preseed.cfg HTTP/1.1"),
        format!("POST /o/{stars}/report/progress HTTP/1.1"),
        "HEAD /a/x/linux HTTP/1.1".into(),
        "GET /a/x/linux HTTP/1.1".into(),
        "HTTP/1.1 200 OK".into(),
        "HTTP/1.1 404 Not Found".into(),
        "Content-Length: 200000".into(),
        "Flags [S], ".into(),
        "Flags [S.], ".into(),
        "Flags [F.], ".into(),
    ] {
        assert!(text.contains(&what), "{what} in {text}");
    }
    assert!(!text.contains("incorrect") && !text.contains("bad cksum"), "{text}");
    let capture = site.capture();
    let digit = content[1_000..1_032].to_vec();
    for secret in ["hunter", TOKEN, "aW5zdGFsbGVy", "root-password"] {
        assert!(!holds(&capture, secret), "{secret} in {text}");
    }
    assert!(!capture.windows(32).any(|window| window == digit), "a body");
}

#[tokio::test]
async fn numbers_count_the_bytes_that_were_left_out() {
    let content = "x".repeat(5_000);
    let site = site(&[], &[("a/x/linux", content.as_bytes())], limits());
    // Two requests on one connection, and its end.
    let twice = site
        .raw("GET /a/x/linux HTTP/1.1\r\nHost: b\r\n\r\nGET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n");
    let answered = twice.await;
    let second = answered.rfind("HTTP/1.1 200 OK").expect("two answers");
    let text = site.dump();
    let answers: Vec<_> = text.lines().filter(|line| line.contains(" > ") && line.contains("HTTP")).collect();
    assert!(
        text.contains(&format!("seq {}:", 1 + second)),
        "the second answer begins behind the first body: {answers:?}"
    );
}

#[tokio::test]
async fn of_a_long_connection_the_first_exchanges_are_kept() {
    let mut site = site(&[("a/x/small", b"x")], &[], limits());
    site.beside(|address| {
        let mut socket = connect(address);
        let mut answer = [0; 512];
        for _ in 0..100 {
            socket.write_all(b"GET /a/x/small HTTP/1.1\r\nHost: b\r\n\r\n").expect("sends");
            assert!(socket.read(&mut answer).expect("answered") > 0);
        }
    })
    .await;
    site.told().await;
    let text = site.dump();
    assert_eq!(text.matches("GET /a/x/small").count(), 32);
}
