//! The studio's server as the page meets it: a real process, real sockets, a client of a few lines.

mod common;
#[path = "common/studio.rs"]
mod client;
#[path = "studio/files.rs"]
mod files;
#[path = "studio/session.rs"]
mod session;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::mpsc::channel;
use std::thread;
use std::time::{Duration, Instant};

use client::Studio;
use common::{Dir, tune};
use partita::studio::{StudioConfig, Words};
use partita::watch::Watch;
use serde_json::{Value, json};

fn sources(names: &[&str]) -> Value {
    let source = |(i, name): (usize, &&str)| json!({ "id": i + 1, "name": name, "n_components": 3, "color": i });
    names.iter().enumerate().map(source).collect::<Vec<_>>().into()
}

// ---- who is let in -----------------------------------------------------------------------------------------------

#[test]
fn only_the_page_on_this_machine_is_let_in() {
    let dir = Dir::new();
    dir.tune("in.wav");
    let studio = Studio::open(&dir, &["in.wav"]);
    let (port, token) = (studio.port, &studio.token);
    assert!(token.len() == 32 && token.bytes().all(|byte| byte.is_ascii_hexdigit()), "{token}");
    let own = format!("Host: 127.0.0.1:{port}\r\n");
    let local = format!("Host: localhost:{port}\r\n");
    let origin = format!("Origin: http://127.0.0.1:{port}\r\n");
    let bearer = format!("Authorization: Bearer {token}\r\n");
    let get = "GET /api/project";
    let put = "PUT /api/project";
    let other = if token.starts_with('0') { token.replacen('0', "1", 1) } else { format!("0{}", &token[1..]) };
    let cases: Vec<(&str, String, u16)> = vec![
        ("GET /", own.clone(), 200),
        ("GET /", local.clone(), 200),
        (get, format!("{own}{bearer}"), 200),
        (get, format!("{local}{bearer}"), 200),
        // No token, another, a part of it, one in another place.
        (get, own.clone(), 403),
        (get, format!("{own}Authorization: Bearer {other}\r\n"), 403),
        (get, format!("{own}Authorization: Bearer {}\r\n", &token[..31]), 403),
        (get, format!("{own}Authorization: {token}\r\n"), 403),
        (get, format!("{own}{bearer}{bearer}"), 403),
        (get, format!("{own}Cookie: token={token}\r\n"), 403),
        ("GET /api", own.clone(), 403),
        ("GET /api/nothing", own.clone(), 403),
        // Another host, or none.
        (get, bearer.clone(), 403),
        (get, format!("Host: evil.example\r\n{bearer}"), 403),
        (get, format!("Host: evil.example:{port}\r\n{bearer}"), 403),
        (get, format!("Host: 127.0.0.1.evil.example:{port}\r\n{bearer}"), 403),
        (get, format!("Host: 127.0.0.1:{port}.evil.example\r\n{bearer}"), 403),
        (get, format!("Host: 127.0.0.1\r\n{bearer}"), 403),
        (get, format!("Host: 127.0.0.1:{}\r\n{bearer}", port ^ 1), 403),
        (get, format!("Host: 127.0.0.2:{port}\r\n{bearer}"), 403),
        (get, format!("Host: [::1]:{port}\r\n{bearer}"), 403),
        (get, format!("{own}Host: evil.example\r\n{bearer}"), 403),
        ("GET /", "Host: evil.example\r\n".into(), 403),
        ("GET http://evil.example/api/project", format!("{own}{bearer}"), 403),
        // Another origin, or none, where something is changed.
        (put, format!("{own}{bearer}"), 403),
        (put, format!("{own}{bearer}Origin: null\r\n"), 403),
        (put, format!("{own}{bearer}Origin: http://evil.example\r\n"), 403),
        (put, format!("Host: evil.example:{port}\r\nOrigin: http://evil.example:{port}\r\n{bearer}"), 403),
        (put, format!("{own}{bearer}Origin: https://127.0.0.1:{port}\r\n"), 403),
        (put, format!("{own}{bearer}Origin: http://127.0.0.1:{port}.evil.example\r\n"), 403),
        (put, format!("{own}{bearer}Origin: http://127.0.0.1:{}\r\n", port ^ 1), 403),
        (put, format!("{own}{origin}"), 403),
        ("OPTIONS /api/project", format!("{own}Origin: http://evil.example\r\n"), 403),
        ("POST /api/save", format!("{own}{bearer}"), 403),
        // With all of it: refused only because it says nothing of its kind, then because it is no JSON.
        (put, format!("{own}{origin}{bearer}"), 415),
        (put, format!("{own}{origin}{bearer}Content-Type: text/plain\r\n"), 415),
        (put, format!("{own}{origin}{bearer}Content-Type: application/json\r\n"), 422),
        (put, format!("{own}Origin: http://localhost:{port}\r\n{bearer}Content-Type: application/json\r\n"), 422),
        // No paths.
        ("GET /../../etc/passwd", own.clone(), 404),
        ("GET /studio/..%2f..%2fCargo.toml", own.clone(), 404),
        ("GET /studio/", own.clone(), 404),
        ("GET /in.wav", own.clone(), 404),
        ("GET /api/tiles/0/0/..%2f1", format!("{own}{bearer}"), 400),
        ("GET /api/tiles/0/99999999999/0", format!("{own}{bearer}"), 400),
        ("GET /api/tiles/0/60/0", format!("{own}{bearer}"), 404),
        ("GET /api/tiles/0/0/18446744073709551615", format!("{own}{bearer}"), 404),
        ("GET /api/tiles/1/0/0", format!("{own}{bearer}"), 404),
        ("GET /api/peaks/7/0/0", format!("{own}{bearer}"), 404),
        ("GET /api/audio?fit=1", format!("{own}{bearer}"), 404),
        ("GET /api/audio?from=x", format!("{own}{bearer}"), 422),
        ("GET /api/audio?box=1,2", format!("{own}{bearer}"), 422),
        ("DELETE /api/project", format!("{own}{origin}{bearer}"), 405),
    ];
    for (line, headers, expected) in cases {
        let answer = studio.raw(&format!("{line} HTTP/1.1\r\n{headers}Connection: close\r\n\r\n"));
        assert_eq!(answer.status, expected, "{line} with {headers:?}: {}", answer.text());
        for header in [
            "content-security-policy: default-src 'self'",
            "frame-ancestors 'none'",
            "x-content-type-options: nosniff",
            "referrer-policy: no-referrer",
            "cross-origin-opener-policy: same-origin",
            "cross-origin-resource-policy: same-origin",
            "cache-control: no-store",
        ] {
            assert!(answer.head.contains(header), "{line}: no {header} in\n{}", answer.head);
        }
        assert!(!answer.head.contains("access-control"), "{line}: {}", answer.head);
        assert!(!answer.head.contains("set-cookie"), "{line}: {}", answer.head);
        assert!(!answer.text().contains(token.as_str()), "{line} tells the token");
    }
    assert_eq!(studio.raw("nonsense\r\n\r\n").status, 400);
}

