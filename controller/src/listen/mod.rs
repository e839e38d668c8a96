//! The two listeners (DESIGN §5): *enrol* authenticates the server alone, *fleet* requires a client certificate.
//!
//! On *fleet*, gRPC and HTTPS share a port: paths tell them apart, ALPN the versions of HTTP. Each connection has its
//! own limits; the handshake's are in [`certs::tls`].

mod credential;
mod serve;

use std::path::PathBuf;

use axum::extract::Request;
use axum::http::StatusCode;
use axum::http::header::CONTENT_TYPE;
use axum::middleware;
use axum::response::{IntoResponse as _, Response};
use proto::{DESCRIPTORS, MESSAGE_LIMIT, v1};
use tokio::sync::watch;
use tonic::service::Routes;
use tonic_health::ServingStatus;
use tonic_health::pb::health_server::{Health, HealthServer};

pub(crate) use credential::{Tls, TlsSetupError, Upkeep};
pub(crate) use serve::{Serving, serve};

use crate::admin::AdminService;
use crate::agents::{self, Agents};
use crate::app::App;
use crate::enrol::Enrolment;
use crate::metrics::count_calls;

/// Whether the stores take writes.
pub(crate) type Writable = watch::Receiver<bool>;

/// Everything that agents and operators may call. `secrets_key` is where the vault's key is, for backups.
pub(crate) fn fleet_routes(app: &App, secrets_key: PathBuf, writable: Writable) -> axum::Router {
    let service = v1::agents_server::AgentsServer::new(Agents::new(app.clone()))
        .max_decoding_message_size(MESSAGE_LIMIT)
        .max_encoding_message_size(MESSAGE_LIMIT);
    let admin = AdminService::new(app.clone(), secrets_key).into_server();
    let routes = standard(writable).add_service(service).add_service(admin);
    let routes = routes.prepare().into_axum_router().merge(agents::blobs::routes(app.clone()));
    counted(app, routes.fallback(unknown))
}

/// The same, each call of which is counted and traced.
fn counted(app: &App, routes: axum::Router) -> axum::Router {
    routes.layer(middleware::from_fn_with_state(app.metrics.clone(), count_calls))
}

/// Everything that may be called without a certificate.
pub(crate) fn enrol_routes(app: &App, writable: Writable) -> axum::Router {
    /// Tokens and certificate requests are small.
    const LARGEST: usize = 64 * 1024;
    let enrolment = v1::enrolment_server::EnrolmentServer::new(Enrolment::new(app.clone()))
        .max_decoding_message_size(LARGEST)
        .max_encoding_message_size(LARGEST);
    let routes = Routes::new(enrolment).add_service(health(writable)).prepare().into_axum_router();
    counted(app, routes.fallback(unknown))
}

/// What does not exist, in the caller's own protocol.
async fn unknown(request: Request) -> Response {
    let content = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok());
    if content.is_some_and(|content| content.starts_with("application/grpc")) {
        return tonic::Status::unimplemented("there is no such call").into_http();
    }
    StatusCode::NOT_FOUND.into_response()
}

/// Health and reflection.
fn standard(writable: Writable) -> Routes {
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .expect("the descriptors are those of this build");
    Routes::new(health(writable)).add_service(reflection)
}

/// The health of the whole server: NOT_SERVING while a store takes no writes, though plans are still served then.
fn health(mut writable: Writable) -> HealthServer<impl Health> {
    let (reporter, service) = tonic_health::server::health_reporter();
    tokio::spawn(async move {
        loop {
            let now = *writable.borrow_and_update();
            let status = if now { ServingStatus::Serving } else { ServingStatus::NotServing };
            reporter.set_service_status("", status).await;
            if writable.changed().await.is_err() {
                return;
            }
        }
    });
    service
}

#[cfg(test)]
mod tests {
    use http_body_util::{BodyExt as _, Full};
    use tower::ServiceExt as _;

    use super::*;

    /// grpc.health.v1.HealthCheckResponse as it is on the wire: field 1 of the message of two bytes.
    async fn status(service: HealthServer<impl Health>) -> ServingStatus {
        let body = tonic::body::Body::new(Full::new(bytes::Bytes::from_static(&[0; 5])));
        let request =
            http::Request::post("/grpc.health.v1.Health/Check").body(body).expect("a legal request");
        let answer = service.oneshot(request).await.expect("infallible");
        let bytes = answer.into_body().collect().await.expect("whole").to_bytes();
        match bytes.as_ref() {
            [0, 0, 0, 0, 2, 8, 1] => ServingStatus::Serving,
            [0, 0, 0, 0, 2, 8, 2] => ServingStatus::NotServing,
            other => panic!("not a health check's answer: {other:?}"),
        }
    }

    #[tokio::test]
    async fn a_store_that_takes_no_writes_is_seen_in_health() {
        let (sender, writable) = watch::channel(true);
        let service = health(writable);
        for (now, expected) in [(true, "Serving"), (false, "NotServing"), (true, "Serving")] {
            sender.send_replace(now);
            // The task that tells it runs while this one gives way.
            while format!("{:?}", status(service.clone()).await) != expected {
                tokio::task::yield_now().await;
            }
        }
    }
}
