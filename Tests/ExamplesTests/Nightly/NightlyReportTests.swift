import Foundation
import MQLock
import Testing

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

extension ExamplesBrokerTests {
    @Suite("nightly report", .serialized) struct NightlyReportTests {
        private let stage: Stage
        /// The replicas of all runs share a lock, so a night of its own is enough.
        private let night = "2026-03-02"

        init() throws { stage = try Stage() }

        @Test("the runner is killed in the middle: the next one runs the job, once, and the others skip")
        func killed() async throws {
            let names = (1...5).map { "replica-\($0)" }
            for name in names { try start(name, heartbeat: 10) }
            let first = name(try await stage.line("runs"))
            _ = try await stage.line("\(first): stands still")
            #expect(report == nil)
            stage.send(SIGKILL, to: first)
            #expect(try await stage.status(of: first) == 128 + SIGKILL)

            let second = name(try await stage.line("runs"))
            #expect(second != first)
            stage.letGo(second)
            for name in names where name != first { #expect(try await stage.status(of: name) == 0) }
            try await stage.lines { $0.count { $0.hasSuffix("has ended") } == names.count }
            #expect(stage.seen.count { $0.contains("published") } == 1)
            #expect(stage.seen.count { $0.contains("skips") } == 3)
            #expect(report?.contains("by \(second)\n") == true)
            try #expect(zip(tokens, tokens.dropFirst()).allSatisfy(<))

            // Late, and alone.
            try start("late")
            _ = try await stage.line("late: skips")
            #expect(try await stage.status(of: "late") == 0)
        }

        @Test("the runner is stopped past its proof: its report is refused, its successor's stands")
        func stopped() async throws {
            try start("replica-1")
            _ = try await stage.line("replica-1: stands still")
            try start("replica-2")
            _ = try await stage.line("replica-2: in line")
            stage.send(SIGSTOP, to: "replica-1")
            _ = try await stage.line("replica-2: stands still")
            // Before the successor has published, so that nothing but the token can stop it.
            stage.letGo("replica-1")
            stage.send(SIGCONT, to: "replica-1")
            #expect(try await stage.line("replica-1: lost").contains("staleToken"))
            #expect(report == nil)
            stage.letGo("replica-2")
            _ = try await stage.line("replica-2: published")
            #expect(try await stage.status(of: "replica-1") == 0)
            #expect(try await stage.status(of: "replica-2") == 0)
            try await stage.lines { $0.contains("replica-1 has ended") }
            #expect(stage.seen.contains("replica-1: skips \(night), its report is there"))
            #expect(report?.contains("by replica-2\n") == true)
            try #expect(zip(tokens, tokens.dropFirst()).allSatisfy(<))
        }

        private func start(_ name: String, heartbeat: Int = 1) throws {
            try stage.start(
                name, "NightlyReport",
                [
                    "--name", name, "--reports", stage.folder, "--night", night, "--work", "0.05", "--within", "50",
                    "--stand-still",
                ], heartbeat: heartbeat)
        }

        private var report: String? { try? String(contentsOfFile: "\(stage.folder)/\(night).txt", encoding: .utf8) }

        /// Of the runs, in their order.
        private var tokens: [FencingToken] {
            get throws {
                let words = stage.seen.filter { $0.contains("runs") }.compactMap { $0.split(separator: " ").last }
                let tokens = words.compactMap { FencingToken($0) }
                guard tokens.count >= 2 else { throw TestFailure("there were \(tokens.count) runs") }
                return tokens
            }
        }

        private func name(_ line: String) -> String { String(line.prefix { $0 != ":" }) }
    }
}
