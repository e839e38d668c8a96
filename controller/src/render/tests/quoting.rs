//! What real parsers of each format read back is the value.

use std::process::{Command, Output};

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use super::*;

/// Text with much of what formats obey.
fn hostile() -> impl Strategy<Value = String> {
    let obeyed = "['\"\\\\$`!#&|;<>(){}\\[\\]*?~=%:,@^+ -]";
    let odd = "[\u{e9}\u{7f}\u{80}\u{85}\u{a0}\u{2028}\u{2029}\u{feff}\u{fffd}\u{1f600}\t\r\n]";
    let piece =
        prop_oneof![3 => "[a-z0-9]{1,3}", 4 => obeyed, 1 => odd, 1 => any::<char>().prop_map(String::from)];
    vec(piece, 0..12).prop_map(|pieces| pieces.concat()).prop_filter("marks", |text| !marks::has_mark(text))
}

/// The value as the filter writes it; None: it is refused.
fn quoted(format: Format, value: &str) -> Option<String> {
    let written = quote::filter(&Marks::default(), format, &Value::from(value)).ok()?;
    Some(written.as_str().expect("text").to_owned())
}

/// Values, and what each filter made of those that it takes.
fn taken(format: Format, values: Vec<String>) -> (Vec<String>, Vec<String>) {
    values.into_iter().filter_map(|value| Some((value.clone(), quoted(format, &value)?))).unzip()
}

fn said(output: &Output) -> Vec<String> {
    let text = String::from_utf8(output.stdout.clone()).expect("UTF-8");
    text.split('\0').map(str::to_owned).collect()
}

/// Is the program there? Under CI it has to be.
fn is_there(program: &str) -> bool {
    let found = Command::new(program).arg("--version").output().is_ok();
    assert!(found || std::env::var_os("CI").is_none(), "{program} is missing");
    found
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn a_shell_reads_the_values(values in vec(hostile(), 1..30), grub in any::<bool>()) {
        // GRUB's single quotes and backslashes are the shell's (GRUB manual, "Quoting").
        let (values, words) = taken(if grub { Format::Grub } else { Format::Shell }, values);
        let script = format!("for word in {}; do printf '%s\\0' \"$word\"; done", words.join(" "));
        let output = Command::new("sh").args(["-c", &script]).output().expect("a shell");
        prop_assert_eq!(&said(&output)[..values.len()], &values[..]);
    }

    #[test]
    fn kickstart_reads_the_values(values in vec(hostile(), 1..30)) {
        if !is_there("python3") {
            return Ok(());
        }
        let (values, words) = taken(Format::Kickstart, values);
        // As pykickstart's `KickstartParser` splits a line.
        let split = "import shlex, sys; sys.stdout.buffer.write('\\0'.join(shlex.split(sys.argv[1], comments=True)).encode())";
        let output = Command::new("python3").env("PYTHONUTF8", "1").args(["-c", split, &words.join(" ")]).output();
        let read = said(&output.expect("python3"));
        prop_assert!(values.is_empty() || read == values, "{read:?} is not {values:?}");
    }

    #[test]
    fn debconf_reads_the_values(values in vec(hostile(), 1..30)) {
        if is_there("debconf-set-selections") {
            let (values, lines) = taken(Format::Preseed, values);
            prop_assert_eq!(by_debconf(&lines)?, values);
        }
    }
}

proptest! {
    #[test]
    fn json_reads_the_value(value in hostile()) {
        let text = quoted(Format::Json, &value).expect("JSON holds all text");
        prop_assert_eq!(serde_json::from_str::<String>(&text).expect("JSON"), value);
    }

    #[test]
    fn yaml_reads_the_value(value in hostile(), more in vec(hostile(), 0..4)) {
        let text = format!("key: {}\nnext: 1\n", quoted(Format::Yaml, &value).expect("YAML holds all text"));
        let read: serde_json::Value = serde_yaml_ng::from_str(&text).expect("YAML");
        prop_assert_eq!(&read["key"], &json!(value));
        let list = quote::filter(&Marks::default(), Format::Yaml, &Value::from(more.clone())).expect("a list");
        let read: Vec<String> = serde_yaml_ng::from_str(list.as_str().expect("text")).expect("YAML");
        prop_assert_eq!(read, more);
    }

    #[test]
    fn xml_reads_the_value(value in hostile()) {
        let Some(text) = quoted(Format::Xml, &value) else {
            let none_of_xml = |c: char| c < ' ' || matches!(u32::from(c), 0xfffe | 0xffff);
            prop_assert!(value.contains(none_of_xml), "{value:?} is refused");
            return Ok(());
        };
        let text = format!("<a key=\"{text}\" other='{text}'>{text}</a>");
        let read = roxmltree::Document::parse(&text).expect("XML");
        let root = read.root_element();
        prop_assert_eq!(root.attribute("key"), Some(&*value));
        prop_assert_eq!(root.attribute("other"), Some(&*value));
        prop_assert_eq!(root.text().unwrap_or_default(), value);
    }
}

/// What Debian's debconf has in its database after these lines.
fn by_debconf(values: &[String]) -> Result<Vec<String>, TestCaseError> {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str| folder.path().join(name);
    let database = |name: &str| format!("Name: {name}\nDriver: File\nFilename: {}\n", file(name).display());
    let settings = format!("Config: a\nTemplates: b\n\n{}\n{}", database("a"), database("b"));
    std::fs::write(file("rc"), settings).expect("a file");
    let line = |(index, value): (usize, &String)| format!("d-i test/q{index} string {value}\n");
    let lines: String = values.iter().enumerate().map(line).collect();
    std::fs::write(file("lines"), lines).expect("a file");
    let command = |program: &str| {
        let mut command = Command::new(program);
        command.env("DEBCONF_SYSTEMRC", file("rc")).env("LC_ALL", "C.UTF-8");
        command
    };
    let set = command("debconf-set-selections").arg(file("lines")).output().expect("debconf");
    prop_assert!(set.status.success(), "{}", String::from_utf8_lossy(&set.stderr));
    let ask = "use Debconf::Db; Debconf::Db->load(readonly => 'true'); \
               print Debconf::Question->get(\"test/q$_\")->value, \"\\0\" for 0..$ARGV[0]-1";
    let read = command("perl").args(["-e", ask, &values.len().to_string()]).output().expect("perl");
    let mut read = said(&read);
    read.truncate(values.len());
    Ok(read)
}

#[test]
fn a_grub_word_is_one_line() {
    assert_eq!(quoted(Format::Grub, "a\nlinux /evil"), None);
    assert_eq!(quoted(Format::Grub, "it's $x"), Some(r"'it'\''s $x'".into()));
}
