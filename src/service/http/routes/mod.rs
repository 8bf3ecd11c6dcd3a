//! Handlers by resource, and the document that describes them: a route that is not in it cannot be
//! added.

mod accounts;
mod market;
mod pages;
mod results;
mod snapshot;
mod status;
mod what_ifs;

use std::sync::Arc;

use axum::Router;
use axum::middleware::{from_fn, from_fn_with_state};
use tower_http::catch_panic::CatchPanicLayer;
use utoipa::OpenApi;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::app::App;
use super::{answer, auth, events, guard, trace};
use crate::engine::EngineFault;
use crate::service::DeskFault;
use crate::service::problem::Problem;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "shortfall",
        description = "Margins on demand: accounts, what-ifs, hedges, the market and events. Losses, Expected \
                       Shortfall, Value at Risk and margins are positive where money is lost or required. A \
                       problem is told as RFC 9457 problem details with every fault at once.",
        license(name = "MIT OR Apache-2.0")
    ),
    components(schemas(Problem))
)]
struct Description;

/// All routes but the pages, without their layers, and their description.
pub fn api() -> (Router<Arc<App>>, Router<Arc<App>>, utoipa::openapi::OpenApi) {
    let keyed = OpenApiRouter::new()
        .routes(routes!(accounts::list))
        .routes(routes!(
            accounts::read,
            accounts::create,
            accounts::replace,
            accounts::patch,
            accounts::delete
        ))
        .routes(routes!(accounts::margin))
        .routes(routes!(accounts::distribution))
        .routes(routes!(accounts::explanation))
        .routes(routes!(accounts::revisions))
        .routes(routes!(what_ifs::what_if))
        .routes(routes!(what_ifs::batch))
        .routes(routes!(what_ifs::hedge))
        .routes(routes!(market::read, market::update))
        .routes(routes!(market::versions))
        .routes(routes!(market::version))
        .routes(routes!(results::rows))
        .routes(routes!(snapshot::export, snapshot::import))
        .routes(routes!(status::status))
        .routes(routes!(status::metrics));
    let open = OpenApiRouter::with_openapi(Description::openapi())
        .routes(routes!(status::alive))
        .routes(routes!(status::ready))
        .routes(routes!(events::events));
    let (keyed, of_keyed) = keyed.split_for_parts();
    let (open, mut document) = open.split_for_parts();
    document.merge(of_keyed);
    let bearer = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
    document.components.get_or_insert_default().add_security_scheme("key", bearer);
    (keyed, open, document)
}

/// The whole service.
pub fn router(keyed: Router<Arc<App>>, open: Router<Arc<App>>, app: &Arc<App>) -> Router {
    let with_app = |router: Router<Arc<App>>| router.with_state(Arc::clone(app));
    let keyed = with_app(keyed)
        .layer(from_fn_with_state(Arc::clone(app), auth::identify))
        .layer(from_fn(guard::origin));
    let open = with_app(open.merge(pages::pages())).layer(from_fn_with_state(Arc::clone(app), auth::admit));
    keyed
        .merge(open)
        .fallback(pages::nothing)
        .method_not_allowed_fallback(pages::wrong_method)
        .layer(from_fn_with_state(Arc::clone(app), guard::host))
        .layer(CatchPanicLayer::custom(answer::panicked))
        .layer(from_fn_with_state(Arc::clone(app), trace::trace))
}

impl From<DeskFault> for Problem {
    fn from(fault: DeskFault) -> Self {
        let detail = fault.to_string();
        match fault {
            DeskFault::Invalid(faults) => {
                let detail = "nothing was changed; mend every fault and send it again";
                let problem = Self::new(422, "invalid", "Wrong values", detail);
                faults.into_iter().fold(problem, |problem, fault| {
                    problem.with(format!("body.{}", fault.field), fault.found, fault.expected)
                })
            }
            DeskFault::NotFound { .. } => Self::new(404, "not-found", "Not found", detail),
            DeskFault::Exists(_) => Self::new(409, "exists", "There already", detail),
            DeskFault::Conflict { .. } => Self::new(412, "conflict", "Changed meanwhile", detail),
            DeskFault::StaleMarket { .. } => {
                Self::new(503, "stale-market", "Market too old", detail).retry_after(1)
            }
            DeskFault::TooLarge { .. } => Self::new(413, "too-large", "Too large for memory", detail),
            DeskFault::Device(EngineFault::TooLarge { .. } | EngineFault::OutOfMemory(_)) => {
                Self::new(413, "too-large", "Too large for the device", detail)
            }
            DeskFault::Device(_) => {
                let detail = format!("{detail}; the CPU takes its place, ask again");
                Self::new(503, "device", "The device failed", detail).retry_after(1)
            }
            DeskFault::Cancelled => Self::new(503, "cancelled", "Cancelled", detail),
            DeskFault::Engine(_) => Self::new(503, "engine", "The computation failed", detail).retry_after(1),
            DeskFault::Store(_) => Self::new(503, "store", "The store failed", detail).retry_after(1),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::path::Path;

    use axum::extract::State;
    use axum::routing::get;
    use serde_json::Value;
    use tokio::sync::watch;

    use super::*;
    use crate::service::http::Options;
    use crate::service::{Desk, config};

    /// The service with two further routes: one that panics as it answers, one as it computes.
    fn panicking() -> (Arc<App>, Router) {
        let mut served = config::read(Path::new("scenarios/quickstart.yaml")).unwrap();
        served.scenario.simulation.paths = 640;
        let desk = Arc::new(Desk::open(served).unwrap());
        let (keyed, open, document) = api();
        let (_stop, stopping) = watch::channel(false);
        let bound = SocketAddr::from(([127, 0, 0, 1], 0));
        let app = Arc::new(App::new(desk, &Options::default(), None, bound, &document, stopping));
        let answering = async || -> String { panic!("secret {}", 7) };
        let computing = async |State(app): State<Arc<App>>| -> Result<String, Problem> {
            app.lanes.changes.run("client", |_| -> String { panic!("secret") }).await
        };
        let keyed = keyed.route("/answering", get(answering)).route("/computing", get(computing));
        let router = router(keyed, open, &app);
        (app, router)
    }

    #[test]
    fn a_panic_becomes_a_problem_with_the_request_id_and_the_service_goes_on() {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        let (app, router) = panicking();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let address = listener.local_addr().unwrap();
        let service = router.into_make_service_with_connect_info::<SocketAddr>();
        runtime.spawn(async move { axum::serve(listener, service).await });
        let agent = ureq::Agent::config_builder().http_status_as_error(false).build().new_agent();
        let ask = |path: &str| {
            let mut answer = agent.get(format!("http://{address}{path}")).call().unwrap();
            let id = answer.headers().get("x-request-id").map(|id| id.to_str().unwrap().to_owned());
            (answer.status().as_u16(), id.unwrap(), answer.body_mut().read_to_string().unwrap())
        };
        for path in ["/answering", "/computing", "/answering", "/computing"] {
            let (status, id, text) = ask(path);
            let problem: Value = serde_json::from_str(&text).unwrap();
            assert_eq!((status, &problem["type"]), (500, &Value::from("urn:shortfall:internal")), "{path}");
            assert!(!id.is_empty() && problem["request_id"] == id, "{path}: {text}");
            assert!(!text.contains("secret"), "{path}: {text}");
        }
        assert_eq!(app.lanes.changes.inside(), 0, "turns and places are given back");
        assert_eq!(ask("/v1/accounts/market-maker/margin").0, 200);
        assert!(app.metrics.render().contains("route=\"/computing\",method=\"GET\",status=\"500\""));
    }
}
