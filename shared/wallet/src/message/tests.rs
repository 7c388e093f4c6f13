use proptest::prelude::*;
use time::macros::datetime;

use super::*;
use crate::AccountNetwork;

const NOW: OffsetDateTime = datetime!(2026-11-30 12:05:00 UTC);

fn origin() -> Origin {
    Origin::of(&Url::parse("https://verify.arrakis.example").unwrap()).unwrap()
}

fn sign_in(origin: &Origin) -> SignIn<'_> {
    SignIn {
        origin,
        session: Uuid::from_u128(0x0193_7c3e_0000_7000_8000_0000_0000_0001),
        account: Account {
            network: AccountNetwork::Discord,
            id: 1_300_000_000_000_000_001,
        },
        account_name: "Chaní",
        address: "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed".parse().unwrap(),
        chain_id: 80094,
        nonce: "k3Xw9ZpQ7aLm2RtB",
        issued_at: datetime!(2026-11-30 12:00:00.123456 UTC),
        expires_at: datetime!(2026-11-30 12:15:00 UTC),
    }
}

const TEXT: &str = "verify.arrakis.example wants you to sign in with your Ethereum account:
0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed

Link this wallet to the Discord account 1300000000000000001 (Chan[U+00ED]). Signing is free. It sends no transaction and gives no access to your tokens.

URI: https://verify.arrakis.example/verify
Version: 1
Chain ID: 80094
Nonce: k3Xw9ZpQ7aLm2RtB
Issued At: 2026-11-30T12:00:00Z
Expiration Time: 2026-11-30T12:15:00Z
Request ID: 01937c3e-0000-7000-8000-000000000001
Resources:
- https://discord.com/users/1300000000000000001";

#[test]
fn message_has_the_form_of_eip_4361() {
    let origin = origin();
    assert_eq!(sign_in(&origin).text().unwrap(), TEXT);
    assert_eq!(sign_in(&origin).compare(TEXT, NOW), Ok(()));
}

#[test]
fn telegram_account_is_named_by_its_uri() {
    let origin = origin();
    let message = SignIn {
        account: Account {
            network: AccountNetwork::Telegram,
            id: 42,
        },
        ..sign_in(&origin)
    };
    let text = message.text().unwrap();
    assert!(text.contains("Link this wallet to the Telegram account 42 ("), "{text}");
    assert!(text.ends_with("\n- tg://user?id=42"), "{text}");
}

#[test]
fn each_changed_field_is_refused_by_its_own_reason() {
    use MessageRefusal as R;
    let origin = origin();
    for (from, to, refusal) in [
        (
            "verify.arrakis.example wants",
            "verify.arrakis.example.evil.example wants",
            R::WrongDomain,
        ),
        (
            "verify.arrakis.example wants",
            "verify.arrakis.example:8443 wants",
            R::WrongDomain,
        ),
        (
            "verify.arrakis.example wants",
            "https://verify.arrakis.example wants",
            R::WrongDomain,
        ),
        (
            "verify.arrakis.example wants",
            "VERIFY.arrakis.example wants",
            R::WrongDomain,
        ),
        // A Cyrillic letter that looks like the Latin e, the same as punycode, and a zero-width space.
        (
            "verify.arrakis.example wants",
            "v\u{435}rify.arrakis.example wants",
            R::WrongDomain,
        ),
        (
            "verify.arrakis.example wants",
            "xn--vrify-2of.arrakis.example wants",
            R::WrongDomain,
        ),
        (
            "verify.arrakis.example wants",
            "verify.arrakis.example\u{200b} wants",
            R::WrongDomain,
        ),
        (
            "verify.arrakis.example wants",
            "verify.arrakis.example@evil.example wants",
            R::WrongDomain,
        ),
        ("/verify\n", "/verify/other\n", R::WrongUri),
        ("URI: https", "URI: http", R::WrongUri),
        ("80094", "1", R::WrongChain),
        ("80094", "+80094", R::Altered),
        (
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359",
            R::WrongAddress,
        ),
        (
            "0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed",
            "0x5aaeb6053f3e94c9b9a09f33669435e7ef1beaed",
            R::Altered,
        ),
        ("0x5aAeb", "0x5AAeb", R::Malformed),
        ("k3Xw9ZpQ7aLm2RtB", "k3Xw9ZpQ7aLm2RtC", R::WrongNonce),
        ("k3Xw9ZpQ7aLm2RtB", "k3Xw-ZpQ7aLm2RtB", R::Malformed),
        ("000000000001\n", "000000000002\n", R::AnotherSession),
        (
            "users/1300000000000000001",
            "users/1300000000000000002",
            R::OtherAccount,
        ),
        (
            "\nResources:\n- https://discord.com/users/1300000000000000001",
            "",
            R::OtherAccount,
        ),
        ("account 1300000000000000001", "account 1300000000000000002", R::Altered),
        ("12:15:00Z", "12:04:59Z", R::Expired),
        ("12:15:00Z", "12:25:00Z", R::Altered),
        ("\nExpiration Time: 2026-11-30T12:15:00Z", "", R::Altered),
        ("12:00:00Z", "12:06:01Z", R::IssuedInFuture),
        ("12:00:00Z", "12:05:59Z", R::Altered),
        ("12:00:00Z", "12:00:00.000Z", R::Altered),
        ("12:00:00Z", "14:00:00+02:00", R::Altered),
        (
            "Request ID",
            "Not Before: 2026-11-30T12:00:00Z\nRequest ID",
            R::ExtraLines,
        ),
        ("\nResources", "\nTerms: https://evil.example\nResources", R::ExtraLines),
        ("tokens.\n", "tokens.\nAnd everything else.\n", R::ExtraLines),
        ("Version: 1", "Version: 2", R::Malformed),
        ("Chain ID: 80094\n", "", R::Malformed),
    ] {
        let changed = TEXT.replacen(from, to, 1);
        assert_ne!(changed, TEXT, "{from:?} → {to:?}");
        let compared = sign_in(&origin).compare(&changed, NOW);
        assert_eq!(compared, Err(refusal), "{from:?} → {to:?}");
    }
    let windows = TEXT.replace('\n', "\r\n");
    assert_eq!(sign_in(&origin).compare(&windows, NOW), Err(R::Malformed));
    for added in ["\n", "\n- https://evil.example", "\nMore: lines", " "] {
        let compared = sign_in(&origin).compare(&format!("{TEXT}{added}"), NOW);
        assert!(
            matches!(compared, Err(R::ExtraLines | R::Malformed)),
            "{added:?}: {compared:?}"
        );
    }
    assert_eq!(sign_in(&origin).compare(&format!(" {TEXT}"), NOW), Err(R::WrongDomain));
    assert_eq!(sign_in(&origin).compare("", NOW), Err(R::Malformed));
    assert_eq!(sign_in(&origin).compare("Transfer all tokens", NOW), Err(R::Malformed));
    assert_eq!(sign_in(&origin).compare(&TEXT.repeat(20), NOW), Err(R::Malformed));
}

