//! Bearer tokens: which are taken, and everything that an attacker would try.

use crate::guard::*;
use crate::support::*;
use base64ct::{Base64UrlUnpadded, Encoding as _};
use bergulir_proto::pb;
use sha2::{Digest as _, Sha256};
use std::time::Duration;

const ALL: &[(&str, &str)] =
    &[("officer-1", "maker operator auditor @ *"), ("system-2", "auditor @ *")];

fn header(text: &str) -> String {
    format!("{{{text},\"typ\":\"JWT\"}}")
}

/// HMAC-SHA256, which the server does not know.
fn hs256(key: &[u8], header: &str, claims: &str) -> String {
    let b64 = |text: &str| Base64UrlUnpadded::encode_string(text.as_bytes());
    let message = format!("{}.{}", b64(header), b64(claims));
    let mut block = [0; 64];
    let key = if key.len() > 64 { Sha256::digest(key).to_vec() } else { key.to_vec() };
    block[..key.len()].copy_from_slice(&key);
    let pad = |with: u8| block.map(|byte| byte ^ with);
    let inner = Sha256::new().chain_update(pad(0x36)).chain_update(&message).finalize();
    let mac = Sha256::new().chain_update(pad(0x5c)).chain_update(inner).finalize();
    format!("{message}.{}", Base64UrlUnpadded::encode_string(&mac))
}

#[tokio::test]
async fn a_command_is_recorded_as_of_who_the_token_names() {
    let guarded = Guarded::start(ALL).await;
    let officer = guarded.who("officer-1");
    officer.post(open_ledger("kab")).await.unwrap();
    officer.post(open_fund()).await.unwrap();
    let request = pb::GetRecordRequest { ledger: KAB.to_owned(), position: 1 };
    let record = officer.logs().get_record(request).await.unwrap().into_inner().record.unwrap();
    assert_eq!(record.principal, "officer-1");
    assert_eq!(record.authentication(), pb::Authentication::Jwt);
    guarded.server.stop().await;
}

#[tokio::test]
async fn keys_of_each_kind_sign() {
    let guarded = Guarded::start(ALL).await;
    for signer in [Signer::ed(), Signer::es(), Signer::rs()] {
        guarded.files.put_keys(&[signer.jwk("k")]);
        let who = guarded.bearing(&signer.token("officer-1"));
        eventually(async || who.refusal().await.0.is_empty()).await;
    }
    guarded.server.stop().await;
}

