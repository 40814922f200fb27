//! Where a login leads when it is done.

use gatelatch_harness::{Browser, user};
use url::Url;

use crate::{LIST_COOKIE, LOGIN_COOKIE, STACK};

#[tokio::test]
async fn a_login_leads_back_to_the_page_first_asked_for_with_its_query() {
    let stack = STACK.get();
    let (browser, ada) = (Browser::new(), user("ada"));
    let target = "/orders/7%20b?page=2&q=a%2Fb&next=//x&q=";
    let page = browser.login(stack, &ada, target).await.expect(200);
    let echo = page.echo();
    assert_eq!(echo.0["path"], target);
    assert_eq!(echo.values("x-auth-request-user"), [ada.as_str()]);
    let jar = browser.jar();
    assert_eq!(
        jar.named(LOGIN_COOKIE).len(),
        0,
        "the transaction is closed"
    );
    assert_eq!(jar.value(LIST_COOKIE), None);
    assert_eq!(jar.refused(), [] as [String; 0]);
}

#[tokio::test]
async fn a_return_target_elsewhere_becomes_the_start_page() {
    let stack = STACK.get();
    let (browser, ada) = (Browser::new(), user("ada"));
    browser.login(stack, &ada, "/").await.expect(200);
    for target in [
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example/",
        "\\\\evil.example",
        "/%09/evil.example",
        "/\t/evil.example",
        "%2F%2Fevil.example",
        "javascript:alert(1)",
        "/_gatelatch/logout",
        "evil.example",
        "",
    ] {
        let mut url = Url::parse(&stack.url("/_gatelatch/login")).expect("a URL");
        url.query_pairs_mut().append_pair("return_to", target);
        let back = browser.open(url.as_str()).await.expect(302);
        let callback = browser.follow_to(back, "/_gatelatch/callback").await;
        let answer = browser.open(&callback).await.expect(302);
        let home = match target {
            // A path of our own, however odd.
            "/%09/evil.example" => stack.url(target),
            _ => stack.url("/"),
        };
        assert_eq!(answer.location(), home, "{target:?}");
    }
}

#[tokio::test]
async fn the_login_path_leads_back_to_its_return_target() {
    let stack = STACK.get();
    let browser = Browser::new();
    let login = "/_gatelatch/login?return_to=%2Freports%3Fyear%3D2026%26x%3D1";
    let page = browser.login(stack, &user("ada"), login).await.expect(200);
    assert_eq!(page.echo().0["path"], "/reports?year=2026&x=1");
    let twice = "/_gatelatch/login?return_to=/a&return_to=/b";
    browser.open(&stack.url(twice)).await.expect(400);
}
