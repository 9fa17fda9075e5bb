import Foundation
import MQLock
import Testing

@testable import MQLockTool

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

/// Requests by curl, to a server of the test's own.
@Suite(
    "Requests by curl", .enabled(if: ProgramPath.first("curl") != nil, "no curl on the PATH"),
    .timeLimit(.minutes(1)))
struct WebRequestTests {
    /// Answers one connection with these bytes, or with nothing; knows what it was sent.
    private final class Server: @unchecked Sendable {
        let port: UInt16
        private let listening: Int32

        init() throws {
            listening = socket(AF_INET, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
            var address = sockaddr_in()
            address.sin_family = sa_family_t(AF_INET)
            address.sin_addr.s_addr = UInt32(0x7F00_0001).bigEndian
            var length = socklen_t(MemoryLayout<sockaddr_in>.size)
            let socket = listening
            let bound = withUnsafeMutablePointer(to: &address) { pointer in
                pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                    bind(socket, address, length) == 0 && listen(socket, 4) == 0
                        && getsockname(socket, address, &length) == 0
                }
            }
            guard bound else { throw TestFailure("no port: \(errno)") }
            port = UInt16(bigEndian: address.sin_port)
        }

        deinit { close(listening) }

        /// What came up to the blank line, once the answer has been sent.
        func serve(_ answer: String?) async -> String {
            await blocking { [listening] in
                let connection = accept(listening, nil, nil)
                defer { close(connection) }
                var bytes: [UInt8] = []
                var buffer = [UInt8](repeating: 0, count: 4096)
                while !String(decoding: bytes, as: UTF8.self).hasSuffix("\r\n\r\n") {
                    let count = Platform.retrying { read(connection, &buffer, buffer.count) }
                    guard count > 0 else { break }
                    bytes += buffer.prefix(count)
                }
                if let answer {
                    Platform.writeAll(answer.utf8, to: connection)
                } else {
                    // Until the other side has gone.
                    _ = Platform.retrying { read(connection, &buffer, buffer.count) }
                }
                return String(decoding: bytes, as: UTF8.self)
            }
        }

        var url: String { "http://127.0.0.1:\(port)/api/%2F" }
    }

    private static func request(_ server: Server, _ change: (inout WebRequest) -> Void) -> WebRequest {
        var request = WebRequest(method: "GET", url: server.url)
        change(&request)
        return request
    }

    private static func response(_ status: String, _ body: String) -> String {
        "HTTP/1.1 \(status)\r\nContent-Length: \(body.utf8.count)\r\nConnection: close\r\n\r\n\(body)"
    }

    @Test("method, path and headers arrive as they are, and so does the answer", arguments: ["GET", "DELETE"])
    func exchange(method: String) async throws {
        let server = try Server()
        var request = WebRequest(method: method, url: server.url)
        let value = #"a "b" \n c\ {x,y} [1-2]"#
        request.headers = [("X-Reason", value), ("Authorization", "Basic xyz")]
        async let seen = server.serve(Self.response("404 Not Found", "one\ntwo\n"))
        let answer = try await request.answer()
        #expect(answer == WebRequest.Answer(status: 404, body: Array("one\ntwo\n".utf8)))
        let lines = await seen.components(separatedBy: "\r\n")
        #expect(lines.first == "\(method) /api/%2F HTTP/1.1")
        #expect(lines.contains("X-Reason: \(value)") && lines.contains("Authorization: Basic xyz"))
    }

    @Test("a line feed in what is sent begins no setting of curl's")
    func injection() {
        var request = WebRequest(method: "GET", url: "http://h/\noutput = \"/x\"")
        request.headers = [("X", "1\r\nupload-file = \"/etc/passwd\"\u{2028}y")]
        let lines = request.configuration.split(separator: "\n")
        #expect(!lines.contains { $0.hasPrefix("output") || $0.hasPrefix("upload-file") })
        #expect(
            lines.count == WebRequest(method: "GET", url: "http://h/").configuration.split(separator: "\n").count + 1)
    }

    @Test("nobody listens; nothing comes; too much comes")
    func failures() async throws {
        let port = try Server().port
        let refused = await #expect(throws: LockError.self) {
            try await WebRequest(method: "GET", url: "http://127.0.0.1:\(port)/").answer()
        }
        #expect(refused?.code == .unreachable)

        let silent = try Server()
        let patient = Self.request(silent) { $0.patience = 1 }
        async let nothing = silent.serve(nil)
        let late = await #expect(throws: LockError.self) { try await patient.answer() }
        #expect(late?.code == .unreachable)
        _ = await nothing

        let talkative = try Server()
        let short = Self.request(talkative) { $0.limit = 1000 }
        async let all = talkative.serve(Self.response("200 OK", String(repeating: "x", count: 2000)))
        let long = await #expect(throws: LockError.self) { try await short.answer() }
        #expect(long?.code == .internalError)
        _ = await all
    }

    @Test("who is cancelled does not wait for an answer")
    func cancelled() async throws {
        let server = try Server()
        let request = WebRequest(method: "GET", url: server.url)
        let task = Task { try await request.answer() }
        // It ends when curl has gone, which nothing but the cancellation brings about.
        let seen = Task { await server.serve(nil) }
        task.cancel()
        let error = await #expect(throws: LockError.self) { try await task.value }
        #expect(error?.code == .cancelled)
        // curl may have been ended before it was connected.
        _ = try? await WebRequest(method: "GET", url: "http://127.0.0.1:\(server.port)/").bounded().answer()
        _ = await seen.value
    }
}

extension WebRequest {
    /// With a second's patience.
    fileprivate func bounded() -> WebRequest {
        var request = self
        request.patience = 1
        return request
    }
}
