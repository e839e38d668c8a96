//! gRPC calls, counted and traced where they come in.
//!
//! A call's span joins the caller's trace (W3C Trace Context); that of a stream ends when the stream has begun.

use std::time::Instant;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::middleware::Next;
use axum::response::Response;
use http::HeaderMap;
use http::header::CONTENT_TYPE;
use tonic::Code;
use tonic::metadata::MetadataMap;
use tracing::Instrument as _;

use super::Metrics;

/// What stands for methods that do not exist: anybody may call any.
const UNKNOWN: &str = "unknown";

/// Counts calls on their way to the services; what is no gRPC passes.
pub(crate) async fn count_calls(
    State(metrics): State<Metrics>,
    request: Request<Body>,
    next: Next,
) -> Response {
    if !is_grpc(request.headers()) {
        return next.run(request).await;
    }
    let began = Instant::now();
    let method = method(request.uri().path()).to_owned();
    let span =
        tracing::info_span!("call", otel.name = method, otel.kind = "server", code = tracing::field::Empty);
    telemetry::grpc::follow_caller(&span, &MetadataMap::from_headers(request.headers().clone()));
    let response = next.run(request).instrument(span.clone()).await;
    let code = code(response.headers());
    span.record("code", word(code));
    let method = if code == Code::Unimplemented { UNKNOWN } else { method.as_str() };
    metrics.calls.one(&[method, word(code)]);
    metrics.call_seconds.observe(&[method], began.elapsed().as_secs_f64(), None);
    response
}

fn is_grpc(headers: &HeaderMap) -> bool {
    let content = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    content.is_some_and(|content| content.starts_with("application/grpc"))
}

/// `/bootlane.v1.Agents/Renew` is `Agents/Renew`; what is no such path is unknown.
fn method(path: &str) -> &str {
    let (package, method) =
        path.split_once('/').map_or(("", path), |(_, rest)| rest.rsplit_once('.').unwrap_or(("", rest)));
    if package.is_empty() { UNKNOWN } else { method }
}

/// An answer without a status in its head goes well, or is a stream that has begun.
fn code(headers: &HeaderMap) -> Code {
    headers.get("grpc-status").map_or(Code::Ok, |status| Code::from_bytes(status.as_bytes()))
}

/// As the protocol's own documents write it, in lower case.
fn word(code: Code) -> &'static str {
    match code {
        Code::Ok => "ok",
        Code::Cancelled => "cancelled",
        Code::Unknown => "unknown",
        Code::InvalidArgument => "invalid_argument",
        Code::DeadlineExceeded => "deadline_exceeded",
        Code::NotFound => "not_found",
        Code::AlreadyExists => "already_exists",
        Code::PermissionDenied => "permission_denied",
        Code::ResourceExhausted => "resource_exhausted",
        Code::FailedPrecondition => "failed_precondition",
        Code::Aborted => "aborted",
        Code::OutOfRange => "out_of_range",
        Code::Unimplemented => "unimplemented",
        Code::Internal => "internal",
        Code::Unavailable => "unavailable",
        Code::DataLoss => "data_loss",
        Code::Unauthenticated => "unauthenticated",
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::middleware;
    use axum::routing::post;
    use http_body_util::BodyExt as _;
    use opentelemetry::trace::TracerProvider as _;
    use opentelemetry_sdk::trace::SdkTracerProvider;
    use telemetry::metrics::{Exposition, Form};
    use tower::ServiceExt as _;
    use tracing_subscriber::layer::SubscriberExt as _;

    use super::*;

    const CALLER: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

    /// Says in which trace it is asked.
    async fn renew() -> String {
        let mut sent = MetadataMap::new();
        telemetry::grpc::inject(&tracing::Span::current(), &mut sent);
        sent.get("traceparent").and_then(|value| value.to_str().ok()).unwrap_or_default().to_owned()
    }

    #[tokio::test]
    async fn a_call_is_counted_and_is_part_of_its_callers_trace() {
        let provider = SdkTracerProvider::builder().build();
        let layer = tracing_opentelemetry::layer().with_tracer(provider.tracer("test"));
        let _guard = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
        let metrics = Metrics::default();
        let routes = Router::new().route("/bootlane.v1.Agents/Renew", post(renew));
        let routes = routes.layer(middleware::from_fn_with_state(metrics.clone(), count_calls));
        let call = Request::post("/bootlane.v1.Agents/Renew")
            .header(CONTENT_TYPE, "application/grpc")
            .header("traceparent", CALLER)
            .body(Body::empty())
            .expect("a legal request");
        let answer = routes.clone().oneshot(call).await.expect("infallible");
        let body = answer.into_body().collect().await.expect("whole").to_bytes();
        let inner = String::from_utf8_lossy(&body).into_owned();
        assert!(inner.starts_with("00-0af7651916cd43dd8448eb211c80319c-"), "{inner}");
        assert!(!inner.contains("b7ad6b7169203331"), "a span of its own: {inner}");
        let file = Request::get("/blobs/sha256/ab").body(Body::empty()).expect("a legal request");
        routes.oneshot(file).await.expect("infallible");

        let mut exposition = Exposition::new();
        exposition.add_counters(&metrics.calls);
        let text = exposition.text(Form::Prometheus);
        assert!(text.contains("{method=\"Agents/Renew\",code=\"ok\"} 1\n"), "{text}");
        assert_eq!(text.lines().count(), 3, "what is no gRPC is not counted: {text}");
    }

    #[test]
    fn methods_are_named_without_their_package() {
        assert_eq!(method("/bootlane.v1.Agents/Renew"), "Agents/Renew");
        assert_eq!(method("/grpc.health.v1.Health/Check"), "Health/Check");
        for path in ["/", "", "/x", "/x/y", "*"] {
            assert_eq!(method(path), UNKNOWN, "{path}");
        }
    }

    #[test]
    fn an_answers_head_says_what_went_wrong() {
        let mut headers = HeaderMap::new();
        assert_eq!(code(&headers), Code::Ok);
        headers.insert("grpc-status", http::HeaderValue::from_static("7"));
        assert_eq!(code(&headers), Code::PermissionDenied);
    }
}