#[test]
fn what_is_too_long_is_refused() {
    let dir = Dir::new();
    dir.tune("in.wav");
    let studio = Studio::open(&dir, &["in.wav"]);
    let long = format!("{{\"revision\":1,\"document\":\"{}\"}}", "x".repeat(9 << 20));
    let answer = studio.send("PUT", "/api/project", "application/json", long.as_bytes());
    assert!(answer.status == 413 || answer.status == 0, "{}: {}", answer.status, answer.text());
    let headers: String = (0..10_000).map(|i| format!("X-{i}: {}\r\n", "y".repeat(100))).collect();
    let answer = studio.raw(&format!("GET / HTTP/1.1\r\nHost: 127.0.0.1:{}\r\n{headers}\r\n", studio.port));
    assert!([431, 400, 0].contains(&answer.status), "{}", answer.status);
    let answer = studio.send("POST", "/api/score?name=a.mid", "audio/midi", &vec![0; 17 << 20]);
    assert!(answer.status == 413 || answer.status == 0, "{}: {}", answer.status, answer.text());
    assert_eq!(studio.get("/api/project").status, 200, "it serves on");
}

#[test]
fn requests_that_do_not_come_to_their_end_are_not_waited_for() {
    assert_eq!(StudioConfig::READ_TIMEOUT, Duration::from_secs(60), "what the program takes");
    let dir = Dir::new();
    dir.tune("in.wav");
    let config = StudioConfig {
        recording: dir.path("in.wav"),
        microphones: Vec::new(),
        delays: Vec::new(),
        project: dir.path("in.partita.toml"),
        out: dir.path("made"),
        port: 0,
        seed: 0,
        read_timeout: Duration::from_millis(300),
        words: Words::default(),
    };
    let studio = partita::studio::Studio::open(config, &mut Watch::none()).expect("opens");
    let (is_over, (sender, address)) = (AtomicBool::new(false), channel());
    thread::scope(|scope| {
        let mut ready = |address: &str| sender.send(address.to_owned()).expect("read");
        let is_over = &is_over;
        scope.spawn(move || studio.serve(&mut ready, &|| is_over.load(Relaxed)).expect("serves"));
        let address = address.recv().expect("an address");
        let (port, token) =
            address.strip_prefix("http://127.0.0.1:").and_then(|rest| rest.split_once("/#")).expect("parts");
        let head =
            format!("Host: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\n");
        let json = "Content-Type: application/json\r\nContent-Length: 100\r\n";
        let cases = [
            ("a head", format!("GET /api/project HTTP/1.1\r\n{head}"), ""),
            ("JSON", format!("PUT /api/project HTTP/1.1\r\n{head}{json}\r\n{{\"revision\""), "408"),
            ("a file", format!("POST /api/score?name=a.mid HTTP/1.1\r\n{head}Content-Length: 100\r\n\r\nMThd"), "408"),
        ];
        for (what, request, expected) in cases {
            let mut stream = TcpStream::connect(format!("127.0.0.1:{port}")).expect("connection");
            stream.set_read_timeout(Some(Duration::from_secs(20))).expect("time");
            stream.write_all(request.as_bytes()).expect("sent");
            let (start, mut answer) = (Instant::now(), [0; 12]);
            let n = stream.read(&mut answer).unwrap_or_else(|error| panic!("half of {what} is waited for: {error}"));
            let text = String::from_utf8_lossy(&answer[..n]).into_owned();
            assert!(text.contains(expected), "half of {what}: `{text}`");
            assert!(start.elapsed() >= Duration::from_millis(250), "half of {what}: {:?}", start.elapsed());
        }
        is_over.store(true, Relaxed);
    });
}

