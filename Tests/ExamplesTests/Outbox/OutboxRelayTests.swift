import Foundation
import MQLock
import Testing

@testable import OutboxRelay

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

extension ExamplesBrokerTests {
    @Suite("outbox relay", .serialized) struct OutboxRelayTests {
        private let stage: Stage
        private let queue = "outbox-\(UUID().uuidString)"
        private let count = 20

        init() throws { stage = try Stage() }

        @Test(
            "one leader is killed in the middle, one is stopped: nothing twice at the gate, nothing missing, in order")
        func killedAndStopped() async throws {
            let outbox = try Outbox(directory: stage.folder)
            try outbox.fill(count)
            try start("killed", ["--stand-still"], heartbeat: 5)
            _ = try await stage.line("killed: stands still")
            try start("stopped", ["--stand-still"])
            _ = try await stage.line("stopped: campaigns")
            stage.send(SIGKILL, to: "killed")
            #expect(try await stage.status(of: "killed") == 128 + SIGKILL)
            // Published, and not marked: its successor does it again.
            _ = try await stage.line("stopped: stands still")
            #expect(outbox.history.isEmpty)
            try start("third", [], heartbeat: 5)
            _ = try await stage.line("third: campaigns")
            stage.send(SIGSTOP, to: "stopped")
            _ = try await stage.line("third: moved record \(count)")

            stage.letGo("stopped")
            stage.send(SIGCONT, to: "stopped")
            _ = try await stage.line("stopped: leads no more")
            for name in ["stopped", "third"] { stage.send(SIGTERM, to: name) }
            #expect(try await stage.status(of: "stopped") == 0)
            #expect(try await stage.status(of: "third") == 0)

            let history = outbox.history
            #expect(history.map(\.number) == Array(1...count))
            #expect(Set(history.map(\.token)).count == 1)
            try start("audit", ["--audit", "--expect", "\(count)"])
            let verdict = try await stage.line("records in order")
            #expect(verdict.hasPrefix("\(count) records in order, once each at the gate; 1 leaders"))
            #expect(try await stage.status(of: "audit") == 0)
        }

        private func start(_ name: String, _ options: [String], heartbeat: Int = 1) throws {
            try stage.start(
                name, "OutboxRelay", ["--name", name, "--outbox", stage.folder, "--queue", queue] + options,
                heartbeat: heartbeat)
        }
    }
}

@Suite("the outbox's reader") struct OutboxInboxTests {
    @Test("drops what it has seen, refuses a gap") func inbox() throws {
        var inbox = Audit.Inbox()
        for number in [1, 1, 2, 3, 2, 4] { try inbox.receive(Array("\(number) 7 text of it".utf8)) }
        #expect(inbox.accepted == 4 && inbox.repeated == 2)
        #expect(throws: (any Error).self) { try inbox.receive(Array("6 7 text".utf8)) }
        #expect(throws: (any Error).self) { try inbox.receive(Array("no record".utf8)) }
    }
}
