//! Several logins of one browser, at once or one after the other.

use gatelatch_harness::{Browser, user};

use crate::{LOGIN_COOKIE, STACK};

#[tokio::test]
async fn five_tabs_that_log_in_at_once_all_arrive() {
    let stack = STACK.get();
    let (browser, ada) = (Browser::new(), user("ada"));
    let mut forms = Vec::new();
    for tab in 1..=5 {
        forms.push((
            tab,
            browser
                .open(&stack.url(&format!("/tab/{tab}")))
                .await
                .expect(302),
        ));
    }
    assert_eq!(browser.jar().named(LOGIN_COOKIE).len(), 5);
    for (tab, first) in forms {
        let at_provider = browser.follow_to(first, "/auth").await;
        let next = browser.open(&at_provider).await;
        // The first tab sees the form; the provider knows the user in all others.
        let page = match browser.follow(next).await {
            page if page.text().contains("name=\"login\"") => {
                let back = browser.type_name(page.url(), &ada).await;
                browser.follow(back).await
            }
            page => page,
        };
        assert_eq!(page.expect(200).echo().0["path"], format!("/tab/{tab}"));
    }
    assert_eq!(browser.jar().named(LOGIN_COOKIE).len(), 0);
    browser.fetch(&stack.url("/api")).await.expect(200);
}

#[tokio::test]
async fn abandoned_logins_keep_at_most_eight_cookies_and_the_newest_still_works() {
    let stack = STACK.get();
    let (browser, ada) = (Browser::new(), user("ada"));
    for nth in 1..=12 {
        browser
            .open(&stack.url(&format!("/abandoned/{nth}")))
            .await
            .expect(302);
    }
    assert_eq!(browser.jar().named(LOGIN_COOKIE).len(), 8);
    let page = browser.login(stack, &ada, "/thirteenth").await.expect(200);
    assert_eq!(page.echo().0["path"], "/thirteenth");
    assert_eq!(browser.jar().named(LOGIN_COOKIE).len(), 7);
}

#[tokio::test]
async fn a_second_login_in_the_same_browser_ends_the_session_it_replaces() {
    let stack = STACK.get();
    let ada = user("ada");
    let browser = Browser::logged_in(stack, &ada).await;
    let (first, thief) = (browser.session().text("sid"), browser.copy());
    browser
        .login(stack, &ada, "/_gatelatch/login?return_to=/x")
        .await;
    let second = browser.session().text("sid");
    assert_ne!(first, second);
    let ended = stack.control().session(&first).await;
    assert_eq!(ended["ended_reason"], "replaced");
    gatelatch_harness::eventually("the old cookie is refused", 5, async || {
        (thief.fetch(&stack.url("/api")).await.status == 401).then_some(())
    })
    .await;
    browser.fetch(&stack.url("/api")).await.expect(200);
}