// ---- what is heard and seen --------------------------------------------------------------------------------------

#[test]
fn the_recording_is_heard_as_it_is_and_stems_sum_to_it() {
    let dir = Dir::new();
    dir.wav("in.wav", 8000, &[&tune, &|i| -0.5 * tune(i + 77)], 20_001);
    let studio = Studio::open(&dir, &["in.wav"]);
    let told = studio.project();
    assert_eq!(told["recording"]["n_samples"], 20_001, "{told}");
    assert_eq!((&told["audio"]["sample_rate"], &told["audio"]["n_channels"]), (&json!(8000), &json!(2)));
    let recording = dir.read("in.wav");
    let heard = studio.get("/api/audio?from=0&n=50000").samples();
    let expected: Vec<f32> = recording.samples().iter().copied().collect();
    assert!(heard == expected, "channel after channel, the same bits");

    let last = studio.fit("cold");
    let stems = last["fit"]["stems"].as_array().expect("stems").len();
    let id = last["fit"]["id"].as_u64().expect("id");
    assert!(stems > 1, "{last}");
    assert_eq!(studio.project()["document"]["source"].as_array().map(Vec::len), Some(stems), "its sources are told");
    let all = studio.audio(id, 0, 20_001);
    assert_eq!(all.len(), (1 + stems) * 2 * 20_001);
    assert!(all[..2 * 20_001] == expected, "the mixture comes first");
    let tracks: Vec<&[f32]> = all.chunks(2 * 20_001).collect();
    for (i, x) in expected.iter().enumerate() {
        let sum: f32 = tracks[1..].iter().map(|track| track[i]).sum();
        assert!((sum - x).abs() < 1e-5, "sample {i}: {sum}, expected {x}");
    }
    // Any part is that of the whole.
    for (from, n) in [(0, 1), (4_999, 3_001), (20_000, 1), (19_000, 9_999)] {
        let part = studio.audio(id, from, n);
        let n = n.min(20_001 - from);
        let expected: Vec<f32> =
            tracks.iter().flat_map(|track| track.chunks(20_001)).flat_map(|c| c[from..from + n].to_vec()).collect();
        assert!(part == expected, "{n} samples from {from}");
    }
    let one = studio.get(&format!("/api/audio?fit={id}&component=0&from=100&n=50"));
    assert_eq!((one.status, one.samples().len()), (200, 100));
    let listed = studio.get("/api/components").json();
    assert!(listed[0]["index"] == 0 && listed[0]["centroid_hz"].is_number(), "{listed}");
    let n_components = listed.as_array().map_or(0, Vec::len);
    assert_eq!(studio.get(&format!("/api/audio?fit={id}&component={n_components}")).status, 422);
}