#[tokio::test]
async fn a_token_that_is_wrong_in_anything_is_refused() {
    let guarded = Guarded::start(ALL).await;
    let (ed, es) = (&guarded.signer, Signer::es());
    guarded.files.put_keys(&[ed.jwk("k"), es.jwk("e")]);
    let late =
        guarded.bearing(&es.sign(&header(r#""alg":"ES256","kid":"e""#), &claims("officer-1")));
    eventually(async || late.refusal().await.0.is_empty()).await;

    let good = header(r#""alg":"EdDSA","kid":"k""#);
    let with = |text: &str| ed.sign(&header(text), &claims("officer-1"));
    let claiming = |text: String| ed.sign(&good, &text);
    let (soon, past) = (now() + 600, now() - 600);
    let head = format!(r#""iss":"{ISSUER}","aud":"{AUDIENCE}""#);
    let sub = r#""sub":"officer-1""#;
    let x: String =
        ed.jwk("k").split("\"x\":\"").nth(1).unwrap().trim_end_matches("\"}").to_owned();
    let public = Base64UrlUnpadded::decode_vec(&x).unwrap();
    let hs = header(r#""alg":"HS256","kid":"k""#);
    let whole = ed.token("officer-1");
    let parts: Vec<&str> = whole.split('.').collect();
    let other_claims = ed.token("system-2");
    let none = |alg: &str| {
        let head = Base64UrlUnpadded::encode_string(
            header(&format!(r#""alg":"{alg}","kid":"k""#)).as_bytes(),
        );
        format!("{head}.{}.", parts[1])
    };
    // All that is wrong, and not the first of it only.
    let mut wrong = Vec::new();
    for (what, token, expected) in [
        ("no signature", none("none"), "algorithm"),
        ("no signature, spelt otherwise", none("None"), "algorithm"),
        ("no signature under a good algorithm", none("EdDSA"), "signature"),
        ("the public key as a secret", hs256(&public, &hs, &claims("officer-1")), "algorithm"),
        (
            "the public key as text as a secret",
            hs256(x.as_bytes(), &hs, &claims("officer-1")),
            "algorithm",
        ),
        (
            "the algorithm of another key",
            with(r#""alg":"ES256","kid":"k""#),
            "not the one of its key",
        ),
        (
            "the key of another algorithm",
            with(r#""alg":"EdDSA","kid":"e""#),
            "not the one of its key",
        ),
        ("RS512", with(r#""alg":"RS512","kid":"k""#), "algorithm"),
        ("no alg", with(r#""kid":"k""#), "algorithm"),
        ("two algs", with(r#""alg":"none","alg":"EdDSA","kid":"k""#), "algorithm"),
        ("no kid", with(r#""alg":"EdDSA""#), "no kid"),
        ("an empty kid", with(r#""alg":"EdDSA","kid":"""#), "no kid"),
        ("an unknown kid", with(r#""alg":"EdDSA","kid":"../k""#), "no key of its kid"),
        ("two kids", with(r#""alg":"EdDSA","kid":"k","kid":"k""#), "algorithm"),
        ("crit", with(r#""alg":"EdDSA","kid":"k","crit":["exp"]"#), "crit"),
        ("crit of b64", with(r#""alg":"EdDSA","kid":"k","b64":true,"crit":["b64"]"#), "crit"),
        ("b64", with(r#""alg":"EdDSA","kid":"k","b64":true"#), "b64"),
        ("zip", with(r#""alg":"EdDSA","kid":"k","zip":"DEF""#), "zip"),
        (
            "another typ",
            ed.sign(r#"{"alg":"EdDSA","kid":"k","typ":"secevent+jwt"}"#, &claims("officer-1")),
            "typ",
        ),
        (
            "the signature of another token",
            format!("{}.{}.{}", parts[0], parts[1], other_claims.rsplit('.').next().unwrap()),
            "signature",
        ),
        (
            "other claims",
            format!("{}.{}.{}", parts[0], other_claims.split('.').nth(1).unwrap(), parts[2]),
            "signature",
        ),
        ("a stranger's signature", Signer::ed().token("officer-1"), "signature"),
        ("four parts", format!("{whole}.x"), "JSON Web Token"),
        ("one part", "abc".to_owned(), "JSON Web Token"),
        (
            "not yet",
            claiming(format!(r#"{{{head},{sub},"exp":{soon},"nbf":{soon}}}"#)),
            "not come yet",
        ),
        ("no exp", claiming(format!("{{{head},{sub}}}")), "claims"),
        ("exp as text", claiming(format!(r#"{{{head},{sub},"exp":"{soon}"}}"#)), "claims"),
        (
            "exp of never",
            claiming(format!(r#"{{{head},{sub},"exp":18446744073709551615}}"#)),
            "claims",
        ),
        ("exp with a point", claiming(format!(r#"{{{head},{sub},"exp":{soon}.5}}"#)), "claims"),
        ("exp as a power", claiming(format!(r#"{{{head},{sub},"exp":4e9}}"#)), "claims"),
        ("exp before 1970", claiming(format!(r#"{{{head},{sub},"exp":-{soon}}}"#)), "claims"),
        ("exp in a list", claiming(format!(r#"{{{head},{sub},"exp":[{soon}]}}"#)), "claims"),
        ("exp null", claiming(format!(r#"{{{head},{sub},"exp":null}}"#)), "claims"),
        ("exp twice", claiming(format!(r#"{{{head},{sub},"exp":{past},"exp":{soon}}}"#)), "claims"),
        (
            "nbf as text",
            claiming(format!(r#"{{{head},{sub},"exp":{soon},"nbf":"{soon}"}}"#)),
            "claims",
        ),
        (
            "nbf twice",
            claiming(format!(r#"{{{head},{sub},"exp":{soon},"nbf":{soon},"nbf":{past}}}"#)),
            "claims",
        ),
        (
            "nbf before 1970",
            claiming(format!(r#"{{{head},{sub},"exp":{soon},"nbf":-1}}"#)),
            "claims",
        ),
        ("nbf null", claiming(format!(r#"{{{head},{sub},"exp":{soon},"nbf":null}}"#)), "claims"),
        ("no sub", claiming(format!(r#"{{{head},"exp":{soon}}}"#)), "claims"),
        (
            "two subs",
            claiming(format!(r#"{{{head},{sub},"sub":"officer-1","exp":{soon}}}"#)),
            "claims",
        ),
        ("an empty sub", claiming(format!(r#"{{{head},"sub":"","exp":{soon}}}"#)), "principal"),
        (
            "a sub with a space",
            claiming(format!(r#"{{{head},"sub":"a b","exp":{soon}}}"#)),
            "principal",
        ),
        (
            "a sub that looks like another",
            claiming(format!("{{{head},\"sub\":\"\u{43e}fficer-1\",\"exp\":{soon}}}")),
            "principal",
        ),
        (
            "a sub in letters twice as wide",
            claiming(format!("{{{head},\"sub\":\"\u{ff4f}fficer-1\",\"exp\":{soon}}}")),
            "principal",
        ),
        (
            "a sub with what is not seen",
            claiming(format!("{{{head},\"sub\":\"officer-1\u{200b}\",\"exp\":{soon}}}")),
            "principal",
        ),
        (
            "a sub with an end in it",
            claiming(format!(r#"{{{head},"sub":"officer-1\u0000","exp":{soon}}}"#)),
            "principal",
        ),
        (
            "a sub that is a number",
            claiming(format!(r#"{{{head},"sub":1,"exp":{soon}}}"#)),
            "claims",
        ),
        (
            "a list of subs",
            claiming(format!(r#"{{{head},"sub":["officer-1"],"exp":{soon}}}"#)),
            "claims",
        ),
        (
            "iss with a stroke more",
            claiming(format!(r#"{{"iss":"{ISSUER}/","aud":"{AUDIENCE}",{sub},"exp":{soon}}}"#)),
            "issuer",
        ),
        (
            "iss in capitals",
            claiming(format!(
                r#"{{"iss":"{}","aud":"{AUDIENCE}",{sub},"exp":{soon}}}"#,
                ISSUER.to_uppercase()
            )),
            "issuer",
        ),
        (
            "iss twice",
            claiming(format!(
                r#"{{"iss":"x","iss":"{ISSUER}","aud":"{AUDIENCE}",{sub},"exp":{soon}}}"#
            )),
            "claims",
        ),
        ("no iss", claiming(format!(r#"{{"aud":"{AUDIENCE}",{sub},"exp":{soon}}}"#)), "claims"),
        (
            "another iss",
            claiming(format!(r#"{{"iss":"https://x","aud":"{AUDIENCE}",{sub},"exp":{soon}}}"#)),
            "issuer",
        ),
        (
            "many iss",
            claiming(format!(
                r#"{{"iss":["{ISSUER}","x"],"aud":"{AUDIENCE}",{sub},"exp":{soon}}}"#
            )),
            "claims",
        ),
        ("no aud", claiming(format!(r#"{{"iss":"{ISSUER}",{sub},"exp":{soon}}}"#)), "claims"),
        (
            "another aud",
            claiming(format!(r#"{{"iss":"{ISSUER}","aud":["x"],{sub},"exp":{soon}}}"#)),
            "audience",
        ),
        (
            "aud of nobody",
            claiming(format!(r#"{{"iss":"{ISSUER}","aud":[],{sub},"exp":{soon}}}"#)),
            "audience",
        ),
        (
            "aud twice",
            claiming(format!(
                r#"{{"iss":"{ISSUER}","aud":"x","aud":"{AUDIENCE}",{sub},"exp":{soon}}}"#
            )),
            "claims",
        ),
        (
            "aud in a list in a list",
            claiming(format!(r#"{{"iss":"{ISSUER}","aud":[["{AUDIENCE}"]],{sub},"exp":{soon}}}"#)),
            "claims",
        ),
        ("claims that are no object", claiming(format!(r#"["{ISSUER}"]"#)), "claims"),
        ("claims that are nothing", claiming(String::new()), "claims"),
        (
            "a key in the token",
            ed.sign(
                &header(&format!(r#""alg":"EdDSA","kid":"x","jwk":{}"#, ed.jwk("x"))),
                &claims("officer-1"),
            ),
            "no key of its kid",
        ),
        (
            "a place of keys in the token",
            ed.sign(
                &header(r#""alg":"EdDSA","kid":"x","jku":"http://127.0.0.1:1/""#),
                &claims("officer-1"),
            ),
            "no key of its kid",
        ),
        ("padding", format!("{whole}="), "JSON Web Token"),
        ("too long", "a".repeat(9_000), "longer"),
    ] {
        let (reason, message) = guarded.bearing(&token).refusal().await;
        let shown = message.contains(&token[..token.len().min(20)]);
        if reason != "TOKEN_REFUSED" || !message.contains(expected) || shown {
            wrong.push(format!("{what}: {reason} {message}"));
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    let expired = claiming(format!(r#"{{{head},{sub},"exp":{past}}}"#));
    assert_eq!(guarded.bearing(&expired).refusal().await.0, "TOKEN_EXPIRED");
    // As are the harmless ones next to them.
    for token in [
        claiming(format!(r#"{{{head},{sub},"exp":{soon},"nbf":{past},"more":[1]}}"#)),
        claiming(format!(r#"{{"iss":"{ISSUER}","aud":["x","{AUDIENCE}"],{sub},"exp":{soon}}}"#)),
        claiming(format!(r#"{{{head},{sub},"exp":{}}}"#, now() - 5)),
        ed.sign(r#"{"alg":"EdDSA","kid":"k","typ":"at+jwt"}"#, &claims("officer-1")),
        ed.sign(r#"{"alg":"EdDSA","kid":"k"}"#, &claims("officer-1")),
    ] {
        assert_eq!(guarded.bearing(&token).refusal().await.0, "");
    }
    guarded.server.stop().await;
}

#[tokio::test]
async fn who_sends_no_token_or_another_name_is_refused() {
    let guarded = Guarded::start(ALL).await;
    let channel = &guarded.server.channel;
    let token = guarded.signer.token("officer-1");
    let bearer = || ("authorization", format!("Bearer {token}"));
    for (sends, expected) in [
        (vec![], "CREDENTIALS_MISSING"),
        (vec![("bergulir-principal", "officer-1".to_owned())], "CREDENTIALS_MISSING"),
        (vec![("authorization", format!("Basic {token}"))], "TOKEN_REFUSED"),
        (vec![("authorization", "Bearer ".to_owned())], "TOKEN_REFUSED"),
        (vec![("authorization", "Bearer".to_owned())], "TOKEN_REFUSED"),
        (vec![("authorization", token.clone())], "TOKEN_REFUSED"),
        (vec![("authorization", format!("Bearer  {token}"))], "TOKEN_REFUSED"),
        (vec![("authorization", format!("Bearer\t{token}"))], "TOKEN_REFUSED"),
        (vec![("authorization", format!("Bearer {token},"))], "TOKEN_REFUSED"),
        (vec![("authorization", format!("Bearer {token}, Bearer {token}"))], "TOKEN_REFUSED"),
        (vec![bearer(), ("authorization", "Basic x".to_owned())], "TOKEN_REFUSED"),
        (vec![bearer(), ("bergulir-principal", "OFFICER-1".to_owned())], "PRINCIPAL_DIFFERS"),
        (vec![bearer(), bearer()], "TOKEN_REFUSED"),
        (vec![bearer(), ("bergulir-principal", "officer-2".to_owned())], "PRINCIPAL_DIFFERS"),
        (vec![bearer(), ("bergulir-principal", "officer-1".to_owned())], ""),
        (vec![("authorization", format!("bearer {token}"))], ""),
    ] {
        let refusal = Who::sending(channel, sends.clone()).refusal().await;
        assert_eq!(refusal.0, expected, "{sends:?}");
    }
    for system in ["system", "System", "SYSTEM"] {
        assert_eq!(guarded.who(system).refusal().await.0, "RESERVED_PRINCIPAL");
    }
    // Another spelling is another one, who was granted nothing.
    assert_eq!(guarded.who("Officer-1").refusal().await.0, "ROLE_MISSING");
    guarded.server.stop().await;
}

#[tokio::test]
async fn keys_come_and_go_without_a_restart_and_a_broken_file_changes_nothing() {
    let guarded = Guarded::start(ALL).await;
    let old = guarded.who("officer-1");
    assert_eq!(old.refusal().await.0, "");
    guarded.files.put("jwks.json", "{\"keys\": [");
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert_eq!(old.refusal().await.0, "");
    // The same id for another key: what the connection knew of the old token counts no more.
    let next = Signer::ed();
    guarded.files.put_keys(&[next.jwk("k")]);
    eventually(async || old.refusal().await.0 == "TOKEN_REFUSED").await;
    assert_eq!(guarded.bearing(&next.token("officer-1")).refusal().await.0, "");
    guarded.server.stop().await;
}

#[tokio::test]
async fn a_token_that_runs_out_ends_what_it_began() {
    use futures::StreamExt as _;
    let guarded = Guarded::start(ALL).await;
    let officer = guarded.who("officer-1");
    officer.post(open_ledger("kab")).await.unwrap();
    // Only the leeway is left of it.
    let head = format!(r#""iss":"{ISSUER}","aud":"{AUDIENCE}","sub":"officer-1""#);
    let short = format!(r#"{{{head},"exp":{}}}"#, now() - 27);
    let short = guarded.signer.sign(&header(r#""alg":"EdDSA","kid":"k""#), &short);
    let short = guarded.bearing(&short);
    let request = pb::SubscribeRequest { ledger: KAB.to_owned(), ..Default::default() };
    let mut records = short.logs().subscribe(request).await.unwrap().into_inner();
    let ended = async {
        while let Some(message) = records.next().await {
            if let Err(status) = message {
                return status.code();
            }
        }
        tonic::Code::Ok
    };
    let ended = tokio::time::timeout(Duration::from_secs(20), ended).await.unwrap();
    assert_eq!(ended, tonic::Code::DeadlineExceeded);
    assert_eq!(short.refusal().await.0, "TOKEN_EXPIRED");
    guarded.server.stop().await;
}
