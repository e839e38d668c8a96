//! What installers report: `o/TOKEN/report/{started|progress|installed|failed}`, by GET or POST.
//!
//! Values come in the query or in the body of a form (`percent`, `text`, `reason`); a body of any other type is the text
//! or the reason itself. Installers have little to speak with: every client that can fetch can report.

use http::{HeaderMap, Method, Request, StatusCode, header::CONTENT_TYPE};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use netboot::site::{Callback, ReportAnswer};

use super::{
    Limits,
    path::form,
    reply::{Plain, not_found},
};

/// The methods of a report.
pub(super) const METHODS: [Method; 2] = [Method::GET, Method::POST];
/// The largest body, in bytes.
const MOST_BODY: usize = 4 << 10;

/// A path that reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Path<'a> {
    /// As it stands there.
    pub(super) token: &'a str,
    word: Word,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Word {
    Started,
    Progress,
    Installed,
    Failed,
}

impl<'a> Path<'a> {
    /// None if `name` is no report's.
    pub(super) fn read(name: &'a str) -> Option<Self> {
        let (token, word) = name.strip_prefix("o/")?.split_once("/report/")?;
        let word = match word {
            "started" => Word::Started,
            "progress" => Word::Progress,
            "installed" => Word::Installed,
            "failed" => Word::Failed,
            _ => return None,
        };
        (!token.contains('/')).then_some(Self { token, word })
    }

    /// What is reported, from the query and the body.
    fn callback(self, values: Values) -> Callback {
        let Values { percent, text, reason } = values;
        match self.word {
            Word::Started => Callback::Started,
            Word::Progress => Callback::Progress { percent, text: text.or(reason).unwrap_or_default() },
            Word::Installed => Callback::Installed,
            Word::Failed => Callback::Failed { reason: reason.or(text).unwrap_or_default() },
        }
    }
}

/// Why a report was not understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unread {
    /// Its body is larger than [`MOST_BODY`].
    TooLarge,
    /// It did not come in time.
    TooSlow,
    /// It broke off.
    Broken,
}

/// Reads what `request` reports.
pub(super) async fn read(
    path: Path<'_>,
    request: Request<Incoming>,
    limits: &Limits,
) -> Result<Callback, Unread> {
    let (head, body) = request.into_parts();
    let mut values = Values::default();
    values.take_form(head.uri.query().unwrap_or_default().as_bytes());
    if head.method == Method::POST {
        let body = tokio::time::timeout(limits.report, Limited::new(body, MOST_BODY).collect()).await;
        let body =
            body.map_err(|_| Unread::TooSlow)?.map_err(|error| match error.is::<LengthLimitError>() {
                true => Unread::TooLarge,
                false => Unread::Broken,
            })?;
        values.take_body(&head.headers, &body.to_bytes());
    }
    Ok(path.callback(values))
}

/// What the values say; of several of one name the last.
#[derive(Debug, Default, PartialEq, Eq)]
struct Values {
    percent: Option<u8>,
    text: Option<Vec<u8>>,
    reason: Option<Vec<u8>>,
}

impl Values {
    fn take_form(&mut self, data: &[u8]) {
        for (name, mut value) in form(data) {
            value.truncate(MOST_BODY);
            match name.as_slice() {
                b"percent" => {
                    self.percent = std::str::from_utf8(&value).ok().and_then(|text| text.parse().ok())
                }
                b"text" => self.text = Some(value),
                b"reason" => self.reason = Some(value),
                _ => {}
            }
        }
    }

    /// Clients of every kind call a plain text a form, so only what looks like a form is one.
    fn take_body(&mut self, fields: &HeaderMap, body: &[u8]) {
        let kind = fields.get(CONTENT_TYPE).and_then(|kind| kind.to_str().ok()).unwrap_or_default();
        let known = |name: &[u8]| body.starts_with(name);
        let is_form = kind.starts_with("application/x-www-form-urlencoded")
            && [&b"percent="[..], b"text=", b"reason="].into_iter().any(known);
        if is_form {
            self.take_form(body);
        } else if !body.is_empty() {
            self.text = Some(body.to_vec());
            self.reason = Some(body.to_vec());
        }
    }
}

/// The answer to a report.
pub(super) fn answer(answer: ReportAnswer) -> Plain {
    match answer {
        ReportAnswer::Recorded => Plain::new(StatusCode::OK, "recorded\n"),
        ReportAnswer::TooLate => Plain::new(StatusCode::CONFLICT, "too late\n"),
        ReportAnswer::NotFound => not_found(),
    }
}

/// The answer to what was not understood.
pub(super) fn refusal(unread: Unread) -> Plain {
    match unread {
        Unread::TooLarge => Plain::new(StatusCode::PAYLOAD_TOO_LARGE, "too large\n"),
        Unread::TooSlow => Plain::new(StatusCode::REQUEST_TIMEOUT, "too slow\n"),
        Unread::Broken => Plain::new(StatusCode::BAD_REQUEST, "broken\n"),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn callback(name: &str, query: &str) -> Callback {
        let mut values = Values::default();
        values.take_form(query.as_bytes());
        Path::read(name).expect("a report").callback(values)
    }

    #[test]
    fn paths() {
        assert_eq!(Path::read("o/ab/report/installed").map(|path| path.token), Some("ab"));
        for name in [
            "o/ab/report/",
            "o/ab/report/done",
            "o/ab/report/failed/",
            "o/a/b/report/failed",
            "a/x/report/failed",
        ] {
            assert_eq!(Path::read(name), None, "{name}");
        }
    }

    #[test]
    fn queries() {
        assert_eq!(callback("o/t/report/started", "percent=7"), Callback::Started);
        assert_eq!(
            callback("o/t/report/progress", "percent=40&text=half+way"),
            Callback::Progress { percent: Some(40), text: b"half way".to_vec() }
        );
        assert_eq!(
            callback("o/t/report/progress", "percent=many"),
            Callback::Progress { percent: None, text: vec![] }
        );
        assert_eq!(
            callback("o/t/report/failed", "reason=no%20disk&text=x"),
            Callback::Failed { reason: b"no disk".to_vec() }
        );
    }

    #[test]
    fn bodies() {
        let typed =
            |kind: &'static str| HeaderMap::from_iter([(CONTENT_TYPE, HeaderValue::from_static(kind))]);
        let read = |kind, body: &[u8]| {
            let mut values = Values::default();
            values.take_body(&typed(kind), body);
            (values.percent, values.reason)
        };
        let form = "application/x-www-form-urlencoded";
        assert_eq!(read("text/plain", b"reason=1"), (None, Some(b"reason=1".to_vec())));
        assert_eq!(read(form, b"percent=3&reason=a+b"), (Some(3), Some(b"a b".to_vec())));
        assert_eq!(read(form, b"no disk + no luck"), (None, Some(b"no disk + no luck".to_vec())));
        assert_eq!(read(form, b""), (None, None));
    }
}