#[test]
fn tiles_show_tones_where_they_are_and_belong_to_stems_alike_on_all_levels() {
    let dir = Dir::new();
    // 8 kHz: a hop of 256, so that a tile of level 0 has 8.2 s, and one of level 3 65.5 s.
    let tone = |hz: f32, i: usize| (std::f32::consts::TAU * hz * i as f32 / 8000.0).sin();
    let wave = |i: usize| if i < 400_000 { 0.5 * tone(500.0, i) } else { 0.25 * tone(2000.0, i) };
    dir.wav("in.wav", 8000, &[&wave], 800_000);
    let studio = Studio::open(&dir, &["in.wav"]);
    let tiles = &studio.project()["tiles"];
    assert_eq!((&tiles["hop_length"], &tiles["n_frames"]), (&json!(256), &json!(3126)));
    let row = |hz: f64| (512.0 * (hz / 30.0).ln() / (4000.0f64 / 30.0).ln()) as usize;
    let brightest = |column: &[u8]| column.iter().enumerate().max_by_key(|(_, x)| **x).map(|(row, _)| row);
    for level in 0..=4u32 {
        let columns = 3126usize.div_ceil(1 << level);
        for (at_s, hz, db) in [(10.0, 500.0, -6.0), (90.0, 2000.0, -12.0)] {
            let column = (at_s * 8000.0 / 256.0) as usize >> level;
            assert!(column < columns);
            let answer = studio.get(&format!("/api/tiles/0/{level}/{}", column / 256));
            assert_eq!((answer.status, answer.body.len()), (200, 131_072));
            let column = &answer.body[column % 256 * 512..][..512];
            let got = brightest(column).expect("rows");
            assert!(got.abs_diff(row(hz)) <= 3, "level {level}, {hz} Hz: row {got}, not {}", row(hz));
            let expected = 255.0 + db / 0.4;
            // Between two bins a tone of this window is 1.4 dB weaker.
            assert!((f64::from(column[got]) - expected).abs() < 5.0, "level {level}: {}, not {expected}", column[got]);
        }
        assert_eq!(studio.get(&format!("/api/tiles/0/{level}/{}", columns.div_ceil(256))).status, 404);
    }
    let linear = studio.get("/api/tiles/0/0/2?axis=linear").body;
    assert!(brightest(&linear[..512]).is_some_and(|got| got.abs_diff(64) <= 1), "500 of 4000 Hz");
    let peaks = studio.get("/api/peaks/0/3/0").body;
    assert_eq!((peaks.len(), peaks[0], peaks[1]), (512, 128 - 64, 128 + 64), "half of full scale");

    studio.put(&json!({ "source": sources(&["low", "high"]) }));
    let id = studio.fit("cold")["fit"]["id"].clone();
    for level in [0, 2, 3, 4] {
        let column = (10 * 8000 / 256) >> level;
        let path = |track| format!("/api/tiles/{track}/{level}/{}?fit={id}", column / 256);
        let levels: Vec<u8> = (0..3)
            .map(|track| {
                let column = &studio.get(&path(track)).body[column % 256 * 512..][..512];
                column[row(500.0) - 1..row(500.0) + 3].iter().copied().max().expect("rows")
            })
            .collect();
        let (loud, quiet) = (levels[1].max(levels[2]), levels[1].min(levels[2]));
        assert!(levels[0].abs_diff(loud) <= 2, "level {level}: all of it is in one stem: {levels:?}");
        assert!(quiet < loud - 30, "level {level}: and 12 dB less or nothing in the other: {levels:?}");
    }
    // 256 frames a column: sketched by 64 of them, then made.
    for track in [1, 2] {
        let path = format!("/api/tiles/{track}/8/0?fit={id}");
        let sketch = studio.get(&format!("{path}&sketch=1"));
        assert!(sketch.head.contains("x-sketch: 1"), "{}", sketch.head);
        let whole = studio.get(&path);
        assert!(whole.head.contains("x-sketch: 0"), "{}", whole.head);
        for column in 0..13usize {
            let of = |tile: &[u8]| tile[column * 512..][..512].iter().map(|x| u32::from(*x)).max();
            let (like, expected) = (of(&sketch.body).expect("rows"), of(&whole.body).expect("rows"));
            // What is next to nothing varies; the tone changes in the column of 50 s, which has 64 frames of only one.
            let is_near = like.abs_diff(expected) <= 5 || like.max(expected) < 200 || column == 6;
            assert!(is_near, "track {track}, column {column}: {like}, expected {expected}");
        }
        assert!(sketch.body[13 * 512..].iter().all(|x| *x == 0), "nothing is beyond the end");
        assert!(studio.get(&format!("{path}&sketch=1")).body == whole.body, "now it is there");
    }
    let peaks = |track| studio.get(&format!("/api/peaks/{track}/3/0?fit={id}")).body;
    let loud = |peaks: &[u8]| peaks[40..100].iter().map(|x| x.abs_diff(128)).max().expect("bytes");
    let (a, b) = (loud(&peaks(1)), loud(&peaks(2)));
    assert!(a.max(b).abs_diff(64) <= 2 && a.min(b) < 16, "{a} {b}");
}

