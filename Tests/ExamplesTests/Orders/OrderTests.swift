import ExamplesShared
import Foundation
import MQLock
import Testing

@testable import OrderWorker

#if canImport(Glibc)
import Glibc
#elseif canImport(Musl)
import Musl
#else
import Darwin
#endif

extension ExamplesBrokerTests {
    @Suite("orders", .serialized) struct OrderTests {
        private let stage: Stage
        private let queue = "orders-\(UUID().uuidString)"
        private let customers = 6
        private let orders = 5

        init() throws { stage = try Stage() }

        @Test("a worker is killed, one is stopped past its proof, everything is published twice: each order once")
        func faults() async throws {
            // The second time stands for a producer, or an acknowledgement, that was lost on the way.
            for name in ["first", "second"] {
                try stage.start(
                    name, "OrderProducer", ["--queue", queue, "--customers", "\(customers)", "--orders", "\(orders)"])
                #expect(try await stage.status(of: name) == 0)
            }

            try work("killed", "--stand-still")
            _ = try await stage.line("killed: stands still")
            stage.send(SIGKILL, to: "killed")
            #expect(try await stage.status(of: "killed") == 128 + SIGKILL)

            try work("stopped", "--stand-still")
            let handles = try await stage.line("stopped: handles")
            let taken = try #require(handles.split { $0 == " " || $0 == "," }.dropFirst(2).first.map(String.init))
            _ = try await stage.line("stopped: stands still")
            stage.send(SIGSTOP, to: "stopped")
            let others = ["worker-1", "worker-2", "worker-3"]
            for name in others { try work(name) }
            _ = try await stage.line("entered \(taken),")

            // It is past all its checks, and goes on to write with a token of old.
            stage.letGo("stopped")
            stage.send(SIGCONT, to: "stopped")
            #expect(try await stage.line("stopped: gave \(taken) up").contains("staleToken"))
            // And works on: over a new connection for orders and a new session for locks.
            let all = customers * orders
            try await stage.lines { $0.count { $0.contains(" entered ") } >= all }
            try await stage.lines { $0.count { $0.contains(" was done before") } >= all }

            for name in others + ["stopped"] {
                stage.send(SIGTERM, to: name)
                #expect(try await stage.status(of: name) == 0)
            }
            try check()
        }

        private func work(_ name: String, _ options: String...) throws {
            try stage.start(
                name, "OrderWorker",
                ["--name", name, "--queue", queue, "--ledger", stage.folder, "--work", "0.02"] + options)
        }

        /// Reads the files as anybody would, without the example's own code.
        private func check() throws {
            var numbers: [String: [Int]] = [:]
            var writers: Set<String> = []
            for slot in 0..<16 {
                let path = "\(stage.folder)/slot-\(slot).ledger"
                guard let text = try? String(contentsOfFile: path, encoding: .utf8) else { continue }
                var tokens: [UInt64] = []
                for line in text.split(separator: "\n") {
                    let words = line.split(separator: " ")
                    try #require(words.count == 5, "\(line)")
                    tokens.append(try #require(UInt64(words[0])))
                    numbers[String(words[1]), default: []].append(try #require(Int(words[2])))
                    writers.insert(String(words[4]))
                }
                // A lock of its own for each order, so not even equal ones.
                #expect(zip(tokens, tokens.dropFirst()).allSatisfy(<))
            }
            let expected = (1...customers).map { ("customer-\($0)", Array(1...orders)) }
            #expect(numbers == Dictionary(uniqueKeysWithValues: expected))
            #expect(!writers.contains("killed"))
        }
    }
}
