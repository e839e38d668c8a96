//! A collector of spans on loopback.

use std::sync::mpsc;

use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use tonic::{Request, Response, Status};

struct Collector(mpsc::SyncSender<ExportTraceServiceRequest>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        self.0.try_send(request.into_inner()).map_err(|_| Status::resource_exhausted("too many batches"))?;
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

/// Starts a collector and returns its address and what it receives.
pub(crate) async fn start() -> (String, mpsc::Receiver<ExportTraceServiceRequest>) {
    let (sender, received) = mpsc::sync_channel(16);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("loopback has free ports");
    let address = listener.local_addr().expect("it is bound");
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    let server = tonic::transport::Server::builder().add_service(TraceServiceServer::new(Collector(sender)));
    tokio::spawn(server.serve_with_incoming(incoming));
    (format!("http://{address}"), received)
}
