//! What a person sees, in a real browser. A picture of every station is kept in the target
//! directory.

use std::path::PathBuf;

use fantoccini::{Client, ClientBuilder, Locator};
use gatelatch_harness::session::SESSION_COOKIE;
use gatelatch_harness::{Browser, SessionToken, Stack, StackOptions, WebDriver, eventually};
use hyper_util::client::legacy::connect::HttpConnector;
use serde_json::json;

#[tokio::test]
async fn a_person_logs_in_works_over_an_expiry_is_revoked_and_lands_at_the_login_form() {
    let stack = Stack::start(&StackOptions::new().session_ttl("5s"));
    let person = Person::new("walk").await;
    let page = stack.url("/?view=orders");

    person.open(&page).await;
    person.at_login_form().await;
    person.picture("1-login-form").await;
    assert_eq!(person.cookie().await, None);

    person.type_name("ada").await;
    person.at(&page).await;
    assert_eq!(person.text("h1").await, "Hello, ada");
    person.picture("2-back-at-the-page").await;
    let first = person
        .cookie()
        .await
        .expect("the browser keeps the __Host- cookie");
    assert_eq!(
        person
            .script("return document.cookie.includes('gatelatch')")
            .await,
        json!(false)
    );

    // The page stays as it is: what was scrolled, what its script holds, and its address.
    person
        .script("window.scrollTo(0, 150); window.held = 'kept'")
        .await;
    let scrolled = person.script("return window.scrollY").await;
    first.expired().await;
    person
        .client
        .find(Locator::Id("call"))
        .await
        .expect("the button")
        .click()
        .await
        .expect("clicked");
    let answer = eventually("the call is answered", 10, async || {
        Some(person.text("#answer").await).filter(|text| text.contains("headers"))
    })
    .await;
    assert!(answer.starts_with("200"), "{answer}");
    assert!(
        answer.contains("x-auth-request-user") && answer.contains("ada"),
        "{answer}"
    );
    assert_eq!(person.script("return window.held").await, json!("kept"));
    let now = person.script("return window.scrollY").await;
    assert!(
        now.as_f64() >= scrolled.as_f64(),
        "scrolled to {scrolled}, now {now}"
    );
    person.at(&page).await;
    person.picture("3-called-over-an-expiry").await;
    let second = person.cookie().await.expect("a session");
    assert_ne!(first, second);
    assert_eq!(first.text("sid"), second.text("sid"));

    second.expired().await;
    person.client.refresh().await.expect("reloaded");
    person.at(&page).await;
    assert_eq!(person.text("h1").await, "Hello, ada");
    person.picture("4-reloaded-over-an-expiry").await;
    assert_eq!(stack.events().refreshes("ada"), 1);
    assert_eq!(
        stack
            .events()
            .count("authorization.success", &[("sub", "ada")]),
        1,
        "no second login"
    );

    let cut = json!({"kind": "sub", "iss": stack.ready.issuer, "sub": "ada"});
    let control = stack.control();
    let revoked = control
        .post("/v1/revocations?wait=enforced", &cut)
        .await
        .expect(201)
        .json();
    assert_eq!(revoked["enforced"], json!({"on": 1, "of": 1}));
    person
        .client
        .find(Locator::LinkText("Members"))
        .await
        .expect("a link")
        .click()
        .await
        .expect("clicked");
    person.at_login_form().await;
    assert_eq!(
        person.cookie().await,
        None,
        "the browser has dropped the cookie"
    );
    person.picture("5-revoked").await;

    person.type_name("ada").await;
    person.at(&stack.url("/")).await;
    assert_eq!(person.text("h1").await, "Hello, ada");
    person.leave().await;
}

