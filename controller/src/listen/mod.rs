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
use axum::response::{IntoResponse as _, Response};
use proto::{DESCRIPTORS, MESSAGE_LIMIT, v1};
use tonic::service::Routes;

pub(crate) use credential::{Tls, TlsSetupError, Upkeep};
pub(crate) use serve::{Serving, serve};

use crate::admin::AdminService;
use crate::agents::Agents;
use crate::app::App;
use crate::blobs;
use crate::enrol::Enrolment;

/// Everything that agents and operators may call. `secrets_key` is where the vault's key is, for backups.
pub(crate) fn fleet_routes(app: &App, secrets_key: PathBuf) -> axum::Router {
    let agents = v1::agents_server::AgentsServer::new(Agents::new(app.clone()))
        .max_decoding_message_size(MESSAGE_LIMIT)
        .max_encoding_message_size(MESSAGE_LIMIT);
    let admin = AdminService::new(app.clone(), secrets_key).into_server();
    let routes = standard().add_service(agents).add_service(admin);
    routes.prepare().into_axum_router().merge(blobs::http::routes(app.clone())).fallback(unknown)
}

/// Everything that may be called without a certificate.
pub(crate) fn enrol_routes(app: &App) -> axum::Router {
    /// Tokens and certificate requests are small.
    const LARGEST: usize = 64 * 1024;
    let enrolment = v1::enrolment_server::EnrolmentServer::new(Enrolment::new(app.clone()))
        .max_decoding_message_size(LARGEST)
        .max_encoding_message_size(LARGEST);
    let (health, service) = tonic_health::server::health_reporter();
    drop(health);
    Routes::new(enrolment).add_service(service).prepare().into_axum_router().fallback(unknown)
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
fn standard() -> Routes {
    let (health, service) = tonic_health::server::health_reporter();
    // It says that the whole server serves, for as long as it does.
    drop(health);
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()
        .expect("the descriptors are those of this build");
    Routes::new(service).add_service(reflection)
}