// ---- work --------------------------------------------------------------------------------------------------------

#[test]
fn another_tab_is_told_that_it_was_too_late() {
    let dir = Dir::new();
    dir.tune("in.wav");
    let studio = Studio::open(&dir, &["in.wav"]);
    let put = |revision: u64, name: &str| {
        let body = json!({ "revision": revision, "document": { "source": sources(&[name, "rest"]) } });
        studio.send("PUT", "/api/project", "application/json", body.to_string().as_bytes())
    };
    assert_eq!(put(1, "flute").json()["revision"], 2);
    let late = put(1, "horn");
    assert_eq!((late.status, &late.json()["revision"]), (409, &json!(2)));
    assert!(late.json()["error"].is_string() && late.json()["hint"].is_string());
    assert_eq!(studio.project()["document"]["source"][0]["name"], "flute");
    assert_eq!(studio.post("/api/fit", &json!({ "revision": 1, "from": "cold" })).status, 409);
    let unknown = json!({ "revision": 2, "document": { "sauce": [1] } });
    let answer = studio.send("PUT", "/api/project", "application/json", unknown.to_string().as_bytes());
    assert_eq!(answer.status, 422, "unknown keys are refused: {}", answer.text());
}

#[test]
fn undo_brings_back_the_same_bytes() {
    let dir = Dir::new();
    dir.tune("in.wav");
    let studio = Studio::open(&dir, &["in.wav"]);
    studio.put(&json!({ "source": sources(&["a", "b"]) }));
    let first = studio.fit("cold")["fit"]["id"].as_u64().expect("id");
    let before = studio.audio(first, 0, 8000);
    let mut marked = json!({ "source": sources(&["a", "b"]) });
    marked["stroke"] = json!([
        { "id": 7, "source": 1, "effect": "is", "shape": "box", "t": [0.2, 0.9], "hz": [400, 500] },
        { "id": 8, "source": 2, "effect": "is_not", "shape": "brush", "points": [[0.1, 440.0], [0.3, 440.0]],
          "width_s": 0.05, "width_semitones": 2 },
    ]);
    studio.put(&marked);
    let second = studio.fit("warm")["fit"]["id"].as_u64().expect("id");
    assert_ne!(first, second);
    assert_eq!(studio.project()["fit"], second);
    let answer = studio.post(&format!("/api/fits/{first}/current"), &json!({}));
    assert_eq!((answer.status, &studio.project()["fit"]), (200, &json!(first)));
    assert!(studio.audio(first, 0, 8000) == before);
    assert_eq!(studio.post("/api/fits/99/current", &json!({})).status, 404);
    assert_eq!(studio.project()["fits"].as_array().map(Vec::len), Some(2));
}

