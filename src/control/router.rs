//! Every path of the service, once. The OpenAPI document is made from the same list.

use std::time::{Duration, Instant};

use axum::Router;
use axum::extract::{DefaultBodyLimit, MatchedPath, Request, State};
use axum::middleware::{Next, from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use utoipa::openapi::OpenApi as Document;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::app::Shared;
use crate::auth;
use crate::error::{ApiError, ErrorCode};
use crate::routes::{backchannel, feed, health, logins, refresh, revocations, sessions};

/// The most that a body of revocations may hold: 10,000 with long names.
const REVOCATIONS_BYTES: usize = 2 * 1024 * 1024;

/// The most that any other body may hold.
const BODY_BYTES: usize = 64 * 1024;

/// Longer than every long-poll.
const TIMEOUT: Duration = Duration::from_secs(75);

/// All paths, ready to serve.
pub(crate) fn router(app: Shared) -> Router {
    let (open, gateway, admin) = groups();
    let routes = open
        .merge(gateway.route_layer(from_fn_with_state(app.clone(), auth::gateway)))
        .merge(admin.route_layer(from_fn_with_state(app.clone(), auth::admin)));
    let (router, _) = routes.split_for_parts();
    router
        .fallback(async || ApiError::UnknownPath)
        .method_not_allowed_fallback(async || ApiError::UnknownMethod)
        .layer(DefaultBodyLimit::max(BODY_BYTES))
        .layer(from_fn(limit_time))
        .layer(from_fn_with_state(app.clone(), measure))
        .with_state(app)
}

/// The document of `/openapi.json`.
pub fn document() -> Document {
    let (open, gateway, admin) = groups();
    let mut document = ApiDoc::openapi();
    for group in [open, gateway, admin] {
        document.merge(group.into_openapi());
    }
    document
}

fn groups() -> (
    OpenApiRouter<Shared>,
    OpenApiRouter<Shared>,
    OpenApiRouter<Shared>,
) {
    let open = OpenApiRouter::new()
        .routes(routes!(health::healthz))
        .routes(routes!(health::readyz))
        .routes(routes!(health::metrics))
        .routes(routes!(health::openapi))
        .routes(routes!(backchannel::receive));
    let gateway = OpenApiRouter::new()
        .routes(routes!(sessions::create))
        .routes(routes!(sessions::end))
        .routes(routes!(refresh::begin))
        .routes(routes!(refresh::renew))
        .routes(routes!(refresh::complete))
        .routes(routes!(refresh::fail))
        .routes(routes!(logins::claim))
        .routes(routes!(logins::backchannel_logout))
        .routes(routes!(feed::feed));
    let large = OpenApiRouter::new()
        .routes(routes!(revocations::add, revocations::list))
        .layer(DefaultBodyLimit::max(REVOCATIONS_BYTES));
    let admin = OpenApiRouter::new()
        .routes(routes!(sessions::list))
        .routes(routes!(sessions::show, sessions::delete))
        .routes(routes!(feed::gateways))
        .merge(large);
    (open, gateway, admin)
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Gatelatch control service",
        description = "Sessions, their refresh, and revocations for the gateways. \
                       Times are Unix seconds unless a name ends in `_ms`."
    ),
    modifiers(&Credentials)
)]
struct ApiDoc;

struct Credentials;

impl Modify for Credentials {
    fn modify(&self, document: &mut Document) {
        let components = document.components.get_or_insert_default();
        for (name, who) in [
            ("gateway", "A token of --gateway-token-file"),
            ("admin", "A token of --admin-token-file"),
        ] {
            let scheme = HttpBuilder::new()
                .scheme(HttpAuthScheme::Bearer)
                .description(Some(who));
            components.add_security_scheme(name, SecurityScheme::Http(scheme.build()));
        }
    }
}

async fn limit_time(request: Request, next: Next) -> Response {
    match tokio::time::timeout(TIMEOUT, next.run(request)).await {
        Ok(response) => response,
        Err(_) => ApiError::Timeout.into_response(),
    }
}

async fn measure(State(app): State<Shared>, request: Request, next: Next) -> Response {
    let started = Instant::now();
    let method = request.method().to_string();
    // The pattern of the route, not the path: ids must not become labels.
    let path = request
        .extensions()
        .get::<MatchedPath>()
        .map(|path| path.as_str().to_owned());
    let response = next.run(request).await;
    if let Some(ErrorCode(code)) = response.extensions().get() {
        app.metrics.error(code);
    }
    if let Some(path) = path {
        app.metrics
            .answered(method, path, response.status().as_u16(), started.elapsed());
    }
    response
}