#[tokio::test]
async fn the_log_out_button_ends_the_session_here_and_at_the_provider() {
    let stack = Stack::start(&StackOptions::new());
    let person = Person::new("logout").await;
    person.open(&stack.url("/")).await;
    person.at_login_form().await;
    person.type_name("bob").await;
    person.at(&stack.url("/")).await;
    let session = person.cookie().await.expect("a session");

    person.picture("1-before").await;
    let button = Locator::Css("form[action='/_gatelatch/logout'] button");
    person
        .client
        .find(button)
        .await
        .expect("the button")
        .click()
        .await
        .expect("clicked");
    // Through the provider, home again, and from there to the form: nobody is logged in anywhere.
    person.at_login_form().await;
    person.picture("2-after").await;
    assert_eq!(person.cookie().await, None);
    assert_eq!(stack.events().count("end_session.success", &[]), 1);
    let ended = stack.control().session(&session.text("sid")).await;
    assert_eq!(ended["ended_reason"], "logout");

    let thief = Browser::new();
    thief.edit_jar(|jar| jar.put(SESSION_COOKIE, &session.0));
    eventually("the old cookie is refused", 5, async || {
        (thief.copy().fetch(&stack.url("/api")).await.status == 401).then_some(())
    })
    .await;
    person.leave().await;
}

/// Somebody at a screen.
struct Person {
    client: Client,
    pictures: PathBuf,
    _driver: WebDriver,
}

impl Person {
    async fn new(walk: &str) -> Self {
        let driver = WebDriver::start();
        let client = ClientBuilder::new(HttpConnector::new())
            .capabilities(driver.capabilities())
            .connect(&driver.url)
            .await
            .expect("chromedriver starts Chromium");
        let pictures = PathBuf::from(env!("CARGO_TARGET_TMPDIR"))
            .join("browser")
            .join(walk);
        std::fs::create_dir_all(&pictures).expect("a directory for pictures");
        println!("pictures: {}", pictures.display());
        Self {
            client,
            pictures,
            _driver: driver,
        }
    }

    async fn open(&self, url: &str) {
        self.client.goto(url).await.expect("a page");
    }

    /// Waits for a page that has loaded at this address.
    async fn at(&self, url: &str) {
        self.loaded(url, |here| here == url).await;
    }

    async fn at_login_form(&self) {
        self.loaded("the provider's form", |here| here.contains("/interaction/"))
            .await;
        self.client
            .find(Locator::Id("password"))
            .await
            .expect("a password field");
    }

    async fn loaded(&self, what: &str, is_it: impl Fn(&str) -> bool) {
        eventually(what, 20, async || {
            let here = self.client.current_url().await.ok()?;
            let state = self
                .client
                .execute("return document.readyState", Vec::new())
                .await
                .ok()?;
            (is_it(here.as_str()) && state == "complete").then_some(())
        })
        .await;
    }

    async fn type_name(&self, name: &str) {
        for (field, text) in [("login", name), ("password", "any password")] {
            let field = self.client.find(Locator::Id(field)).await.expect("a field");
            field.send_keys(text).await.expect("typed");
        }
        let button = self
            .client
            .find(Locator::Css("button[type=submit]"))
            .await
            .expect("a button");
        button.click().await.expect("clicked");
    }

    async fn text(&self, css: &str) -> String {
        self.client
            .find(Locator::Css(css))
            .await
            .expect("an element")
            .text()
            .await
            .expect("its text")
    }

    async fn script(&self, code: &str) -> serde_json::Value {
        self.client
            .execute(code, Vec::new())
            .await
            .expect("a script")
    }

    async fn cookie(&self) -> Option<SessionToken> {
        let all = self.client.get_all_cookies().await.expect("cookies");
        let found = all
            .into_iter()
            .find(|cookie| cookie.name() == SESSION_COOKIE)?;
        assert_eq!(
            (found.secure(), found.http_only(), found.path()),
            (Some(true), Some(true), Some("/"))
        );
        Some(SessionToken(found.value().to_owned()))
    }

    async fn picture(&self, name: &str) {
        let png = self.client.screenshot().await.expect("a picture");
        std::fs::write(self.pictures.join(format!("{name}.png")), png).expect("written");
    }

    async fn leave(self) {
        self.client.close().await.expect("the browser ends");
    }
}
