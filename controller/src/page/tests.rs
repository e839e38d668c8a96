//! The page as a browser meets it, but for TLS: requests in, answers out.

mod access;
mod live;
mod views;

use std::net::SocketAddr;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::header::{COOKIE, HOST, LOCATION, ORIGIN, SET_COOKIE};
use axum::http::{Request, StatusCode};
use axum::response::Response;
use http_body_util::BodyExt as _;
use proto::catalog::{OperatorSpec, Role};
use proto::event::{Client, Event, EventKind, NumberedEvent};
use proto::{AttemptId, Incarnation, Mac, Platform, Wall};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;

use super::routes;
use crate::app::App;
use crate::catalog::tests::{NOW, actor, apply, request};
use crate::events::Source;
use crate::logins::{Holder, Logins};

const OWN: &str = "boot.example:7445";
const ATTEMPT: AttemptId = AttemptId([0xab; 16]);

/// A controller's page, and the site `lyon` with the host `web-1`.
struct Lab {
    app: App,
    logins: Logins,
    routes: Router,
    stop: CancellationToken,
    _folder: tempfile::TempDir,
}

impl Lab {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("temporary folder");
        let app = crate::admin::tests::app(folder.path());
        app.catalog.ensure_first_operator(NOW).await.expect("made");
        let site = json!({"kind": "Site", "name": "lyon", "spec": {"subnets": [{"network": "10.1.0.0/24"}]}});
        let spec = json!({"site": "lyon", "macs": ["52:54:00:00:00:01"]});
        let host = json!({"kind": "Host", "name": "web-1", "spec": spec});
        let changes = vec![apply(&site), apply(&host)];
        let admin = actor("admin", Role::Admin, &[]);
        let written = app.catalog.write(&admin, &app.vault, &request(changes), NOW).await.expect("legal");
        app.planner.reached(written.revision).await;
        let (logins, stop) = (app.logins.clone().expect("it has them"), CancellationToken::new());
        let routes = routes(&app, logins.clone(), stop.clone());
        Self { app, logins, routes, stop, _folder: folder }
    }

    /// A code as the CLI would print it.
    async fn code(&self, operator: &str) -> String {
        let (id, actor) = self.app.catalog.operator(operator).await.expect("there is one");
        let ticket = self.logins.ticket(Holder { id, name: actor.name }).expect("there is room");
        let (_, code) = ticket.url.split_once("/login?code=").expect("it is a login");
        code.to_owned()
    }

    async fn ask(&self, request: Request<Body>) -> Response {
        self.routes.clone().oneshot(request).await.expect("infallible")
    }

    async fn get(&self, path: &str, cookie: Option<&str>) -> (StatusCode, String) {
        let answer = self.ask(get(path, cookie)).await;
        (answer.status(), text(answer).await)
    }

    /// Sends a form of the page's own.
    async fn post(&self, path: &str, form: &str, cookie: Option<&str>) -> Response {
        self.ask(post(path, form, cookie, Some(&format!("https://{OWN}")))).await
    }

    /// Logs in and returns the cookie.
    async fn log_in(&self, operator: &str) -> String {
        let answer = self.post("/login", &format!("code={}", self.code(operator).await), None).await;
        assert_eq!((answer.status(), location(&answer)), (StatusCode::SEE_OTHER, "/"));
        let set = answer.headers()[SET_COOKIE].to_str().expect("plain");
        set.split(';').next().expect("a pair").to_owned()
    }

    async fn operator(&self, name: &str, revoked: bool) {
        let spec = OperatorSpec { role: Role::Viewer, sites: vec![], revoked };
        let admin = actor("admin", Role::Admin, &[]);
        self.app.catalog.put_operator(&admin, name, spec, NOW).await.expect("legal");
    }

    /// An agent reports events of [`ATTEMPT`].
    async fn report(&self, first: u64, kinds: Vec<EventKind>) {
        let host = self.app.catalog.get_host("web-1").await.expect("readable").and_then(|host| host.id());
        let event = |(number, kind): (u64, EventKind)| {
            let at = Wall(NOW.0 - 10_000 + number * 1_000);
            let mac = Some(Mac([0x52, 0x54, 0, 0, 0, 1]));
            let event = Event { at, attempt: Some(ATTEMPT), host: host.map(Into::into), mac, kind };
            NumberedEvent { number, event }
        };
        let events = (first..).zip(kinds).map(event).collect();
        let source = Source { site: "lyon".into(), agent: "lyon-1".into() };
        self.app.events.append(&source, Incarnation([1; 16]), events).await.expect("stored");
    }
}

fn get(path: &str, cookie: Option<&str>) -> Request<Body> {
    let request = Request::get(path).extension(from()).header(HOST, OWN);
    let request = cookie.into_iter().fold(request, |request, cookie| request.header(COOKIE, cookie));
    request.body(Body::empty()).expect("a legal request")
}

fn post(path: &str, form: &str, cookie: Option<&str>, origin: Option<&str>) -> Request<Body> {
    let request = Request::post(path).extension(from()).header(HOST, OWN);
    let request = request.header("content-type", "application/x-www-form-urlencoded");
    let request = cookie.into_iter().fold(request, |request, cookie| request.header(COOKIE, cookie));
    let request = origin.into_iter().fold(request, |request, origin| request.header(ORIGIN, origin));
    request.body(Body::from(form.to_owned())).expect("a legal request")
}

fn from() -> ConnectInfo<SocketAddr> {
    ConnectInfo(([192, 0, 2, 7], 50_000).into())
}

fn location(answer: &Response) -> &str {
    answer.headers()[LOCATION].to_str().expect("plain")
}

async fn text(answer: Response) -> String {
    let bytes = answer.into_body().collect().await.expect("whole").to_bytes();
    String::from_utf8(bytes.to_vec()).expect("UTF-8")
}

fn began(vendor_class: &str) -> EventKind {
    EventKind::AttemptBegan {
        platform: Some(Platform::UefiX64),
        client: Client::PxeRom,
        vendor_class: vendor_class.into(),
        uuid: None,
        relay: None,
        architecture: Some(7),
    }
}

fn progress(text: &str) -> EventKind {
    EventKind::Progress { percent: Some(40), text: text.into() }
}
