//! What is forgotten, and when.

use std::time::Duration;

use serde_json::json;

use crate::on_every_store;
use crate::service::{ADMIN, DAY, ISS, Service, eventually};

on_every_store!(everything_goes_when_its_time_has_come_and_nothing_before);

fn everything_goes_when_its_time_has_come_and_nothing_before(service: Service) {
    let caller = service.caller();
    let now = service.now();
    service.create("s", "u");
    caller.revoke(&json!(
        (0..2_500)
            .map(|n| json!({"kind": "jti", "id": format!("j{n}")}))
            .collect::<Vec<_>>()
    ));
    caller.gateway("/v1/logins/l/claim", &json!({"expires_at": now + 600}));
    let logout = json!({"iss": ISS, "sub": "v", "jti": "1", "iat": now, "exp": now + 120});
    caller.gateway("/v1/backchannel-logout", &logout);
    let cleaned =
        |kind: &str| caller.metric(&format!("gatelatch_cleaned_total{{kind=\"{kind}\"}}"));
    service.advance(DAY);
    // The session's absolute end has come, and the marks'.
    eventually("marks go", || {
        cleaned("login_marks") == 1.0 && cleaned("logout_marks") == 1.0
    });
    assert_eq!(cleaned("expired_sessions"), 1.0);
    let session = caller.admin("/v1/sessions/s");
    assert_eq!(session["ended_reason"], "expired");
    assert_eq!(session["refreshable"], false);
    assert_eq!(
        (
            cleaned("revocations"),
            cleaned("sessions"),
            cleaned("tombstones")
        ),
        (0.0, 0.0, 0.0)
    );
    service.advance(29 * DAY);
    eventually("revocations go", || cleaned("tombstones") == 1.0);
    assert_eq!(
        (cleaned("revocations"), cleaned("sessions")),
        (2_500.0, 0.0)
    );
    service.advance(DAY + Duration::from_secs(1));
    eventually("the session goes", || cleaned("sessions") == 1.0);
    assert_eq!(caller.get(ADMIN, "/v1/sessions/s").0, 404);
}