/// Processor time that a process has taken so far, in hundredths of a second.
#[cfg(target_os = "linux")]
fn cpu_time(pid: u32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("stat");
    let fields: Vec<&str> = stat.rsplit_once(')').expect("name").1.split_whitespace().collect();
    fields[11].parse::<u64>().expect("user") + fields[12].parse::<u64>().expect("system")
}

#[cfg(target_os = "linux")]
#[test]
fn a_fit_ends_when_nobody_waits_for_it_and_what_was_there_stays() {
    let dir = Dir::new();
    // Four minutes, so that a fit takes far longer than this test.
    let wave = |i: usize| 0.3 * tune(i) + 0.2 * tune(3 * i + i * i / 90_000);
    dir.wav("in.wav", 8000, &[&wave], 2_000_000);
    let studio = Studio::open(&dir, &["in.wav"]);
    let many = json!([
        { "id": 1, "name": "a", "n_components": 60, "color": 0 },
        { "id": 2, "name": "b", "n_components": 60, "color": 1 },
    ]);
    let revision = studio.put(&json!({ "source": many }));
    let body = json!({ "revision": revision, "from": "cold" }).to_string();
    for is_polite in [true, false] {
        let mut stream = studio.connect();
        let head = studio.head("POST", "/api/fit", "application/json", body.len());
        stream.write_all(format!("{head}{body}").as_bytes()).expect("sent");
        let mut lines = BufReader::new(stream.try_clone().expect("handle")).lines();
        assert!(lines.any(|line| line.expect("text").contains("separating")), "it is at work");
        if is_polite {
            stream.shutdown(Shutdown::Both).expect("closed");
        }
        drop((lines, stream));
        thread::sleep(Duration::from_secs(1));
        let before = cpu_time(studio.child.id());
        thread::sleep(Duration::from_millis(500));
        let spent = cpu_time(studio.child.id()) - before;
        assert!(spent <= 5, "{spent} hundredths of a second of work in half a second");
        assert_eq!(studio.project()["fits"], json!([]));
    }
}

#[cfg(unix)]
#[test]
fn an_end_with_ctrl_c_leaves_nothing_behind() {
    let dir = Dir::new();
    dir.tune("in.wav");
    let mut studio = Studio::open(&dir, &["in.wav"]);
    let id = studio.child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &id]).status().expect("kill").success());
    let start = Instant::now();
    let status = studio.child.wait().expect("ended");
    assert_eq!(status.code(), Some(130));
    assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
    assert_eq!(dir.files(), ["in.wav"]);
    assert!(fs::read_dir(dir.path("tmp")).expect("folder").next().is_none(), "no temporary file");
}
