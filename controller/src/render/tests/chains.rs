//! Templates that extend and include others.

use super::*;

/// What `f` becomes, where the profile and the family have these templates.
fn file(
    profile: &[(&str, &str)],
    family: &[(&str, &str)],
    variables: serde_json::Value,
) -> Result<String, String> {
    let map = |of: &[(&str, &str)]| of.iter().map(|(name, text)| ((*name).into(), (*text).into())).collect();
    let mut scope = Arc::unwrap_or_clone(scope_with(variables));
    scope.templates = Templates { profile: map(profile), family: map(family) };
    let rendered = render_file("f", &Arc::new(scope), Guard::Order).map_err(|error| error.to_string())?;
    let text = |part: &Part| match part {
        Part::Literal(bytes) => String::from_utf8_lossy(bytes).into_owned(),
        Part::Slot(slot) => format!("<{slot:?}>"),
        Part::Secret(name) => format!("<secret {name}>"),
    };
    Ok(rendered.parts.iter().map(text).collect())
}

const FAMILY: (&str, &str) =
    ("f", "head\n{% block disk -%}\natomic {{ disk | default('first') }}\n{%- endblock %}\ntail\n");

#[test]
fn a_block_is_changed_and_the_rest_is_the_familys() {
    let changed = [("f", "{% extends 'f' %}{% block disk %}raid, not {{ super() }}{% endblock %}")];
    let expected = "head\nraid, not atomic first\ntail\n";
    assert_eq!(file(&changed, &[FAMILY], json!({})), Ok(expected.into()));
    assert_eq!(file(&[], &[FAMILY], json!({"disk": "/dev/sda"})), Ok("head\natomic /dev/sda\ntail\n".into()));
    assert_eq!(file(&[("f", "own")], &[FAMILY], json!({})), Ok("own".into()));
}

#[test]
fn a_profile_has_templates_beside_the_familys() {
    let profile = [
        ("f", "{% extends 'base' %}"),
        ("base", "{% extends 'f' %}{% block disk %}{% include 'part' %}{% endblock %}"),
        ("part", "lvm"),
    ];
    // `base` names the profile's `f`, which extends it.
    assert!(
        file(&profile, &[FAMILY], json!({}))
            .expect_err("a circle")
            .contains("the profile's f extends itself")
    );
    let profile =
        [("f", "{% extends 'f' %}{% block disk %}{% include 'part' %}{% endblock %}"), ("part", "lvm")];
    assert_eq!(file(&profile, &[FAMILY], json!({})), Ok("head\nlvm\ntail\n".into()));
}

#[test]
fn what_a_family_names_is_its_own() {
    let family = [("f", "{% include 'part' %}"), ("part", "the family's")];
    assert_eq!(file(&[("part", "changed")], &family, json!({})), Ok("the family's".into()));
}

#[test]
fn nothing_else_can_be_named() {
    for name in ["/etc/passwd", "../f", "family/f", "profile/f", "g", ""] {
        let error = file(&[("f", &format!("\n{{% include {name:?} %}}"))], &[FAMILY], json!({}));
        assert!(error.clone().is_err_and(|error| error.starts_with("line 2: ")), "{name}: {error:?}");
    }
    let error = file(&[("f", "{% extends 'g' %}")], &[FAMILY], json!({})).expect_err("there is none");
    assert!(error.contains("there is no template \"g\": the family has f, the profile f"), "{error}");
}

#[test]
fn a_block_of_an_unknown_name_is_refused() {
    let error = file(&[("f", "{% extends 'f' %}\n{% block dsik %}{% endblock %}")], &[FAMILY], json!({}));
    assert_eq!(error, Err("line 2: the family's f has no block \"dsik\", only disk".into()));
    let within = "{% extends 'f' %}{% block disk %}{% block more %}x{% endblock %}{% endblock %}";
    assert_eq!(file(&[("f", within)], &[FAMILY], json!({})), Ok("head\nx\ntail\n".into()));
}

#[test]
fn an_error_names_the_template_and_the_line() {
    let family = [("f", "\n\n{{ missing }}{% block disk %}{% endblock %}")];
    let error = file(&[("f", "{% extends 'f' %}")], &family, json!({})).expect_err("undefined");
    assert!(error.starts_with("line 3 of the family's f: undefined value"), "{error}");
    let error =
        file(&[("f", "{% extends 'f' %}\n{% block disk %}\n{{ gone }}{% endblock %}")], &[FAMILY], json!({}));
    assert!(error.expect_err("undefined").starts_with("line 3: undefined value"));
    let error = file(&[("f", "{% include 'part' %}"), ("part", "\n{% if %}")], &[FAMILY], json!({}));
    assert!(
        error.clone().is_err_and(|error| error.starts_with("line 2 of the profile's part: ")),
        "{error:?}"
    );
}

#[test]
fn limits_hold_over_the_chain() {
    let endless = "{% for a in range(9999) %}{% for b in range(9999) %}{% endfor %}{% endfor %}";
    let error = file(&[("f", "{% include 'part' %}"), ("part", endless)], &[], json!({}));
    assert!(error.clone().is_err_and(|error| error.contains("steps")), "{error:?}");
    let half = "{{ 'x' * 600000 }}";
    let error = file(&[("f", "{% include 'part' %}{% include 'part' %}"), ("part", half)], &[], json!({}));
    assert!(error.clone().is_err_and(|error| error.contains("bytes")), "{error:?}");
    let error = file(&[("f", "{% include 'part' %}"), ("part", "{% include 'part' %}")], &[], json!({}));
    assert!(error.is_err(), "a template within itself");
}

#[test]
fn data_is_no_template() {
    let variables = json!({"name": "f", "evil": "{% include 'part' %}"});
    let profile = [("f", "{% include name %}{{ evil }}")];
    assert_eq!(file(&profile, &[("f", "x")], variables), Ok("x{% include 'part' %}".into()));
}
