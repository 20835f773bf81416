//! A studio that runs, and a client for it of a few lines.
#![allow(dead_code, unreachable_pub, reason = "each test file is a crate that uses what it needs")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::common::Dir;

/// A studio that is open; gone with it.
pub struct Studio {
    pub child: Child,
    pub port: u16,
    pub token: String,
}

/// What came back.
pub struct Answer {
    pub status: u16,
    pub head: String,
    pub body: Vec<u8>,
}

impl Answer {
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("no JSON: {}", self.text()))
    }

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.body).into_owned()
    }

    pub fn lines(&self) -> Vec<Value> {
        self.text().lines().map(|line| serde_json::from_str(line).expect("a line of JSON")).collect()
    }

    pub fn samples(&self) -> Vec<f32> {
        self.body.chunks_exact(4).map(|x| f32::from_le_bytes([x[0], x[1], x[2], x[3]])).collect()
    }
}

impl Studio {
    pub fn open(dir: &Dir, args: &[&str]) -> Self {
        Self::start(command(dir, args)).expect("an address")
    }

    /// Starts one by this command; what it says instead of an address, where it does not open.
    pub fn start(mut command: Command) -> Result<Self, String> {
        let mut child = command.spawn().expect("partita starts");
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let mut said = String::new();
        let address = lines.find_map(|line| {
            let line = line.expect("text");
            said.push_str(&line);
            line.strip_prefix("the studio is open at http://127.0.0.1:").map(str::to_owned)
        });
        // What else it says is not looked at, but taken.
        thread::spawn(move || lines.count());
        let Some(address) = address else {
            child.wait().expect("ended");
            return Err(said);
        };
        let (port, token) = address.split_once("/#").expect("a token");
        Ok(Self { child, port: port.parse().expect("a port"), token: token.to_owned() })
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(("127.0.0.1", self.port)).expect("connection");
        stream.set_read_timeout(Some(Duration::from_secs(60))).expect("time");
        stream
    }

    /// Sends bytes as they are.
    pub fn raw(&self, request: &str) -> Answer {
        let mut stream = self.connect();
        stream.write_all(request.as_bytes()).expect("sent");
        answer(&mut stream)
    }

    pub fn head(&self, method: &str, path: &str, content_type: &str, n_bytes: usize) -> String {
        let (port, token) = (self.port, &self.token);
        format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nOrigin: http://127.0.0.1:{port}\r\n\
             Authorization: Bearer {token}\r\nContent-Type: {content_type}\r\nContent-Length: {n_bytes}\r\n\
             Connection: close\r\n\r\n"
        )
    }

    pub fn send(&self, method: &str, path: &str, content_type: &str, body: &[u8]) -> Answer {
        let mut stream = self.connect();
        stream.write_all(self.head(method, path, content_type, body.len()).as_bytes()).expect("sent");
        // What is refused is not read to its end.
        let _ = stream.write_all(body);
        answer(&mut stream)
    }

    pub fn get(&self, path: &str) -> Answer {
        self.send("GET", path, "", b"")
    }

    pub fn post(&self, path: &str, body: &Value) -> Answer {
        self.send("POST", path, "application/json", body.to_string().as_bytes())
    }

    pub fn project(&self) -> Value {
        self.get("/api/project").json()
    }

    pub fn put(&self, document: &Value) -> u64 {
        let body = json!({ "revision": self.project()["revision"], "document": document });
        let answer = self.send("PUT", "/api/project", "application/json", body.to_string().as_bytes());
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["revision"].as_u64().expect("revision")
    }

    /// Fits, and gives the last line.
    pub fn fit(&self, from: &str) -> Value {
        let answer = self.post("/api/fit", &json!({ "revision": self.project()["revision"], "from": from }));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.lines().pop().expect("a last line")
    }

    /// The samples of all tracks.
    pub fn audio(&self, fit: u64, from: usize, n: usize) -> Vec<f32> {
        let answer = self.get(&format!("/api/audio?fit={fit}&from={from}&n={n}"));
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.samples()
    }

    pub fn kill(mut self) {
        self.child.kill().expect("killed");
        self.child.wait().expect("ended");
    }
}

impl Drop for Studio {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

pub fn command(dir: &Dir, args: &[&str]) -> Command {
    let temporary = dir.path("tmp");
    fs::create_dir_all(&temporary).expect("folder");
    let mut command = Command::new(env!("CARGO_BIN_EXE_partita"));
    command.args(["studio", "--no-open"]).args(args).current_dir(dir.0.path());
    command.env("TMPDIR", temporary).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    command
}

/// Reads an answer to its end.
fn answer(stream: &mut TcpStream) -> Answer {
    let mut bytes = Vec::new();
    let _ = stream.read_to_end(&mut bytes);
    let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").unwrap_or(bytes.len());
    let head = String::from_utf8_lossy(&bytes[..end]).to_ascii_lowercase();
    let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
    let mut body = bytes.get(end + 4..).unwrap_or_default().to_vec();
    if head.contains("transfer-encoding: chunked") {
        body = whole(&body);
    }
    Answer { status, head, body }
}

/// Chunks, put together.
fn whole(mut rest: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    while let Some(end) = rest.windows(2).position(|window| window == b"\r\n") {
        let length = std::str::from_utf8(&rest[..end]).ok().and_then(|text| usize::from_str_radix(text, 16).ok());
        let Some(length) = length.filter(|length| *length > 0 && end + 2 + length <= rest.len()) else { break };
        body.extend_from_slice(&rest[end + 2..end + 2 + length]);
        rest = rest.get(end + 4 + length..).unwrap_or_default();
    }
    body
}
