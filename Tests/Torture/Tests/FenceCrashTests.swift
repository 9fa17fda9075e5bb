import Foundation
import MQLock
import MQLockTesting
import Testing

extension TortureTests {
    /// Eight processes at a time write through one gate and are killed, at every step of the gate's own writes and at any
    /// other instant.
    @Suite struct FenceCrashTests {}
}

extension TortureTests.FenceCrashTests {
    @Test(arguments: ["file", "folder"]) func noMarkGoesBackAndNothingIsCorrupt(kind: String) async throws {
        let storm = try FenceStorm(kind)
        let seen = try await storm.run(rounds: LiveBroker.isFullRun ? 100 : 6)
        #expect(seen.failures == [])
        #expect(seen.goneBack == [])
        #expect(seen.writes > 20, "else nothing was tested")
        let gate: any FenceGate =
            kind == "file" ? FileFenceGate(path: storm.gate) : FolderFenceGate(path: storm.gate)
        for (name, last) in seen.last {
            // Killed between mark and write, a process leaves a larger mark.
            let highest = try #require(try gate.highest(for: name))
            #expect(highest >= last)
            let error = #expect(throws: LockError.self) {
                try gate.admit(FencingToken(rawValue: highest.rawValue - 1)!, for: name)
            }
            #expect(error?.code == .staleToken)
            try gate.admit(FencingToken(rawValue: highest.rawValue + 1)!, for: name)
        }
    }

    @Test func aGateThatChecksAndWritesInTwoStepsIsCaught() async throws {
        for _ in 0..<10 where try await !FenceStorm("naive").run(rounds: 2).goneBack.isEmpty { return }
        Issue.record("the storm does not see what it is to see")
    }
}

/// Processes that write through a gate, killed and started again.
private final class FenceStorm: Sendable {
    private let kind: String
    private let folder: String
    private let seed = TestSeed.next()

    var gate: String { "\(folder)/gate" }
    private var ledger: String { "\(folder)/ledger" }

    struct Seen {
        var writes = 0
        var last: [LockName: FencingToken] = [:]
        /// Writes with a token smaller than that of a write before, of the same name.
        var goneBack: [String] = []
        var failures: [String] = []
    }

    init(_ kind: String) throws {
        self.kind = kind
        folder = NSTemporaryDirectory() + "mqlock-fence-storm-\(UUID())"
        try FileManager.default.createDirectory(
            atPath: kind == "folder" ? folder + "/gate" : folder, withIntermediateDirectories: true)
    }

    deinit { try? FileManager.default.removeItem(atPath: folder) }

    func run(rounds: Int) async throws -> Seen {
        print("fence storm \(kind): MQLOCK_SEED=\(seed)")
        let failures = try await withThrowingTaskGroup(of: [String].self) { group in
            for writer in 0..<8 { group.addTask { try await self.write(writer, rounds: rounds) } }
            return try await group.reduce(into: []) { $0 += $1 }
        }
        var seen = Seen(failures: failures)
        for line in try String(contentsOfFile: ledger, encoding: .utf8).split(separator: "\n") {
            let words = line.split(separator: " ")
            let (name, token) = (try LockName(words[0]), try #require(FencingToken(words[1])))
            if let last = seen.last[name], token < last { seen.goneBack.append("\(line) after \(last)") }
            seen.last[name] = token
            seen.writes += 1
        }
        print("fence storm \(kind): \(seen.writes) writes, \(seen.goneBack.count) stale")
        return seen
    }

    /// One process after the other; what they complain about.
    private func write(_ writer: Int, rounds: Int) async throws -> [String] {
        var generator = SeededGenerator(seed &+ UInt64(writer) &* 0x1234_5678_9ABC_DEF1)
        var failures: [String] = []
        for _ in 0..<rounds {
            let dies = Bool.random(using: &generator) && kind != "naive"
            let steps = dies ? Int.random(in: 1...100, using: &generator) : 0
            let plan = "\(kind)/\(UInt64.random(in: 0 ... .max, using: &generator))/\(steps)"
            let worker = try WorkerProcess("fence", gate, ledger, plan)
            _ = try await worker.line("ready")
            if dies {
                try await worker.end()
            } else {
                try await Task.sleep(for: .microseconds(Int64.random(in: 0...100_000, using: &generator)))
                try await worker.killNow()
            }
            failures += worker.lines.filter { $0.first == "failed" }.map { $0.joined(separator: " ") }
        }
        return failures
    }
}
