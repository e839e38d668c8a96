//! Log lines: one layer, as text or JSON.

use tracing::Subscriber;
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::registry::LookupSpan;

use crate::settings::Format;

/// Writes to `writer` in `format`; with colours only as text and where `colours` says so.
pub(crate) fn layer<S, W>(format: Format, colours: bool, writer: W) -> Box<dyn Layer<S> + Send + Sync>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).with_ansi(colours);
    match format {
        Format::Text => lines.boxed(),
        // The list holds the current span too; naming it twice would double the line.
        Format::Json => lines.with_ansi(false).json().flatten_event(true).with_current_span(false).boxed(),
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;
    use crate::settings::Filter;

    #[derive(Clone, Default)]
    struct Paper(Arc<Mutex<Vec<u8>>>);

    impl Paper {
        fn text(&self) -> String {
            let bytes = self.0.lock().expect("no writer panicked").clone();
            String::from_utf8(bytes).expect("log lines are text")
        }
    }

    impl io::Write for Paper {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().expect("no writer panicked").extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What a process with this format and filter writes of one boot.
    fn written(format: Format, filter: &str) -> String {
        let paper = Paper::default();
        let pen = paper.clone();
        let filter: Filter = filter.parse().expect("legal");
        let lines = layer(format, false, move || pen.clone()).with_filter(filter.directives());
        tracing::subscriber::with_default(tracing_subscriber::registry().with(lines), || {
            let _span = tracing::info_span!("transfer", file = "boot.ipxe").entered();
            tracing::info!(bytes = 42, "sent");
            tracing::debug!("too much detail");
        });
        paper.text()
    }

    #[test]
    fn text_is_one_line_with_span_and_fields() {
        let text = written(Format::Text, "info");
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(
            text.contains("INFO transfer{file=\"boot.ipxe\"}:") && text.contains("sent bytes=42"),
            "{text}"
        );
        assert!(!text.contains('\u{1b}'), "colours were not asked for: {text}");
    }

    #[test]
    fn json_is_one_object_with_span_and_fields() {
        let text = written(Format::Json, "info");
        let line: serde_json::Value = serde_json::from_str(&text).expect("one JSON object");
        assert_eq!(line["level"], "INFO");
        assert_eq!(line["message"], "sent");
        assert_eq!(line["bytes"], 42);
        assert_eq!(line["spans"][0]["file"], "boot.ipxe");
    }

    #[test]
    fn the_filter_decides_what_is_written() {
        assert_eq!(written(Format::Text, "warn"), "");
        assert_eq!(written(Format::Text, "warn,telemetry=debug").lines().count(), 2);
    }
}