#[test]
fn message_is_valid_from_its_issue_to_its_end() {
    let origin = origin();
    let at = |now| sign_in(&origin).compare(TEXT, now);
    assert_eq!(
        at(datetime!(2026-11-30 11:58:59 UTC)),
        Err(MessageRefusal::IssuedInFuture)
    );
    assert_eq!(
        at(datetime!(2026-11-30 11:59:30 UTC)),
        Ok(()),
        "clocks of two machines differ"
    );
    assert_eq!(at(datetime!(2026-11-30 12:00:00 UTC)), Ok(()));
    assert_eq!(at(datetime!(2026-11-30 12:14:59.999 UTC)), Ok(()));
    assert_eq!(at(datetime!(2026-11-30 12:15:00 UTC)), Err(MessageRefusal::Expired));
}

#[test]
fn origin_is_what_the_browser_shows() {
    let of = |text: &str| Origin::of(&Url::parse(text).unwrap());
    for (base, domain, uri) in [
        (
            "https://verify.example",
            "verify.example",
            "https://verify.example/verify",
        ),
        (
            "https://verify.example:443/",
            "verify.example",
            "https://verify.example/verify",
        ),
        (
            "http://127.0.0.1:8080/gate/",
            "127.0.0.1:8080",
            "http://127.0.0.1:8080/gate/verify",
        ),
        (
            "https://bücher.example",
            "xn--bcher-kva.example",
            "https://xn--bcher-kva.example/verify",
        ),
    ] {
        let origin = of(base).unwrap();
        assert_eq!((origin.domain(), origin.uri()), (domain, uri));
    }
    assert!(matches!(of("ftp://verify.example"), Err(OriginError::NoWebAddress(_))));
    assert!(matches!(
        of("https://a@verify.example"),
        Err(OriginError::MoreThanAPath(_))
    ));
    assert!(matches!(
        of("https://verify.example?a"),
        Err(OriginError::MoreThanAPath(_))
    ));
}

#[test]
fn invalid_nonce_gives_no_message() {
    let origin = origin();
    for nonce in ["", "short", "01937c3e-0000-7000", "abcdefgh\nRequest ID: x"] {
        assert!(
            SignIn {
                nonce,
                ..sign_in(&origin)
            }
            .text()
            .is_err(),
            "{nonce}"
        );
    }
}

/// A change of a text: of one character, or a line removed, doubled or exchanged with another.
fn change(text: &str, kind: u8, at: usize, other: usize, letter: char) -> String {
    let mut letters: Vec<char> = text.chars().collect();
    let mut lines: Vec<&str> = text.split('\n').collect();
    match kind {
        0 => {
            let at = at % letters.len();
            letters[at] = letter;
        }
        1 => letters.insert(at % (letters.len() + 1), letter),
        2 => {
            letters.remove(at % letters.len());
        }
        _ => {
            let (at, other) = (at % lines.len(), other % lines.len());
            match kind {
                3 => lines.swap(at, other),
                4 => lines.insert(at, lines[other]),
                _ => {
                    lines.remove(at);
                }
            }
            return lines.join("\n");
        }
    }
    letters.into_iter().collect()
}

proptest! {
    #[test]
    fn no_changed_message_is_accepted(kind in 0..6_u8, at in any::<usize>(), other in any::<usize>(), letter in any::<char>()) {
        let changed = change(TEXT, kind, at, other, letter);
        let accepted = sign_in(&origin()).compare(&changed, NOW).is_ok();
        prop_assert_eq!(accepted, changed == TEXT, "{}", changed);
    }

    #[test]
    fn any_account_name_gives_a_message_that_compares_equal(name in any::<String>(), id in 1..=u64::MAX) {
        let origin = origin();
        let account = Account { network: AccountNetwork::Discord, id };
        let message = SignIn { account_name: &name, account, ..sign_in(&origin) };
        prop_assert_eq!(message.compare(&message.text().unwrap(), NOW), Ok(()));
    }

    #[test]
    fn arbitrary_text_is_refused_without_a_panic(text in any::<String>()) {
        prop_assert!(sign_in(&origin()).compare(&text, NOW).is_err());
    }
}
